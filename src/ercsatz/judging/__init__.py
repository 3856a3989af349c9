"""Human-likeness, judged by a language model through the project's own generators with a fixed rubric."""

from ercsatz.judging.result import Judgement, JudgementFunnel
from ercsatz.judging.run import check, judge, unjudged

__all__ = ["Judgement", "JudgementFunnel", "check", "judge", "unjudged"]
