"""A ranking as a Markdown page."""

from collections.abc import Sequence

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import marked, p_notes, ranked_rows, scaled_title, score_cells
from ercsatz.ranking.report.comparisons import baseline_pairs, compared, comparison_cells, left_out, omnibus, percent
from ercsatz.ranking.report.layout import TextTable, layout_tables
from ercsatz.ranking.report.outcome import plural
from ercsatz.ranking.report.per_class import ClassCell, class_tables
from ercsatz.ranking.report.rarity import known_shares, label_scores, label_sentences
from ercsatz.ranking.report.sentences import sentences
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.text import markdown

APART = "Trained on synthetic dialogues alone (TSTR where the test set is org); not ranked"


def to_markdown(
    ranked: RankResult | ScoreTable | str,
    scale: float = 1.0,
    background: Background = Background(),  # noqa: B008 - frozen
    picture: str | None = None,
) -> str:
    r"""The ranking as a Markdown page: the table, what was found, the comparisons, the tests, the background.

    A cell is the score, its spread where there are several seeds, and the rank in the block; the best is bold and a gap
    is ``-``. Below the blocks are rank sums and, under each compared treatment, the comparison with its baseline.

    Args:
        ranked: from ``rank``; scores that are shown without being ranked; or a sentence that says why there are none.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.
        background: shown are scores apart, failures and provenance.
        picture: address of the critical-difference diagram.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> print("\n".join(to_markdown(rank(scores, []), scale=100).splitlines()[4:7]))
        | meld | 50.00 (2) | **55.00 (1)** |
        | iemocap | **60.00 (1)** | 58.00 (2) |
        | rank sum | 3 | 3 |
    """
    found = ["## What was found", _list(sentences(ranked, scale, background.apart))]
    if isinstance(ranked, RankResult):
        digits = background.layout.p_digits
        parts = [_ranked(ranked, scale, digits), *p_notes(ranked, digits), *found, *_tests(ranked, scale)]
        if picture:
            parts += ["## Critical-difference diagram", f"![Mean ranks; a bar joins what is not told apart]({picture})"]
    elif isinstance(ranked, ScoreTable):
        parts = [scores_to_markdown(ranked, scale).rstrip(), *found]
    else:
        parts = found
    if not isinstance(ranked, str):
        parts += _by_label(ranked, background)
    tables = [part for table in layout_tables(ranked, scale, background.layout) for part in _text_table(table)]
    return "\n\n".join(["# Ranking", *parts, *tables, *_background(background, scale)]) + "\n"


def scores_to_markdown(table: ScoreTable, scale: float = 1.0) -> str:
    """Scores without ranks as a Markdown table; for what is shown but not ranked.

    Example:
        >>> import pandas as pd
        >>> print(scores_to_markdown(ScoreTable.from_frame(pd.DataFrame({"nat": [0.5]}, index=["meld"]))))
        | score | nat |
        |:--|--:|
        | meld | 0.5000 |
        <BLANKLINE>
    """
    rows = [[markdown(block), *score_cells(table, block, scale)] for block in table.cells.index]
    return _table([markdown(scaled_title(table.metric, scale)), *map(markdown, table.cells.columns)], rows) + "\n"


def _ranked(result: RankResult, scale: float, p_digits: int | None) -> str:
    rows = []
    for row in ranked_rows(result, scale, p_digits):
        cells = [f"**{cell}**" if best else cell for cell, best in zip(row.cells, row.best, strict=True)]
        rows.append([markdown(row.label), *cells])
    corner = f"{scaled_title(result.table.metric, scale)} (rank)"
    return _table([markdown(corner), *map(markdown, result.ranks.columns)], rows)


def _text_table(table: TextTable) -> list[str]:
    spans = [name for name, span in table.groups for _ in range(span)] or [""] * (len(table.head) - table.names)
    above = [""] * table.names + spans
    head = [markdown(f"{name} {text}".strip()) for name, text in zip(above, table.head, strict=True)]
    rows = [[f"**{markdown(cell.text)}**" if cell.best else markdown(cell.text) for cell in row] for row in table.rows]
    return [f"## {markdown(table.title)}", _table(head, rows, left=table.names), _list(table.notes)]


def _tests(result: RankResult, scale: float) -> list[str]:
    parts = []
    if len(result.comparisons):
        mean = f"mean {markdown(scaled_title(result.table.metric, scale))}"
        head = ["treatment", "against", mean, "gain", "rank-sum difference"]
        head += ["Bonferroni p", "Holm p", "Wilcoxon-Holm p", "rank-biserial", "median gain, 95 % interval"]
        head += ["probably better / same / worse"]
        rows = []
        for line in compared(result, scale):
            baseline, *figures = comparison_cells(line, scale)
            cells = map(markdown, [marked(result.table, baseline), *figures])
            posterior = " / ".join(percent(line.row[part]) for part in ("better", "equivalent", "worse") if line.row)
            rows.append([markdown(marked(result.table, line.treatment)), *cells, posterior])
        parts += ["## Comparisons", *filter(None, [left_out(result)]), _table(head, rows, left=2)]
        made = plural(len(result.comparisons), "comparison")
        parts.append(
            f"All p-values are two-sided and corrected for {made}: Bonferroni and Holm those of the exact test."
        )
    if tests := omnibus(result):
        rows = [[test.name, test.statistic, test.df, test.p] for test in tests]
        parts += ["## All treatments at once", _table(["test", "statistic", "degrees of freedom", "p"], rows)]
    return parts


def _by_label(ranked: RankResult | ScoreTable, background: Background) -> list[str]:
    """F1 by label with the groups by rarity, where it is known how rare a label is."""
    table = ranked.table if isinstance(ranked, RankResult) else ranked
    scores = known_shares(label_scores(background, table, baseline_pairs(ranked)))
    if not scores:
        return []
    parts = ["## F1 by label, the rarest first", *([_list(told)] if (told := label_sentences(scores)) else [])]
    for each in class_tables(scores, table):
        head = ["treatment", "against", *(f"{markdown(name)} ({under})" for name, under in each.labels)]
        rows = [[markdown(t), markdown(b), *map(_class_cell, cells)] for t, b, cells in each.rows]
        parts += [f"### {markdown(each.block)}", _table(head, rows, left=2)]
    return parts


def _class_cell(cell: ClassCell) -> str:
    change = f"{cell.change}, p {cell.p}" if cell.p else cell.change
    return f"{cell.f1} ({change})" if change else cell.f1


def _background(background: Background, scale: float) -> list[str]:
    parts = []
    if background.apart is not None:
        parts += [f"## {APART}", scores_to_markdown(background.apart, scale).rstrip()]
    if background.failures:
        parts += ["## Jobs that did not complete", _list(background.failures)]
    if background.provenance:
        rows = [[markdown(key), markdown(value)] for key, value in background.provenance.items()]
        parts += ["## Where this comes from", _table(["what", "value"], rows, left=2)]
    return parts


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    rule = [":--"] * left + ["--:"] * (len(head) - left)
    return "\n".join([_line(head), f"|{'|'.join(rule)}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _list(points: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(point)}" for point in points)
