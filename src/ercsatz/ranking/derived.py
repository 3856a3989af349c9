"""What stands beside the scores in a table and is made of them: averages, spreads, extremes, ranks, counters.

W&B's exports and data frames bring it along. A name alone does not tell: a treatment may be called ``bert_mean``. What
is left out has the values, too; what has the name alone is ranked, and a sentence says so.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import numpy as np

from ercsatz.ranking.exact_test import FloatArray

_KINDS = {
    "mean": r"((macro|micro|weighted|grand)[ _.-]?)?(average|avg\.?|mean|overall|total)",
    "standard deviation": r"(std|stdev|stddev|sd|std[ _.]?dev(iation)?|standard[ _]deviation|sigma)\.?",
    "standard error": r"(se|sem|stderr|std[ _.]?err(or)?|standard[ _]error)",
    "variance": r"(var|variance)",
    "minimum": r"(min|minimum|worst)",
    "maximum": r"(max|maximum|best)",
    "median": r"(median|50%)",
    "sum": r"(sum|total)",
    "rank": r"((avg|average|mean)\.?[ _]?)?ranks?([ _]?sum)?|ranking",
    "count": r"(count|n)",
}
_TOLD = 6  # rows or columns, a sentence each
_NAMES = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _KINDS.items()}
_WANDB = re.compile(r"(.+)__(MIN|MAX)")
_SUFFIX = re.compile(r"(.+?)[ _./:-]*[ _./:([-]([^ _./:()[\]-]+)[)\]]?")
_COUNTER = re.compile(
    r"(unnamed: ?[\d.]+|index|idx|id|no\.?|nr\.?|#|row|(.*/)?(global[ _])?_?step|epoch|level_\d+|block|ranks?|support"
    r"|count|n|size|#? ?(n|num|number)[ _](samples|examples|instances|test)"
    r"|((random|rng)[ _]?)?seed|run([ _]?id)?|(cv[ _]?)?fold|trial|repeat|repetition|iteration|iter|year)",
    re.IGNORECASE,
)


def kinds(name: str) -> list[str]:
    """What a row or a column of this name may be, of the others."""
    return [kind for kind, pattern in _NAMES.items() if pattern.fullmatch(name.strip())]


def derived_columns(columns: Mapping[str, FloatArray], scores_of: Sequence[bool]) -> tuple[list[str], list[str]]:
    """Columns of a wide table that are no treatments.

    Args:
        columns: name to values, NaN where there is none.
        scores_of: for each row, whether it is a block, and none that is made of others.

    Returns:
        The names, and a sentence for each, and for what has such a name alone.
    """
    rows = np.array(scores_of) if any(scores_of) else np.ones(len(scores_of), bool)
    shown = {name: values[rows] for name, values in columns.items()}
    found: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    for name, values in shown.items():
        base, kind = _beside(name, shown)
        if _COUNTER.fullmatch(name) and _counts(values, [v for other, v in shown.items() if other != name]):
            found[name] = "a number or a count of the rows"
        elif base is not None:
            made = _is_spread(kind, name, base, shown)
            (found if made else doubtful)[name] = f"the {kind} of {base!r}"
    others = [v for name, v in shown.items() if name not in found and not kinds(name)]
    for name, values in shown.items():
        if name in found or not (possible := kinds(name)):
            continue
        proven = next((kind for kind in possible if matches(kind, np.array(others), values)), None)
        (found if proven else doubtful)[name] = f"the {proven or possible[0]} of the other columns"
    doubtful = {name: what for name, what in doubtful.items() if name not in found and "mean" not in kinds(name)}
    return list(found), [*_told("column", found, True), *_told("column", doubtful, False)]


def derived_rows(
    keys: Sequence[tuple[str, ...]], scores: FloatArray, what: str
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Blocks that are made of other blocks, or treatments of other treatments.

    Args:
        keys: the parts of each name. Where one part says mean, ..., it is that over the names with the same other
            parts, if there are two, or else over all.
        scores: a row for each.
        what: what they are, for the sentences.

    Returns:
        The keys, and a sentence for each, and for what has such a name alone.
    """
    plain = [row for row, key in enumerate(keys) if not any(map(kinds, key))]
    found: dict[tuple[str, ...], str] = {}
    doubtful: dict[tuple[str, ...], str] = {}
    for row, key in enumerate(keys):
        parts = [place for place, part in enumerate(key) if kinds(part)]
        possible = [kind for place in parts for kind in kinds(key[place])]
        if not possible:
            continue
        near = [o for o in plain if all(keys[o][i] == part for i, part in enumerate(key) if i not in parts)]
        others = scores[near if len(near) > 1 else plain]
        kind = next((kind for kind in possible if matches(kind, others, scores[row])), None)
        if kind or "mean" not in possible:
            (found if kind else doubtful)[key] = f"the {kind or possible[0]} of other {what}s"
    shown = [{"_".join(key): made for key, made in those.items()} for those in (found, doubtful)]
    return list(found), [*_told(what, shown[0], True), *_told(what, shown[1], False)]


def _told(what: str, those: Mapping[str, str], left_out: bool) -> list[str]:
    shown = list(those.items())[:_TOLD]
    if left_out:
        told = [f"The {what} {name!r} is left out: its values are {made}." for name, made in shown]
    else:
        told = [
            f"The {what} {name!r} is ranked: its values are not {made}. If they are, leave it out."
            for name, made in shown
        ]
    if more := list(those)[_TOLD:]:
        told.append(f"{'Left out' if left_out else 'Ranked'} for such a reason, too: {', '.join(more)}.")
    return told


