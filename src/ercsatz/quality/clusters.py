"""Over how many groups of like meaning texts are spread, and how evenly.

The groups are found in real texts and serve for all data sets. Groups of a data set's own would not do: short texts
lie so smoothly that the best number of groups is a matter of chance (real MELD: mean silhouettes of .01 to .04), and
what is said again and again makes the clearest groups of all.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ercsatz.quality.measure import Better, Measure, undefined

KS = (20, 30, 40, 60, 80, 100)  # how many clusters are tried; fewer would hardly tell data sets apart
_ROWS = 5  # different texts of a cluster, on the mean, at the least
_COMPARED = 2000  # rows of a silhouette, which compares all with all
_TRIES = 3  # starts of k-means, of which the best is taken
_BETTER: dict[str, Better] = {"clusters": "higher", "entropy": "higher", "evenness": "higher", "largest_share": "lower"}


@dataclass(frozen=True, slots=True)
class Centres:
    """What clusters are made of.

    Attributes:
        points: (k, d) their centres.
        silhouettes: the mean silhouette, -1 to 1, of each number of clusters that was tried.
    """

    points: NDArray[np.float32]
    silhouettes: Mapping[int, float]


def centres(embeddings: ArrayLike, *, ks: Sequence[int] = KS, seed: int = 0) -> Centres:
    """Mini-batch k-means with that number of clusters, of ``ks``, whose mean silhouette is highest.

    Of few texts there are fewer clusters, one for every five different ones; a single one has no silhouette.

    Args:
        embeddings: (n, d) of real texts in random order, one at least; of half of the training split, so that the
            other half can be compared with it.
        ks: what is tried.
        seed: of k-means.
    """
    rows = np.asarray(embeddings, np.float32)
    most = len(np.unique(rows, axis=0)) // _ROWS
    if most < 2:
        return Centres(rows.mean(0, keepdims=True), {})
    some = rows[:_COMPARED]
    distances = _distances(some)
    found = {k: _means(rows, k, seed) for k in ([k for k in ks if k <= most] or [most])}
    scores = {k: _mean_silhouette(distances, _nearest(some, points)) for k, points in found.items()}
    return Centres(found[max(scores, key=lambda k: scores[k])], scores)


def clusters(
    embeddings: ArrayLike,
    emotions: Sequence[str | None],
    centres: Centres,
    most: Mapping[str | None, int] | None = None,
) -> list[Measure]:
    """How texts are spread over clusters: all of them, and those of each emotion by themselves.

    Args:
        embeddings: (n, d) in random order.
        emotions: (n,) the label of each row; ``None`` counts among all texts only.
        centres: of the clusters; the same for all data sets that are compared.
        most: how many texts of each emotion, and of all under ``None``, are counted at the most; see
            ``common_counts``. The more texts, the more clusters they reach.

    Returns:
        For all texts and then for each emotion: clusters (how many have a text), entropy (of their shares, in bits),
        evenness (the entropy over that of equal shares of all clusters, 0 to 1) and largest_share (above 0 to 1).
    """
    most = most or {}
    nearest = _nearest(np.asarray(embeddings, np.float32), centres.points)
    found = _measures(nearest, len(centres.points), None, most)
    for emotion in sorted({each for each in (*emotions, *most) if each is not None}):
        own = nearest[[each == emotion for each in emotions]]
        found += _measures(own, len(centres.points), emotion, most)
    return found


def common_counts(sets: Sequence[Sequence[str | None]]) -> dict[str | None, int]:
    """The smallest number of texts of each emotion, and under ``None`` of all texts, in any set that has some."""
    counts = [Counter(each for each in emotions if each is not None) for emotions in sets]
    labels = sorted(set().union(*counts))
    common: dict[str | None, int] = {each: min(c[each] for c in counts if c[each]) for each in labels}
    return common | {None: min(map(len, sets), default=0)}


def silhouettes(distances: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """How much closer each row is to its own cluster than to the next, -1 to 1; 0 where it is alone in its cluster.

    Args:
        distances: (n, n) between all rows.
        labels: (n,) from 0, at least two clusters and none empty.

    Source: Rousseeuw 1987, Silhouettes.
    """
    member = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    sums, sizes = (distances @ member).astype(np.float64), member.sum(0)
    each = np.arange(len(labels))
    own_size = sizes[labels]
    own = sums[each, labels] / np.maximum(own_size - 1, 1)
    means = sums / sizes
    means[each, labels] = np.inf
    next_best = means.min(1)
    wider = np.maximum(own, next_best)
    return np.where((own_size > 1) & (wider > 0), (next_best - own) / np.where(wider > 0, wider, 1), 0.0)


def _means(rows: NDArray[np.float32], k: int, seed: int) -> NDArray[np.float32]:
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(k, random_state=seed, n_init=_TRIES, batch_size=1024).fit(rows)
    points: NDArray[np.float32] = model.cluster_centers_
    return points


def _nearest(rows: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.intp]:
    nearest: NDArray[np.intp] = np.argmin((points**2).sum(1) - 2 * rows @ points.T, axis=1)
    return nearest


def _mean_silhouette(distances: NDArray[np.float32], nearest: NDArray[np.intp]) -> float:
    labels = np.unique(nearest, return_inverse=True)[1]  # without the clusters that none is nearest to
    return float(silhouettes(distances, labels).mean()) if labels.max() else 0.0


def _distances(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = (rows**2).sum(1)
    between: NDArray[np.float32] = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))
    np.fill_diagonal(between, 0)
    return between


def _measures(nearest: NDArray[np.intp], k: int, emotion: str | None, most: Mapping[str | None, int]) -> list[Measure]:
    of = len(nearest)
    n = min(of, most.get(emotion, of))
    if not n:
        because = "there are no texts" if emotion is None else f"no text has the label {emotion}"
        return [undefined("clusters", name, better, because, 0, of, emotion) for name, better in _BETTER.items()]
    shares = np.bincount(nearest[:n]) / n
    shares = shares[shares > 0]
    entropy = max(0.0, float(-np.sum(shares * np.log2(shares))))
    values = {"clusters": float(len(shares)), "entropy": entropy, "largest_share": float(shares.max())}
    if k > 1:
        values["evenness"] = entropy / float(np.log2(k))
    return [
        Measure("clusters", name, values[name], better, n, of, emotion=emotion)
        if name in values
        else undefined("clusters", name, better, "real texts make one cluster only", n, of, emotion)
        for name, better in _BETTER.items()
    ]
