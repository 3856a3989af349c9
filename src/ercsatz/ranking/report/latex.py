"""A ranking as LaTeX tables."""

import re
from collections.abc import Sequence

from ercsatz.ranking.report.cells import (
    BONFERRONI,
    TreatmentGroup,
    footnote,
    groups,
    has_baselines,
    marked,
    p_notes,
    scaled_title,
    sum_rows,
)
from ercsatz.ranking.report.comparisons import compared, comparison_cells, left_out, verdicts
from ercsatz.ranking.report.layout import Layout, TextTable, layout_tables
from ercsatz.ranking.report.outcome import plural
from ercsatz.ranking.report.per_class import ClassTable
from ercsatz.ranking.report.sentences import one_benchmark, openings
from ercsatz.ranking.report.tables import ScoreCell, score_view
from ercsatz.ranking.table import ALPHA, RankResult
from ercsatz.reporting.text import latex

_PREAMBLE = r"""% Tables; the document needs \usepackage{booktabs} and no more. Where one is too wide, put its
% tabular into a \resizebox{\textwidth}{!}{...} (package graphicx), or use table* or a page in landscape.
% A table of hundreds of rows is more than TeX's memory holds: put it into several tables, or use longtable.
% A character that a plain article has no glyph for is given by its number, [U+...].
"""
_SHOWN = {"better", "worse"}


def to_latex(result: RankResult, scale: float = 1.0, layout: Layout = Layout()) -> str:  # noqa: B008 - frozen
    r"""The ranking as ``booktabs`` tables: scores and ranks, the comparisons where there are any, those of a layout.

    They compile in a plain ``article`` with ``\usepackage{booktabs}``.

    Args:
        result: from ``rank``.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.
        layout: tables beside these, and how p-values are printed.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> print([line for line in to_latex(rank(scores, []), 100).splitlines() if line.startswith("meld")][0])
        meld & 50.00\kern.5pt{\tiny(2)} & \textbf{55.00}\kern.5pt{\tiny(1)} \\
    """
    tables = [_scores(result, scale, layout.p_digits)]
    if len(result.comparisons):
        tables.append(_comparisons(result, scale))
    tables += map(_text_table, layout_tables(result, scale, layout))
    return _PREAMBLE + "\n".join(tables)


def _scores(result: RankResult, scale: float, p_digits: int | None) -> str:
    view = score_view(result, scale)
    metric = latex(scaled_title(result.table.metric, scale))
    lines = _heads(view.groups, metric)
    lines += [_row([latex(block), *map(_score, cells)]) for block, cells in view.rows]
    lines.append(r"\midrule")
    for row in sum_rows(result, p_digits):
        found = verdicts(result) if row.label == BONFERRONI else [""] * result.k
        cells = [_bold(_number(text), verdict in _SHOWN) for text, verdict in zip(row.cells, found, strict=True)]
        lines.append(_row([latex(row.label.replace("difference", "diff.")), *cells]))
    lower = "" if result.higher_is_better else " A lower score is better."
    caution = [
        *p_notes(result, p_digits),
        *one_benchmark(result.ranks.index, result.table.block_keys),
        *footnote(result.table),
    ]
    caption = (
        f"{''.join(f'{latex(sentence)} ' for sentence in openings(result))}"
        f"{metric} on each block, with its rank (1 is the best) in parentheses; the best is bold.{lower}"
        f"{''.join(f' {latex(sentence)}' for sentence in caution)}"
    )
    return _table(caption, "ranking", "l" + "r" * result.k, lines)


def _heads(gathered: Sequence[TreatmentGroup], corner: str) -> list[str]:
    shorts = [latex(short) for group in gathered for short in group.members.values()]
    if not gathered[0].name:
        return [_row([corner, *shorts]), r"\midrule"]
    names, rules, column = [""], [], 2
    for group in gathered:
        names.append(rf"\multicolumn{{{len(group.members)}}}{{c}}{{{latex(group.name)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + len(group.members) - 1}}}")
        column += len(group.members)
    return [_row(names), " ".join(rules), _row([corner, *shorts]), r"\midrule"]


def _text_table(table: TextTable) -> str:
    names, lines = [""] * table.names, []
    if table.groups:
        spans = [rf"\multicolumn{{{span}}}{{c}}{{{latex(name)}}}" for name, span in table.groups]
        ends = [table.names + sum(span for _, span in table.groups[: place + 1]) for place in range(len(table.groups))]
        rules = [rf"\cmidrule(lr){{{end - span + 1}-{end}}}" for end, (_, span) in zip(ends, table.groups, strict=True)]
        lines = [_row([*names, *spans]), " ".join(rules)]
    lines += [_row([latex(text) for text in table.head]), r"\midrule"]
    for place, row in enumerate(table.rows):
        texts = [latex(cell.text) for cell in row[: table.names]]
        numbers = [_bold("--" if cell.text == "-" else latex(cell.text), cell.best) for cell in row[table.names :]]
        lines += [r"\addlinespace"] * (place in table.starts) + [_row([*texts, *numbers])]
    caption = " ".join(latex(text) for text in (f"{table.title}.", *table.notes))
    return _table(caption, table.label, "l" * table.names + "r" * (len(table.head) - table.names), lines)