def matches(kind: str, others: FloatArray, made: FloatArray) -> bool:
    """Whether numbers are the mean, ... of others, within rounding.

    Args:
        kind: one of ``kinds``.
        others: rows x places, what they may be made of.
        made: one for each place.
    """
    there = ~np.isnan(made)
    if len(others) < 2 or not there.any() or np.isnan(others[:, there]).all(axis=0).any():
        return False
    others, made = others[:, there], made[there]
    if kind == "rank":
        return _are_ranks(others, made)
    if kind == "count":
        return bool((made == (~np.isnan(others)).sum(axis=0)).all())
    unsure = rounding(others, made)
    return any(bool((np.abs(of(others) - made) <= unsure).all()) for of in _FIGURES[kind])


def rounding(others: FloatArray, made: FloatArray) -> FloatArray:
    """How far figures may be off as both they and what they are of were rounded, by place."""
    digits = max(-int(Decimal(repr(float(value))).as_tuple().exponent) for value in made)
    return np.asarray(np.maximum(np.nanmax(np.abs(others), axis=0) * 1e-9, 10.0**-digits))


def _spread(error: bool, freedom: int, power: int = 1) -> Callable[[FloatArray], FloatArray]:
    def figure(others: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            spread = np.nanstd(others, axis=0, ddof=freedom) ** power
            return np.asarray(spread / np.sqrt((~np.isnan(others)).sum(axis=0)) if error else spread)

    return figure


_FIGURES: Mapping[str, Sequence[Callable[[FloatArray], FloatArray]]] = {
    "mean": [lambda others: np.nanmean(others, axis=0)],
    "standard deviation": [_spread(False, 0), _spread(False, 1)],
    "standard error": [_spread(True, 0), _spread(True, 1)],
    "variance": [_spread(False, 0, 2), _spread(False, 1, 2)],
    "minimum": [lambda others: np.nanmin(others, axis=0), lambda others: np.nanmax(others, axis=0)],
    "maximum": [lambda others: np.nanmax(others, axis=0), lambda others: np.nanmin(others, axis=0)],
    "median": [lambda others: np.nanmedian(others, axis=0)],
    "sum": [lambda others: np.nansum(others, axis=0)],
}


def _are_ranks(others: FloatArray, made: FloatArray) -> bool:
    """Whether numbers are the ranks of the places, or their mean or sum over the others."""
    k, n = len(made), len(others)
    whole = k * (k + 1) / 2
    if (made < 1).any() or k < 2:
        return False
    mean = (made <= k).all() and abs(made.sum() - whole) <= 0.05 * k
    return bool(mean or ((made <= n * k).all() and abs(made.sum() - n * whole) <= 1e-6))


def _beside(name: str, columns: Mapping[str, FloatArray]) -> tuple[str | None, str]:
    """The column that a name says to be about, and what it says to be of it."""
    if (match := _WANDB.fullmatch(name)) and match[1] in columns:
        return match[1], match[2]
    if (match := _SUFFIX.fullmatch(name)) and (found := kinds(match[2])) and found[0] != "mean":
        bases = [match[1], *(other for other in columns if _is_mean_of(other, match[1]))]
        return next((base for base in bases if base in columns and base != name), None), found[0]
    return None, ""


def _is_mean_of(name: str, base: str) -> bool:
    match = _SUFFIX.fullmatch(name)
    return match is not None and match[1] == base and "mean" in kinds(match[2])


def _is_spread(kind: str, name: str, base: str, columns: Mapping[str, FloatArray]) -> bool:
    """Whether a column's values can be the spread, ... of another's, and hardly scores."""
    made, of = columns[name], columns[base]
    there = ~np.isnan(made) & ~np.isnan(of)
    if kind in ("MIN", "MAX") or not there.any():
        return True
    made, of = made[there], of[there]
    if kind in ("standard deviation", "standard error", "variance"):
        return bool((made >= 0).all() and np.median(made) <= 0.5 * np.median(np.abs(of)))
    if kind in ("minimum", "maximum"):
        bounds = [columns[other][there] for other in columns if other != name and _beside_of(other, base)]
        side = (made <= of).all() if kind == "minimum" else (made >= of).all()
        return bool(side and any((bound >= of).all() if kind == "minimum" else (bound <= of).all() for bound in bounds))
    if kind in ("rank", "count"):
        return bool((made >= 1).all() and (made * 2 == np.round(made * 2)).all() and (of != np.round(of)).any())
    return False


def _beside_of(name: str, base: str) -> bool:
    match = _SUFFIX.fullmatch(name)
    return match is not None and match[1] == base and bool({"minimum", "maximum"} & set(kinds(match[2])))


def _counts(values: FloatArray, others: Sequence[FloatArray]) -> bool:
    """Whether numbers are whole where scores are not, or go up by one."""
    if np.isnan(values).any() or (values != np.round(values)).any():
        return False
    scores = np.concatenate([other[~np.isnan(other)] for other in others]) if others else np.array([])
    return bool((scores != np.round(scores)).any() or (len(values) > 1 and (np.diff(values) == 1).all()))
