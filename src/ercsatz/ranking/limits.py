"""What a table of a given size can show at all."""

from ercsatz.errors import UserError
from ercsatz.ranking.exact import SMALLEST_P


def smallest_attainable_p(k: int, n: int) -> float:
    """The smallest exact two-sided p-value that two treatments of an untied table can reach: 2 / (k (k - 1))^n.

    It is that of one treatment first and the other last in every block (follows from Eisinga et al. 2017).

    Args:
        k: treatments, at least 2.
        n: blocks, at least 1.

    Returns:
        In (0, 1]. Nothing below ``SMALLEST_P`` is told apart.

    Raises:
        UserError: fewer treatments or blocks.

    Example:
        >>> round(smallest_attainable_p(k=3, n=2), 4)
        0.0556
    """
    if k < 2 or n < 1:
        raise UserError(f"A ranking needs at least two treatments and one block, not {k} and {n}.")
    return max(SMALLEST_P, _full_agreement(k, n))


def blocks_needed(k: int, comparisons: int, alpha: float = 0.05) -> int:
    """The number of blocks from which on a Bonferroni-corrected exact p-value can fall below ``alpha``.

    Needed, not enough: a real difference shows in every block only if it is large. One block is never enough, since it
    shows nothing beyond itself.

    Args:
        k: treatments, at least 2.
        comparisons: number of comparisons that are corrected for; none count as one.
        alpha: level of significance, between 0 and 1.

    Raises:
        UserError: fewer than two treatments, or a level that is not between 0 and 1.

    Example:
        >>> blocks_needed(k=3, comparisons=3), blocks_needed(k=2, comparisons=1)
        (3, 6)
    """
    if k < 2 or not 0 < alpha < 1:
        raise UserError(f"Needed are at least two treatments and a level between 0 and 1, not {k} and {alpha}.")
    n = 2
    while _full_agreement(k, n) * max(1, comparisons) >= alpha:
        n += 1
    return n


def _full_agreement(k: int, n: int) -> float:
    return 2 * float(k * (k - 1)) ** -n
