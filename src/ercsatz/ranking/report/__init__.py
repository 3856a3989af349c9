"""A ranking for people: on the terminal, as a page, as Markdown, LaTeX, CSV and a picture."""

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import title
from ercsatz.ranking.report.critical_difference import critical_difference_diagram, diagram
from ercsatz.ranking.report.files import to_csv, write
from ercsatz.ranking.report.html import to_html
from ercsatz.ranking.report.latex import to_latex
from ercsatz.ranking.report.markdown import APART, scores_to_markdown, to_markdown
from ercsatz.ranking.report.sentences import sentences
from ercsatz.ranking.report.terminal import scores_to_rich, to_rich

__all__ = [
    "APART",
    "Background",
    "critical_difference_diagram",
    "diagram",
    "scores_to_markdown",
    "scores_to_rich",
    "sentences",
    "title",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "to_rich",
    "write",
]
