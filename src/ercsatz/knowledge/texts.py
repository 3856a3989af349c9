"""The texts that a sidecar is about: a file that was made for other texts is noticed by their hashes."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ercsatz.config.advice import advised
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError

Key = tuple[str, str, int]
"""Split, id of the dialogue, turn from 0."""
Splits = Mapping[str, Sequence[Dialogue]]


def text_hash(*texts: str) -> str:
    """8 hex digits of the SHA-256 of texts, on a line each; runs of white space count as one space.

    >>> text_hash("Sorry I'm late."), text_hash(" Sorry  I'm late.")
    ('9ae3d3d7', '9ae3d3d7')
    """
    return hashlib.sha256("\n".join(" ".join(text.split()) for text in texts).encode()).hexdigest()[:8]


class Texts:
    """The texts of a data set, or of some of its splits, which a sidecar must be about.

    Args:
        name: of the data set.
        splits: its dialogues.

    Attributes:
        splits: the names of the splits.
    """

    def __init__(self, name: str, splits: Splits) -> None:
        self.splits = frozenset(splits)
        self._name = name
        self._texts = {
            (split, dialogue.id): [turn.text for turn in dialogue.utterances]
            for split, dialogues in splits.items()
            for dialogue in dialogues
        }

    def check(self, where: str, key: Key, text: str) -> None:
        """Refuse what is known about a dialogue, a turn or a text (by its hash) that the data set does not have.

        Raises:
            UserError: begins with ``where``.
        """
        split, dialogue, turn = key
        if text_hash(self._of(where, split, dialogue, turn + 1)[turn]) != text:
            self._refuse(where, f"turn {turn} of dialogue {dialogue!r} ({split}) has another text")

    def check_whole(self, where: str, split: str, dialogue: str, turns: int, text: str | None) -> None:
        """Refuse what is known about all ``turns`` of a dialogue, unless it is there with texts of this hash.

        Raises:
            UserError: begins with ``where``.
        """
        texts = self._of(where, split, dialogue, turns)
        if turns < len(texts):
            raise UserError(f"{where}: {turns} turns, but there are {len(texts)}.")
        if text_hash(*texts) != text:
            self._refuse(where, f"dialogue {dialogue!r} ({split}) has other texts")

    def _of(self, where: str, split: str, dialogue: str, turns: int) -> list[str]:
        found = self._texts.get((split, dialogue), [])
        if len(found) < turns:
            has = f"dialogue {dialogue!r} has {len(found)} turns" if found else f"there is no dialogue {dialogue!r}"
            self._refuse(where, has)
        return found

    def _refuse(self, where: str, what: str) -> NoReturn:
        raise UserError(
            f"{where}: {what}, so the sidecar belongs to another data set, or to an earlier {self._name}. "
            f"Remove it and make it again: {advised('knowledge', f'data={self._name}')}"
        )
