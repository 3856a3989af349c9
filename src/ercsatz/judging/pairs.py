"""Which dialogues are judged beside which: each synthetic one beside a real one of about as many turns."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ercsatz.data.dialogue import Dialogue
from ercsatz.quality.measure import shuffled

SLACK_TURNS, SLACK_SHARE = 2, 0.25  # turns by which the lengths of a pair may differ, whichever is more


@dataclass(frozen=True, slots=True)
class Pair:
    """A synthetic and a real dialogue; ``index`` is the place among all pairs, from 0."""

    index: int
    synthetic: Dialogue
    real: Dialogue


@dataclass(frozen=True, slots=True)
class Drawn:
    """The pairs, and how many synthetic dialogues were passed over as no real one of their length was left."""

    pairs: tuple[Pair, ...]
    passed_over: int


def draw(synthetic: Sequence[Dialogue], real: Sequence[Dialogue], n: int, turns: int, seed: int) -> Drawn:
    """Draw at most ``n`` pairs; no dialogue is in two of them. More pairs begin with the same ones.

    Args:
        synthetic: dialogues in any order.
        real: dialogues in any order.
        n: how many pairs are wanted.
        turns: how many turns are shown; what is longer counts as so long.
        seed: of the draw.

    Returns:
        Each synthetic dialogue, in random order, with the unused real one that is closest in turns, if that is close.
    """
    queues: dict[int, list[tuple[int, Dialogue]]] = defaultdict(list)
    for rank, dialogue in enumerate(shuffled(real, seed)):
        queues[_length(dialogue, turns)].append((rank, dialogue))
    for queue in queues.values():
        queue.reverse()  # the first in the random order is taken from the end
    pairs: list[Pair] = []
    passed_over = 0
    for dialogue in shuffled(synthetic, seed):
        if len(pairs) == n:
            break
        partner = _partner(_length(dialogue, turns), queues)
        if partner is None:
            passed_over += 1
        else:
            pairs.append(Pair(len(pairs), dialogue, partner))
    return Drawn(tuple(pairs), passed_over)


def _partner(length: int, queues: dict[int, list[tuple[int, Dialogue]]]) -> Dialogue | None:
    """The closest in length; of one as much shorter and one as much longer, the first in the random order."""
    for difference in range(max(SLACK_TURNS, int(SLACK_SHARE * length)) + 1):
        near = [queue for at in {length - difference, length + difference} if (queue := queues.get(at))]
        if near:
            return min(near, key=lambda queue: queue[-1][0]).pop()[1]
    return None


def _length(dialogue: Dialogue, turns: int) -> int:
    return min(len(dialogue.utterances), turns)
