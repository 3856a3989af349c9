"""Our own form, which ``ercsatz.data.files`` describes: of ``mini`` and of generated data."""

from ercsatz.data.benchmarks.parsing import Source
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.files import read_jsonl


def read(source: Source) -> list[Dialogue]:
    """Read one split, with labels mapped like any other reader's.

    Raises:
        UserError: a line is not a dialogue, or a label is unknown; the message names the place.
    """
    source.choices({})
    return [
        Dialogue(
            dialogue.id,
            tuple(
                _mapped(source, turn, f"{source.path}, {dialogue.id}, turn {number}")
                for number, turn in enumerate(dialogue.utterances, 1)
            ),
            dialogue.provenance,
        )
        for dialogue in read_jsonl(source.path)
    ]


def _mapped(source: Source, turn: Utterance, where: str) -> Utterance:
    return source.turn(turn.speaker, turn.text, turn.emotion or "", where, turn.sentiment or "")
