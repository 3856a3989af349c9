"""A ranking as Markdown, CSV and a table for the terminal, with sentences that say what was found."""

import math
from typing import NamedTuple

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

_TITLES = {"w_f1": "W-F1"}
_ESCAPES = str.maketrans({c: f"\\{c}" for c in "\\`*[]|"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class _Row(NamedTuple):
    label: str
    cells: list[str]
    best: list[bool]


def to_markdown(result: RankResult, scale: float = 1.0) -> str:
    """The ranking as a Markdown page: the table, then what was found.

    A cell is the score, its spread where there are several seeds, and the rank in the block; the best is bold and a gap
    is ``-``. Below the blocks are rank sums and, under each compared treatment, the comparison with its baseline.

    Args:
        result: from ``rank``.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.

    Example:
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> print(to_markdown(rank(scores, [("nat", "org")]), scale=100).split("## ")[0])
        # Ranking
        <BLANKLINE>
        | score (rank) | org | nat |
        |:--|--:|--:|
        | meld | 50.00 (2) | **55.00 (1)** |
        | iemocap | **60.00 (1)** | 58.00 (2) |
        | rank sum | 3 | 3 |
        | difference from org |  | 0 |
        | exact p |  | 1.00000 |
        | Bonferroni p |  | 1.00000 |
        <BLANKLINE>
        <BLANKLINE>
    """
    lines = [[_escape(text) for text in (_corner(result), *map(str, result.ranks.columns))]]
    lines.append([":--", *["--:"] * result.k])
    for row in _rows(result, scale):
        cells = [f"**{cell}**" if best else cell for cell, best in zip(row.cells, row.best, strict=True)]
        lines.append([_escape(row.label), *cells])
    head, rule, *body = lines
    table = "\n".join([_line(head), f"|{'|'.join(rule)}|", *map(_line, body)])
    findings = "\n".join(f"- {_escape(sentence)}" for sentence in sentences(result))
    return f"# Ranking\n\n{table}\n\n## What was found\n\n{findings}\n"


def to_rich(result: RankResult, scale: float = 1.0) -> Table:
    """The table of ``to_markdown`` for the terminal; print ``sentences`` below it, with ``markup=False``.

    Example:
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> [str(column.header) for column in to_rich(rank(scores, []), scale=100).columns]
        ['score (rank)', 'org', 'nat']
    """
    table = _rich_table([_corner(result), *map(str, result.ranks.columns)])
    for number, row in enumerate(_rows(result, scale)):
        if number == len(result.table.cells):
            table.add_section()
        cells = [Text(cell, "bold" if best else "") for cell, best in zip(row.cells, row.best, strict=True)]
        table.add_row(Text(row.label), *cells)
    return table


def scores_to_markdown(table: ScoreTable, scale: float = 1.0) -> str:
    """Scores without ranks as a Markdown table; for what is shown but not ranked.

    Example:
        >>> print(scores_to_markdown(ScoreTable.from_frame(pd.DataFrame({"nat": [0.5]}, index=["meld"])), scale=100))
        | score | nat |
        |:--|--:|
        | meld | 50.00 |
        <BLANKLINE>
    """
    head = _line([_escape(text) for text in (_title(table.metric), *map(str, table.cells.columns))])
    rows = [_line([_escape(str(block)), *_score_cells(table, block, scale)]) for block in table.cells.index]
    return "\n".join([head, f"|{'|'.join([':--', *['--:'] * len(table.cells.columns)])}|", *rows]) + "\n"


def scores_to_rich(table: ScoreTable, scale: float = 1.0) -> Table:
    """The table of ``scores_to_markdown`` for the terminal.

    Example:
        >>> scores_to_rich(ScoreTable.from_frame(pd.DataFrame({"nat": [0.5]}, index=["meld"]))).row_count
        1
    """
    shown = _rich_table([_title(table.metric), *map(str, table.cells.columns)])
    for block in table.cells.index:
        shown.add_row(Text(str(block)), *map(Text, _score_cells(table, block, scale)))
    return shown


def to_csv(result: RankResult, scale: float = 1.0) -> str:
    """The ranking as CSV: a row per treatment, in full precision.

    Columns: ``treatment, rank_sum, baseline, rank_sum_difference, p, p_bonferroni``, then for each block ``<block>``
    (the score) and ``<block>_rank``, and where there are several seeds ``<block>_std`` and ``<block>_seeds``. What does
    not apply is empty; a treatment that is compared with several baselines has a row for each.

    Example:
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> print(to_csv(rank(scores, [("nat", "org")]), scale=100))
        treatment,rank_sum,baseline,rank_sum_difference,p,p_bonferroni,meld,meld_rank,iemocap,iemocap_rank
        org,3.0,,,,,50.0,2.0,60.0,1.0
        nat,3.0,org,0.0,1.0,1.0,55.0,1.0,58.0,2.0
        <BLANKLINE>
    """
    table = result.table
    sums = pd.DataFrame({"treatment": result.rank_sums.index, "rank_sum": result.rank_sums.to_numpy()})
    rows = sums.merge(result.comparisons, on="treatment", how="left").set_index("treatment", drop=False)
    columns = [rows]
    for block in table.cells.index:
        parts = {block: (table.cells.loc[block] * scale).round(10), f"{block}_rank": result.ranks.T.get(block)}
        if _several_seeds(result):
            parts |= {f"{block}_std": table.spread.loc[block] * scale, f"{block}_seeds": table.seeds.loc[block]}
        columns.append(pd.DataFrame(parts, index=result.ranks.columns).loc[rows.index])
    return pd.concat(columns, axis=1).to_csv(index=False, lineterminator="\n")


def sentences(result: RankResult) -> list[str]:
    """What was found, by which test, how sure, and what cannot be concluded, in plain text.

    Example:
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> for sentence in sentences(rank(scores, [("nat", "org")])):
        ...     print(sentence.split(".")[0])
        Friedman's test over 2 blocks and 2 treatments does not show that the treatments differ (chi-square 0
        A difference cannot be significant at this size (smallest attainable corrected p = 0
        One score stands in each cell: a difference under one point (of 100) is not a finding
        Rank sums depend on all treatments in the table: others beside them can change what is found (Benavoli, Corani and Mangili 2016)
    """  # noqa: E501
    found = [*_friedman(result), *([result.limit] if result.limit else _comparisons(result))]
    return [*found, *_gaps(result), _seeds(result), _POOL]


_POOL = (
    "Rank sums depend on all treatments in the table: others beside them can change what is found "
    "(Benavoli, Corani and Mangili 2016)."
)


def _friedman(result: RankResult) -> list[str]:
    if result.friedman is None:
        return []
    chi2, df, p = result.friedman
    verdict = "shows" if p < ALPHA and result.n > 1 else "does not show"
    blocks = f"{result.n} block{'s' if result.n > 1 else ''}"
    return [
        f"Friedman's test over {blocks} and {result.k} treatments {verdict} that the treatments differ "
        f"(chi-square {chi2:.4f}, {df} degree{'s' if df > 1 else ''} of freedom, p = {_p(p)} by the chi-square "
        f"approximation)."
    ]


def _comparisons(result: RankResult) -> list[str]:
    if result.comparisons.empty:
        return ["No treatment has a baseline in the table, so none were compared."]
    groups: dict[str, list[str]] = {
        "better than the baseline": [],
        "worse than the baseline": [],
        "no difference shown": [],
    }
    for row in result.comparisons.to_dict("records"):
        better = "better" if row["rank_sum_difference"] > 0 else "worse"
        group = f"{better} than the baseline" if row["p_bonferroni"] < ALPHA else "no difference shown"
        groups[group].append(f"{row['treatment']} against {row['baseline']} (p = {_p(row['p_bonferroni'])})")
    ties = f", given the tied ranks in {result.tied_blocks} of the blocks" if result.tied_blocks else ""
    verdicts = "; ".join(f"{group}: {', '.join(pairs)}" for group, pairs in groups.items() if pairs)
    proof = " A difference that is not shown may still be there." if groups["no difference shown"] else ""
    return [
        f"By the exact test of rank-sum differences (Eisinga et al. 2017){ties}, two-sided, Bonferroni-corrected for "
        f"{len(result.comparisons)} comparison{'s' if len(result.comparisons) > 1 else ''}, at the {ALPHA:g} level: "
        f"{verdicts}.{proof}"
    ]


def _gaps(result: RankResult) -> list[str]:
    table = result.table
    missing = [f"No scores, so left out: {', '.join(table.missing)}."] if table.missing else []
    dropped = [f"Not ranked, because a score is missing: {', '.join(table.dropped)}."] if table.dropped else []
    return missing + dropped


def _seeds(result: RankResult) -> str:
    seeds = result.table.seeds.loc[result.ranks.index].to_numpy()
    fewest, most = int(seeds.min()), int(seeds.max())
    if most == 1:
        return "One score stands in each cell: a difference under one point (of 100) is not a finding."
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    caution = " Where there is one seed, a difference under one point (of 100) is not a finding." if fewest == 1 else ""
    return f"Scores are means over {number} seeds, with their sample standard deviation.{caution}"


def _rows(result: RankResult, scale: float) -> list[_Row]:
    rows = [_score_row(result, block, scale) for block in result.table.cells.index]
    plain = [False] * result.k
    rows.append(_Row("rank sum", [_rank(value) for value in result.rank_sums], plain))
    if result.comparisons.empty:
        return rows
    formats = {
        "rank_sum_difference": (f"difference from {_baseline(result)}", _rank),
        "p": ("exact p", _p),
        "p_bonferroni": ("Bonferroni p", _p),
    }
    for column, (label, shown) in formats.items():
        texts: dict[str, list[str]] = {treatment: [] for treatment in result.ranks.columns}
        for treatment, value in zip(result.comparisons["treatment"], result.comparisons[column], strict=True):
            texts[treatment].append(shown(value))
        rows.append(_Row(label, [" / ".join(values) for values in texts.values()], plain))
    return rows


def _score_row(result: RankResult, block: str, scale: float) -> _Row:
    texts = _score_cells(result.table, block, scale)
    if block not in result.ranks.index:
        return _Row(str(block), texts, [False] * result.k)
    ranks = result.ranks.T[block].tolist()
    cells = [f"{text} ({_rank(value)})" for text, value in zip(texts, ranks, strict=True)]
    return _Row(str(block), cells, [value == min(ranks) for value in ranks])


def _score_cells(table: ScoreTable, block: str, scale: float) -> list[str]:
    scores, spread = table.cells.T[block].tolist(), table.spread.T[block].tolist()
    texts = ["-" if math.isnan(score) else f"{score * scale:.2f}" for score in scores]
    return [t if math.isnan(std) else f"{t} ± {std * scale:.2f}" for t, std in zip(texts, spread, strict=True)]


def _rich_table(columns: list[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text(columns[0]), overflow="fold")
    for column in columns[1:]:
        table.add_column(Text(column), justify="right", overflow="fold")
    return table


def _baseline(result: RankResult) -> str:
    """What the baselines have in common and their treatments have not, e.g. ``org``."""
    keys = result.table.keys
    pairs = zip(result.comparisons["treatment"], result.comparisons["baseline"], strict=True)
    parts = {part for t, b in pairs for other, part in zip(keys[t], keys[b], strict=True) if other != part}
    return parts.pop() if len(parts) == 1 else "baseline"


def _corner(result: RankResult) -> str:
    return f"{_title(result.table.metric)} (rank)"


def _title(metric: str) -> str:
    return _TITLES.get(metric, metric)


def _several_seeds(result: RankResult) -> bool:
    return int(result.table.seeds.to_numpy().max()) > 1


def _rank(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _p(value: float) -> str:
    return f"{value:.5f}" if value >= 1e-5 else f"{value:.1e}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return " ".join(text.split()).translate(_ESCAPES)
