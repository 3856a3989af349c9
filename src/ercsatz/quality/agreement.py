"""How far repeated judgements agree, which of two texts they prefer, and how far the order of the two decides."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from ercsatz.quality.measure import Better, Measure, undefined

FAMILY = "human"
PREFERENCE = "called_more_natural"
LEVEL = 0.95  # of confidence intervals
Scale = Literal["nominal", "ordinal", "interval"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two texts repeated choices in both orders prefer.

    Attributes:
        measure: the share of decided pairs in which it is the synthetic one; ``p`` is against one half.
        low: of the exact 95 % interval of that share (Clopper and Pearson, 1934), 0 to 1; ``None`` without a share.
        high: as ``low``.
        synthetic: pairs in which the synthetic one is preferred.
        real: pairs in which the real one is.
        tied: pairs in which both are chosen as often.
    """

    measure: Measure
    low: float | None
    high: float | None
    synthetic: int
    real: int
    tied: int


def krippendorff(ratings: Floats, scale: Scale = "ordinal") -> float | None:
    """Krippendorff's alpha: 1 is perfect agreement, 0 what chance gives, below 0 systematic disagreement.

    Klaus Krippendorff, *Content Analysis* (2004), chapter 11: one minus observed over expected disagreement, both from
    the matrix of coincidences within units.

    Args:
        ratings: shape (units, raters), NaN where a rater gave none; units with fewer than two ratings do not count.
        scale: what the difference between two ratings means.

    Returns:
        At most 1; ``None`` where no unit has two ratings, or all ratings are the same.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = (ratings[:, :, None] == values).sum(axis=1).astype(np.float64)  # units, values
    counts = counts[counts.sum(axis=1) >= 2]
    weights = 1 / (counts.sum(axis=1) - 1)
    coincidences = (counts * weights[:, None]).T @ counts - np.diag(weights @ counts)
    totals = coincidences.sum(axis=0)
    n = totals.sum()
    distances = _distances(values, totals, scale)
    expected = (np.outer(totals, totals) * distances).sum()
    if not expected:
        return None
    return float(1 - (n - 1) * (coincidences * distances).sum() / expected)


def _distances(values: Floats, totals: Floats, scale: Scale) -> Floats:
    """Squared differences between values, shape (values, values)."""
    match scale:
        case "nominal":
            return 1 - np.eye(len(values))
        case "ordinal":  # how many ratings lie between the two, with half of their own
            places = np.cumsum(totals) - totals / 2
        case "interval":
            places = values
    squares: Floats = (places[:, None] - places[None, :]) ** 2
    return squares


def agreement(name: str, ratings: Floats, minimum: int, scale: Scale = "ordinal") -> Measure:
    """Krippendorff's alpha of repeated ratings as a measure.

    Args:
        name: of what is rated; the measure is ``alpha_<name>``.
        ratings: shape (units, repeats), NaN where there is none.
        minimum: units with two ratings, of fewer there is no figure.
        scale: of the ratings.
    """
    key = f"alpha_{name}"
    n, of = int(((~np.isnan(ratings)).sum(axis=1) >= 2).sum()), len(ratings)
    if n < minimum:
        return undefined(FAMILY, key, "higher", f"only {n} were rated twice or more, fewer than {minimum}", n, of)
    alpha = krippendorff(ratings, scale)
    if alpha is None:
        return undefined(FAMILY, key, "higher", "all ratings are the same, so that chance explains them too", n, of)
    return Measure(FAMILY, key, alpha, "higher", n, of)


def balanced(ratings: Floats) -> Floats:
    """The mean of each order's mean, so that neither order counts more; NaN where an order has no rating.

    Args:
        ratings: shape (..., 2, repeats): two orders.

    Returns:
        Shape (...).
    """
    result: Floats = _means(ratings).mean(axis=-1)
    return result


def preference(choices: Floats, minimum: int) -> Preference:
    """The share of pairs in which the synthetic text is preferred, of those that are decided.

    A pair is one observation, however often it was judged: its choices are averaged over both orders, and it is tied
    where they are even, as they are where the order alone decides.

    Args:
        choices: shape (pairs, 2, repeats): 1 where the synthetic text was chosen, 0 where the real one was, NaN where
            there is no choice. The first order shows the synthetic text first.
        minimum: pairs judged in both orders, of fewer there is no figure.
    """
    means = balanced(choices)
    means = means[~np.isnan(means)]
    synthetic, real, tied = _signs(means - 0.5)
    n, of = synthetic + real, len(choices)
    because = _too_few(len(means), minimum) or ("" if n else "every pair was a tie: the order of the two decided")
    if because:
        measure = undefined(FAMILY, PREFERENCE, "higher", because, n, of)
        return Preference(measure, None, None, synthetic, real, tied)
    test = binomtest(synthetic, n)
    interval = test.proportion_ci(LEVEL, method="exact")
    measure = _tested(PREFERENCE, synthetic / n, "higher", n, of, float(test.pvalue))
    return Preference(measure, float(interval.low), float(interval.high), synthetic, real, tied)


def position_bias(choices: Floats, minimum: int) -> list[Measure]:
    """How far it is the order that decides.

    Args:
        choices: as for ``preference``.
        minimum: as for ``preference``.

    Returns:
        ``first_called_more_natural``: the share of choices that fell on the text shown first, one half without bias;
        its test compares the pairs in which the first was chosen more often with those in which the second was.
        ``choice_follows_order``: the share of pairs in which the two orders choose different texts.
    """
    names: tuple[tuple[str, Better], ...] = (("first_called_more_natural", "real"), ("choice_follows_order", "lower"))
    by_order = _means(choices)
    by_order = by_order[~np.isnan(by_order).any(axis=1)]
    n, of = len(by_order), len(choices)
    if because := _too_few(n, minimum):
        return [undefined(FAMILY, name, better, because, n, of) for name, better in names]
    first = (by_order[:, 0] + 1 - by_order[:, 1]) / 2
    more, less, _ = _signs(first - 0.5)
    p = float(binomtest(more, more + less).pvalue) if more + less else 1.0
    sides = np.sign(np.round(by_order - 0.5, 9))
    turned = float((sides.prod(axis=1) < 0).mean())
    return [
        _tested(names[0][0], float(first.mean()), "real", n, of, p),
        Measure(FAMILY, names[1][0], turned, "lower", n, of),
    ]


def _means(ratings: Floats) -> Floats:
    """Means along the last axis of what is there, NaN where nothing is."""
    given = (~np.isnan(ratings)).sum(axis=-1)
    return np.where(given > 0, np.nansum(ratings, axis=-1) / np.maximum(given, 1), np.nan)


def _tested(name: str, value: float, better: Better, n: int, of: int, p: float) -> Measure:
    return Measure(FAMILY, name, value, better, n, of, p=p, test="exact binomial test against one half, over pairs")


def _signs(differences: Floats) -> tuple[int, int, int]:
    """How many are above, below and at 0; rounded, as thirds do not add up."""
    rounded = np.round(differences, 9)
    return int((rounded > 0).sum()), int((rounded < 0).sum()), int((rounded == 0).sum())


def _too_few(n: int, minimum: int) -> str:
    return f"only {n} pairs were judged in both orders, fewer than {minimum}" if n < minimum else ""
