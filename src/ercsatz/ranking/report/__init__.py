"""A ranking for people: on the terminal, as a page, as Markdown, LaTeX, CSV and a picture."""

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import groups, p_notes, title
from ercsatz.ranking.report.critical_difference import critical_difference_diagram, diagram
from ercsatz.ranking.report.files import to_csv, write
from ercsatz.ranking.report.html import to_html
from ercsatz.ranking.report.latex import to_latex
from ercsatz.ranking.report.layout import Layout, Published, Slice, layout_tables
from ercsatz.ranking.report.markdown import APART, scores_to_markdown, to_markdown
from ercsatz.ranking.report.per_class import sentences_by_label
from ercsatz.ranking.report.sentences import sentences
from ercsatz.ranking.report.terminal import fitted, scores_to_rich, text_table_to_rich, to_rich

__all__ = [
    "APART",
    "Background",
    "Layout",
    "Published",
    "Slice",
    "critical_difference_diagram",
    "diagram",
    "fitted",
    "groups",
    "layout_tables",
    "p_notes",
    "scores_to_markdown",
    "scores_to_rich",
    "sentences",
    "sentences_by_label",
    "text_table_to_rich",
    "title",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "to_rich",
    "write",
]
