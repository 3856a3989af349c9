"""Human-likeness, judged by a language model through the project's own generators with a fixed rubric."""

from ercsatz.judging.result import Funnel, Judgement
from ercsatz.judging.run import check, judge, unjudged

__all__ = ["Funnel", "Judgement", "check", "judge", "unjudged"]
