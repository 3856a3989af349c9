"""How probable is it that one treatment is better: the Bayesian signed-rank test."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ercsatz.errors import UserError
from ercsatz.ranking.exact_test import FloatArray

SAMPLES = 50_000
"""Drawn from the posterior: a probability is off by about 0.002 at most (one standard deviation)."""

WEIGHTS = 10_000_000
"""Drawn at the most, one for each block and sample; of 1,000 blocks there are 10,000 samples, off by about 0.005."""

PRIOR = 0.5
"""Weight of one made-up block without a difference, which makes the test cautious."""


class BayesPosterior(NamedTuple):
    """Probabilities that a treatment is better than its baseline, practically the same, or worse; they add up to 1."""

    better: float
    rope: float
    worse: float


def bayesian_signed_rank(differences: npt.ArrayLike, rope: float, seed: int = 0) -> BayesPosterior:
    """Probabilities that the typical difference lies above, inside and below a region of practical equivalence.

    A draw from the posterior is a weighting of the blocks (Dirichlet: each block 1, a made-up one without a difference
    ``PRIOR``). The treatment is better in it if the mean of two blocks' differences lies above the region with more
    weight than inside or below. Sources: Benavoli, Mangili, Corani, Zaffalon and Ruggeri, "A Bayesian Wilcoxon
    signed-rank test based on the Dirichlet process" (ICML 2014); Benavoli, Corani, Demsar and Zaffalon, "Time for a
    change: a tutorial for comparing multiple classifiers through Bayesian analysis" (JMLR 18:77, 2017).

    Args:
        differences: of two treatments' scores, one per block, shape (n,); positive is better.
        rope: differences from -rope to rope are practically none; in units of the scores, 0 or more.
        seed: of the draws; the same seed gives the same probabilities.

    Raises:
        UserError: the region of practical equivalence is negative or not a number.

    Example:
        >>> posterior = bayesian_signed_rank([0.5, 1.2, 2.0, -0.8, 0.1], rope=0.2)
        >>> [round(p, 2) for p in posterior]
        [0.86, 0.06, 0.08]
    """
    check_rope(rope)
    values = np.sort(np.append(np.asarray(differences, dtype=np.float64), 0.0))
    zero = int(np.searchsorted(values, 0.0))
    # The edge belongs to the region; the sum of two differences may miss it by a rounding.
    edge = 2 * rope + 1e-12 * max(np.abs(values).max(), rope)
    random = np.random.default_rng(seed)
    wins = np.zeros(3, dtype=np.int64)
    for size in _batches(len(values)):
        weights = random.standard_exponential((len(values), size))  # a Dirichlet draw but for its scale
        weights[zero] = random.standard_gamma(PRIOR, size)
        better = _above(values, weights, edge)
        worse = _above(-values[::-1], weights[::-1], edge)
        same = weights.sum(axis=0) ** 2 - better - worse
        wins += np.bincount(np.argmax([same, better, worse], axis=0), minlength=3)
    within, above, below = (wins / wins.sum()).tolist()
    return BayesPosterior(above, within, below)


def check_rope(rope: float) -> None:
    """Raise a ``UserError`` unless the region of practical equivalence is a number from 0 on.

    Example:
        >>> check_rope(0.5)
    """
    if not 0 <= rope < np.inf:
        raise UserError(f"The region of practical equivalence is {rope}; it must be a difference of scores, 0 or more.")


def _batches(blocks: int) -> list[int]:
    """Numbers of draws to make at once, so that memory stays small with many blocks."""
    most, samples = max(1, 1_000_000 // blocks), min(SAMPLES, WEIGHTS // blocks)
    return [min(most, samples - start) for start in range(0, samples, most)]


def _above(values: FloatArray, weights: FloatArray, edge: float) -> FloatArray:
    """Weight of the pairs of rising values whose sum is above ``edge``, for each draw (column)."""
    from_here_on = np.zeros((len(values) + 1, weights.shape[1]))
    from_here_on[:-1] = np.cumsum(weights[::-1], axis=0)[::-1]
    partners = np.searchsorted(values, edge - values, side="right")
    pairs: FloatArray = np.einsum("vd,vd->d", weights, from_here_on[partners])
    return pairs
