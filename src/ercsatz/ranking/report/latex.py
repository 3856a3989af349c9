"""A ranking as LaTeX tables."""

import re
from collections.abc import Sequence

from ercsatz.ranking.report.cells import TreatmentGroup, groups, has_baselines, scaled_title, sum_rows
from ercsatz.ranking.report.comparisons import compared, comparison_cells, verdicts
from ercsatz.ranking.report.sentences import one_benchmark, plural
from ercsatz.ranking.report.tables import ScoreCell, score_view
from ercsatz.ranking.table import ALPHA, RankResult
from ercsatz.reporting.text import latex

_PREAMBLE = r"""% Two tables; the document needs \usepackage{booktabs} and no more. Where one is too wide, put its
% tabular into a \resizebox{\textwidth}{!}{...} (package graphicx), or use table* or a page in landscape.
% A table of hundreds of rows is more than TeX's memory holds: put it into several tables, or use longtable.
% A character that a plain article has no glyph for is given by its number, [U+...].
"""
_SHOWN = {"better", "worse"}


def to_latex(result: RankResult, scale: float = 1.0) -> str:
    r"""The ranking as two ``booktabs`` tables: scores and ranks, and the comparisons where there are any.

    They compile in a plain ``article`` with ``\usepackage{booktabs}``.

    Args:
        result: from ``rank``.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> print([line for line in to_latex(rank(scores, []), 100).splitlines() if line.startswith("meld")][0])
        meld & 50.00$_{2}$ & \textbf{55.00}$_{1}$ \\
    """
    tables = [_scores(result, scale)]
    if len(result.comparisons):
        tables.append(_comparisons(result, scale))
    return _PREAMBLE + "\n".join(tables)


def _scores(result: RankResult, scale: float) -> str:
    view = score_view(result, scale)
    metric = latex(scaled_title(result.table.metric, scale))
    lines = _heads(view.groups, metric)
    lines += [_row([latex(block), *map(_score, cells)]) for block, cells in view.rows]
    lines.append(r"\midrule")
    for row in sum_rows(result):
        found = verdicts(result) if row.label == "Bonferroni p" else [""] * result.k
        cells = [_bold(_number(text), verdict in _SHOWN) for text, verdict in zip(row.cells, found, strict=True)]
        lines.append(_row([latex(row.label), *cells]))
    lower = "" if result.higher_is_better else " A lower score is better."
    caption = (
        f"{metric} on each block, with its rank (1 is the best) as a subscript; the best is bold.{lower}"
        f"{''.join(f' {latex(caution)}' for caution in one_benchmark(result.ranks.index))}"
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


def _comparisons(result: RankResult, scale: float) -> str:
    above = ["", "", r"\multicolumn{2}{c}{mean}", r"\multicolumn{3}{c}{corrected $p$}", r"\multicolumn{2}{c}{gain}"]
    against, other = ("baseline", "its baseline") if has_baselines(result) else ("against", "the other of its pair")
    heads = ["treatment", against, "score", "gain", "Bonferroni", "Holm", "Wilcoxon", "$r$", r"median [95\,\%]"]
    lines = [_row(above), r"\cmidrule(lr){3-4} \cmidrule(lr){5-7} \cmidrule(lr){8-9}", _row(heads), r"\midrule"]
    firsts = {next(iter(group.members)) for group in groups(result.table, list(result.ranks.columns))[1:]}
    for line in compared(result, scale):
        baseline, mean, gain, _, *p_values, effect, median = comparison_cells(line, scale)
        p_values[:1] = [_bold(_number(p_values[0]), line.verdict in _SHOWN)]
        cells = [latex(line.treatment), latex(baseline), *map(_number, (mean, gain)), *p_values[:1]]
        cells += [*map(_number, p_values[1:]), _number(effect), _number(median)]
        lines += [r"\addlinespace"] * (line.treatment in firsts) + [_row(cells)]
    metric, made = latex(scaled_title(result.table.metric, scale)), plural(len(result.comparisons), "comparison")
    caption = (
        f"Mean {metric} of each treatment and its gain over {other}. Two-sided exact test of rank sums "
        f"(Eisinga et al. 2017), corrected for {made}; bold below {ALPHA:g}. Wilcoxon: signed-rank test, Holm. "
        "$r$: rank-biserial correlation."
    )
    return _table(caption, "comparisons", "llrrrrrrr", lines)


def _table(caption: str, label: str, columns: str, lines: Sequence[str]) -> str:
    body = "\n".join(lines)
    return (
        "\\begin{table}\n\\centering\\scriptsize\\setlength{\\tabcolsep}{2pt}\n"
        f"\\caption{{{caption}}}\\label{{tab:{label}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _score(cell: ScoreCell) -> str:
    rank = f"$_{{{cell.rank}}}$" if cell.rank else ""
    spread = rf"{{\tiny\,$\pm$\,{cell.spread[2:]}}}" if cell.spread else ""
    return f"{_bold(cell.score, cell.best)}{rank}{spread}"


def _bold(text: str, bold: bool) -> str:
    return rf"\textbf{{{text}}}" if bold and text else text


def _number(text: str) -> str:
    """Numbers as text, with true minus signs and powers of ten; not for names."""
    text = re.sub(r"(\d\.\d)e-0?(\d+)", r"$\1\\times10^{-\2}$", text)
    text = re.sub(r"(?<![\d{])-(?=\d)", "$-$", text)
    return re.sub(r"^-$", "--", text)
