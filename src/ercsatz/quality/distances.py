"""Distances between two sets of vectors: Fréchet, PRDC, a classifier that tells them apart, MAUVE."""

from collections.abc import Hashable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
NEIGHBOURS = 5
_BLOCK = 1024  # rows of a block of distances
_ROUNDING = 1e-9  # of squared distances between vectors of about length 1; equal texts must count as equal


def frechet(a: ArrayLike, b: ArrayLike) -> float | None:
    """The Fréchet distance of two normal distributions fitted to two sets of vectors, 0 or more.

    The square of it, as is the custom: |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). It shrinks with n, so
    compare at the same n only. ``None`` if a set has fewer than two vectors.

    Source: Heusel et al. 2017, GANs trained by a two time-scale update rule, section 3.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(x), len(y)) < 2:
        return None
    means = float(np.sum((x.mean(0) - y.mean(0)) ** 2))
    roots = [(each - each.mean(0)) / np.sqrt(len(each) - 1) for each in (x, y)]
    # The trace of the root of C_a C_b is the nuclear norm of any root of C_a times the transpose of any root of C_b;
    # of the centred vectors, which are such roots, the triangular factors are ones that are no longer than wide.
    first, second = map(_triangular, roots)
    shared = float(np.linalg.norm(first @ second.T, "nuc"))
    spread = sum(float(np.sum(root**2)) for root in roots)
    return max(0.0, means + spread - 2 * shared)


def _triangular(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    factor: Any = np.linalg.qr(rows, mode="r")
    return cast(NDArray[np.float64], factor)


class Prdc(NamedTuple):
    """Improved precision and recall, density and coverage.

    Attributes:
        precision: share of the other set's vectors that lie within reach of a reference vector.
        recall: share of the reference vectors that lie within reach of one of the other set's.
        density: how many reference vectors reach one of the other set's, on the mean, each divided by how many it
            reaches of its own set: k, or more where texts occur several times. About 1 for sets alike; may exceed 1.
        coverage: share of the reference vectors that reach one of the other set's.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(reference: ArrayLike, other: ArrayLike, k: int = NEIGHBOURS) -> Prdc | None:
    """How much of each of two sets of vectors lies where the other one is.

    A vector reaches as far as its k-th nearest neighbour in its own set, that distance included: so a text that
    occurs more than k times reaches its copies and nothing else. ``None`` if a set has no more than ``k`` vectors.

    Args:
        reference: (n, d).
        other: (m, d).
        k: how many neighbours.

    Source: Kynkäänniemi et al. 2019, Improved precision and recall metric; Naeem et al. 2020, Reliable fidelity and
        diversity metrics, equations 2 and 3.
    """
    real, fake = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if min(len(real), len(fake)) <= k:
        return None
    (real_reach, inside), (fake_reach, _) = _reach(real, k), _reach(fake, k)
    reached, density = np.zeros(len(fake), np.bool_), 0.0
    recalled, covered = 0, 0
    for start in range(0, len(real), _BLOCK):
        block = slice(start, start + _BLOCK)
        squares = _squares(real[block], fake)
        near = squares <= real_reach[block, None]
        reached |= near.any(0)
        density += float((near.mean(1) / inside[block]).sum())
        covered += int(near.any(1).sum())
        recalled += int((squares <= fake_reach).any(1).sum())
    return Prdc(float(reached.mean()), recalled / len(real), density, covered / len(real))


def _reach(rows: NDArray[np.float64], k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The squared distance of the k-th nearest other row, and how many others are within it."""
    reach, inside = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        squares = _squares(rows[block], rows)
        reach[block] = np.partition(squares, k, axis=1)[:, k] + _ROUNDING  # place 0 is the row itself
        inside[block] = (squares <= reach[block, None]).sum(1) - 1
    return reach, inside


def _squares(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    between: NDArray[np.float64] = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(between, 0)


def c2st(
    a: ArrayLike, b: ArrayLike, a_groups: Sequence[Hashable], b_groups: Sequence[Hashable], seed: int = 0
) -> float | None:
    """How well a logistic regression tells two sets of vectors apart: the area under the ROC curve.

    0.5 if not at all, 1 if always; by chance it may be a little under 0.5. The mean over 5 folds. Vectors of a group
    are in the same fold, also across the sets, so that nothing is learnt from a dialogue about itself or its copy.
    ``None`` if no fold and its rest have both sets, as when there are fewer than 5 groups.

    Args:
        a: (n, d).
        b: (m, d).
        a_groups: (n,) the dialogue of each vector.
        b_groups: (m,).
        seed: of the folds.

    Source: Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = _folds(a_groups, b_groups, seed)
    rows = np.vstack([np.asarray(a, np.float64), np.asarray(b, np.float64)])
    fold_of = np.array([folds[group] for group in (*a_groups, *b_groups)], np.intp)
    which = np.repeat([0, 1], [len(a_groups), len(b_groups)])
    areas = []
    for fold in range(FOLDS):
        held = fold_of == fold
        if len(set(which[held])) == 2 == len(set(which[~held])):
            weak = LogisticRegression(
                C=0.01, class_weight="balanced", max_iter=1000
            )  # there may be more columns than rows
            model = make_pipeline(StandardScaler(), weak)
            scores = model.fit(rows[~held], which[~held]).decision_function(rows[held])
            areas.append(float(roc_auc_score(which[held], scores)))
    return float(np.mean(areas)) if areas else None


def _folds(a: Sequence[Hashable], b: Sequence[Hashable], seed: int) -> dict[Hashable, int]:
    """A fold of each group; each set's groups are spread evenly over the folds."""
    folds: dict[Hashable, int] = {}
    draw = np.random.default_rng(seed)
    both = set(a) & set(b)
    for groups in (both, set(a) - both, set(b) - both):
        known = sorted(groups, key=repr)
        folds.update((known[place], fold % FOLDS) for fold, place in enumerate(draw.permutation(len(known))))
    return folds


def has_mauve() -> bool:
    """Whether the extra ``mauve`` is installed."""
    return find_spec("mauve") is not None


def mauve(reference: ArrayLike, other: ArrayLike, seed: int = 0) -> float | None:
    """The MAUVE score of two sets of vectors, above 0 to 1, by the package ``mauve-text``; ``None`` for tiny sets.

    The vectors are cut into n/20 clusters and not n/10, as k-means wants 39 vectors a cluster.

    Source: Pillutla et al. 2021, MAUVE.
    """
    x, y = np.asarray(reference, np.float32), np.asarray(other, np.float32)
    buckets = min(len(x), len(y)) // 20
    if buckets < 2:
        return None
    compute = import_module("mauve").compute_mauve
    return float(compute(p_features=x, q_features=y, num_buckets=buckets, seed=seed, verbose=False).mauve)
