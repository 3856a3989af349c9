"""What the comparisons of a ranking show, in sentences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ercsatz.ranking.metrics import one_point
from ercsatz.ranking.report.cells import digits, has_baselines, marked, number, p_text
from ercsatz.ranking.table import ALPHA, RankResult

Rows = Sequence[Mapping[Any, Any]]

_SILENT = (
    "The comparisons are taken as fixed beforehand and are corrected by themselves; with Friedman's test silent, what "
    "they show is weak evidence."
)
_MOST_LISTED = 14
_ORDER = ("better", "worse", "ahead", "behind", "no")  # of the groups of comparisons, by their first word
_MANY = 15  # comparisons, from which on they are counted and not listed


def comparison_sentences(result: RankResult, scale: float) -> list[str]:
    """Which comparisons show a difference, and by which test; of many only how many, and the clearest.

    Args:
        result: a ranking in which a difference could be shown.
        scale: what gains are multiplied with.
    """
    if result.comparisons.empty:
        return ["No treatment has a baseline in the table, so none were compared."]
    judged = result.comparisons[~result.comparisons["baseline"].isin(result.void_baselines)]
    if judged.empty:
        return []
    groups: dict[str, list[Mapping[Any, Any]]] = {}
    group = _grouping(result)
    for row in judged.to_dict("records"):
        groups.setdefault(group(row), []).append(row)
    ordered = {name: groups[name] for name in sorted(groups, key=lambda name: _ORDER.index(name.split()[0]))}
    names = list(ordered)
    told = _counted(result, ordered, scale) if len(judged) >= _MANY else _all_listed(result, ordered, scale)
    told[0] += f" {_how(result)}"
    if names[-1].startswith("no"):
        told[-1] += " A difference that is not shown may still be there."
    silent = result.tests_differences and not friedman_shows(result)
    return [*told, *([_SILENT] if silent and not names[0].startswith("no") else [])]


def _how(result: RankResult) -> str:
    ties = f", given the tied ranks in {result.tied_blocks} of the blocks" if result.tied_blocks else ""
    return (
        f"This is by the exact test of rank-sum differences (Eisinga et al. 2017){ties}, two-sided, "
        f"Bonferroni-corrected for {plural(len(result.comparisons), 'comparison')}, at the {ALPHA:g} level."
    )


def _all_listed(result: RankResult, groups: Mapping[str, Rows], scale: float) -> list[str]:
    return [f"{_capital('; '.join(f'{name}: {_told(result, name, rows, scale)}' for name, rows in groups.items()))}."]


def _counted(result: RankResult, groups: Mapping[str, Rows], scale: float) -> list[str]:
    """How many comparisons there are of each outcome; of each, how large and for which kind of treatment."""
    total = sum(map(len, groups.values()))
    everything = [row for rows in groups.values() for row in rows]
    counts = ", ".join(f"{name}: {len(rows)}" for name, rows in groups.items())
    told = [f"Of {total} comparisons, {counts}."] if len(groups) > 1 else []
    for name, rows in groups.items():
        gains = _range([row["median_difference"] * scale for row in rows], f"+.{digits(result.table, scale)}f")
        first = min(rows, key=lambda row: row["p"])
        low, high = p_text(first["p_bonferroni"]), p_text(max(row["p_bonferroni"] for row in rows))
        p = low if low == high else f"{low} to {high}"
        text = f"{_capital(name)}, {len(rows)} of {total}: median gain {gains}, p = {p}"
        if len(rows) > 1:
            text += f"; the smallest p has {_pair(result, first, 'against', scale)}"
        told.append(f"{text}.{_by_first_part(result, rows, everything)}")
    return told


def _range(values: Sequence[float], form: str) -> str:
    low, high = number(min(values), form), number(max(values), form)
    return low if low == high else f"{low} to {high}"


def _by_first_part(result: RankResult, rows: Rows, everything: Rows) -> str:
    """How many of each first part of a treatment's name, such as its classifier; nothing where that tells nothing."""
    keys = result.table.keys
    kinds = [keys[row["treatment"]][0] for row in everything]
    of_parts = has_baselines(result) and all(len(keys[row["treatment"]]) > 1 for row in everything)
    if not of_parts or len(set(kinds)) in (1, len(kinds)):
        return ""
    found = [keys[row["treatment"]][0] for row in rows]
    return f" {_capital(listed([f'of {k}: {found.count(k)} of {kinds.count(k)}' for k in dict.fromkeys(kinds)]))}."


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def friedman_shows(result: RankResult) -> bool:
    """Whether the test of all treatments at once shows that they differ."""
    test = result.friedman
    return test is not None and result.n > 1 and (test.p if test.p_exact is None else test.p_exact) < ALPHA


def _grouping(result: RankResult) -> Callable[[Mapping[Any, Any]], str]:
    """What tells what a comparison is told under."""
    table = result.table
    seeds = table.seeds.loc[result.ranks.index].min().to_dict()
    point = one_point(table.metric, table.cells)
    better, worse = (f"{word}{' than the baseline' if has_baselines(result) else ''}" for word in ("better", "worse"))

    def group(row: Mapping[Any, Any]) -> str:
        if row["p_bonferroni"] >= ALPHA:
            return "no difference shown"
        ahead = row["rank_sum_difference"] > 0
        single = min(seeds[row["treatment"]], seeds[row["baseline"]]) == 1
        if single and point and round(abs(row["median_difference"]) - point, 12) <= 0:
            place = "ahead" if ahead else "behind"
            return f"{place} in rank, but by no more than one point, which one seed cannot carry"
        return better if ahead else worse

    return group


def _told(result: RankResult, group: str, rows: Rows, scale: float) -> str:
    than = "than" if group in ("better", "worse") else "against"
    return listed([_pair(result, row, than, scale) for row in rows])


def _pair(result: RankResult, row: Mapping[Any, Any], than: str, scale: float) -> str:
    gain = number(row["median_difference"] * scale, f"+.{digits(result.table, scale)}f")
    treatment = marked(result.table, row["treatment"])
    return f"{treatment} {than} {row['baseline']} (median gain {gain}, p = {p_text(row['p_bonferroni'])})"


def listed(texts: Sequence[str]) -> str:
    """The first of some texts, and how many more there are."""
    more = f" and {len(texts) - _MOST_LISTED} more" if len(texts) > _MOST_LISTED else ""
    return ", ".join(texts[:_MOST_LISTED]) + more


def plural(count: int, noun: str) -> str:
    """A number and what it counts, e.g. ``2 blocks``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