def _comparisons(result: RankResult, scale: float) -> str:
    above = ["", "", r"\multicolumn{2}{c}{mean}", r"\multicolumn{3}{c}{corrected $p$}", r"\multicolumn{2}{c}{gain}"]
    against, other = ("baseline", "its baseline") if has_baselines(result) else ("against", "the other of its pair")
    heads = ["treatment", against, "score", "gain", "Bonferroni", "Holm", "Wilcoxon", "$r$", r"median [95\,\%]"]
    lines = [_row(above), r"\cmidrule(lr){3-4} \cmidrule(lr){5-7} \cmidrule(lr){8-9}", _row(heads), r"\midrule"]
    firsts = {next(iter(group.members)) for group in groups(result.table, list(result.ranks.columns))[1:]}
    for line in compared(result, scale):
        baseline, mean, gain, _, *p_values, effect, median = comparison_cells(line, scale)
        p_values[:1] = [_bold(_number(p_values[0]), line.verdict in _SHOWN)]
        names = (latex(marked(result.table, line.treatment)), latex(_beside(result, line.treatment, baseline)))
        cells = [*names, *map(_number, (mean, gain)), *p_values[:1]]
        cells += [*map(_number, p_values[1:]), _number(effect), _number(median)]
        lines += [r"\addlinespace"] * (line.treatment in firsts) + [_row(cells)]
    metric, made = latex(scaled_title(result.table.metric, scale)), plural(len(result.comparisons), "comparison")
    caption = (
        f"Mean {metric} of each treatment and its gain over {other}. Two-sided exact test of rank sums "
        f"(Eisinga et al. 2017), corrected for {made}; bold below {ALPHA:g}. Wilcoxon: signed-rank test, Holm. "
        f"$r$: rank-biserial correlation. {latex(left_out(result))}".rstrip()
    )
    return _table(caption, "comparisons", "llrrrrrrr", lines)


def labels_to_latex(tables: Sequence[ClassTable]) -> str:
    """F1 by label, a ``booktabs`` table a block: the groups by rarity, then the labels, the rarest first."""
    made = []
    for number, table in enumerate(tables, 1):
        lines = [_row(["treatment", *(latex(name) for name, _ in table.labels)])]
        lines += [_small("", [under.partition(", ")[2] or under for _, under in table.labels]), r"\midrule"]
        for treatment, baseline, cells in table.rows:
            lines.append(_row([latex(treatment), *(_number(cell.f1) for cell in cells)]))
            if any(cell.change for cell in cells):
                lines.append(_small(f"against {baseline}", [cell.change for cell in cells]))
            if any(cell.p for cell in cells):
                lines.append(_small("p", [cell.p for cell in cells]))
        caption = (
            f"F1 ($\\times$ 100, mean over seeds) by label on {latex(table.block)}, under each label its share of the "
            "real training utterances; below a treatment the change against its baseline and its $p$, by Wilcoxon's "
            "exact test over the seeds, with Holm's correction over the labels, or over the groups."
        )
        made.append(_table(caption, f"labels-{number}", "l" + "r" * len(table.labels), lines))
    return "".join(f"\n{each}" for each in made)


def _small(name: str, cells: Sequence[str]) -> str:
    return _row([rf"{{\tiny {latex(name)}}}", *(rf"{{\tiny {_number(latex(cell))}}}" for cell in cells)])


def _beside(result: RankResult, treatment: str, baseline: str) -> str:
    """A baseline's name, without the part that stands before it in the treatment's: there is little room."""
    own, its = (result.table.keys.get(name, (name,)) for name in (treatment, baseline))
    shared = len(its) > 1 and own[0] == its[0]
    return marked(result.table, baseline).removeprefix(baseline[: len(its[0]) + 1] if shared else "")


def _table(caption: str, label: str, columns: str, lines: Sequence[str]) -> str:
    body = "\n".join(lines)
    return (
        "\\begin{table}\n\\centering\\scriptsize\\setlength{\\tabcolsep}{1.5pt}\n"
        f"\\caption{{{caption}}}\\label{{tab:{label}}}\n\\vspace{{3pt}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _score(cell: ScoreCell) -> str:
    rank = rf"\kern.5pt{{\tiny({cell.rank})}}" if cell.rank else ""
    spread = rf"{{\tiny\,$\pm$\,{cell.spread[2:]}}}" if cell.spread else ""
    return f"{_bold(cell.score, cell.best)}{latex(cell.mark)}{rank}{spread}"


def _bold(text: str, bold: bool) -> str:
    return rf"\textbf{{{text}}}" if bold and text else text


def _number(text: str) -> str:
    """Numbers as text, with true minus signs and powers of ten; not for names."""
    text = text.replace("<", "$<$")
    text = re.sub(r"(\d\.\d)e-0?(\d+)", r"$\1\\times10^{-\2}$", text)
    text = re.sub(r"(?<![\d{])-(?=\d)", "$-$", text)
    return re.sub(r"^-$", "--", text)
