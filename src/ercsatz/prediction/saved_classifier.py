"""Predict the emotions of dialogues with a trained classifier, in Python.

In Python::

    from ercsatz import load_classifier

    classifier = load_classifier("cache/stages/KEY")
    ((first, second),) = classifier.predict([[("Ann", "hello"), ("Bo", "go away")]])
    print(second.label, second.probability)

The command (``ercsatz.prediction``) reads dialogues from files; docs/predict.md is about both.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ercsatz.data.benchmarks.parsing import tidy
from ercsatz.data.dialogue import Dialogue, Utterance, check_unicode
from ercsatz.errors import UserError

if TYPE_CHECKING:  # --help does not wait for torch
    from ercsatz.classifiers.checkpoint import ErcClassifier
    from ercsatz.config import TrainerConfig

CHUNK = 128  # turns, at least, that are tokenised and predicted at once; a dialogue is never cut
FILES = ("classifier.json", "config.json", "model.safetensors")  # of a saved classifier, whatever its tokenizer

Turns = Dialogue | Sequence[tuple[str, str]]
"""A dialogue: an object, or its turns as pairs of speaker and text."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one turn.

    Attributes:
        label: the most probable one.
        probability: of ``label``, from 0 to 1.
        probabilities: of every label, in the classifier's order; they add up to 1.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class SavedClassifier:
    """A trained classifier for dialogues of any number of speakers; ``load_classifier`` makes one.

    Attributes:
        classifier: the module with what belongs to it.
        trainer: where it runs.
    """

    classifier: "ErcClassifier"
    trainer: "TrainerConfig"

    @property
    def name(self) -> str:
        """Which classifier it is."""
        return self.classifier.config.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label once, in the order of the classes."""
        return self.classifier.labels

    @property
    def reads_later_turns(self) -> bool:
        """Whether a prediction depends on turns after it, so that it changes when a dialogue goes on."""
        return self.classifier.config.reads_later_turns

    @property
    def reads_knowledge(self) -> bool:
        """Whether commonsense about the turns (``Utterance.knowledge``) matters to it."""
        return bool(self.classifier.config.knowledge_sources)

    def predict(self, dialogues: Sequence[Turns]) -> list[list[Prediction]]:
        """Predict every turn of dialogues; labels that they have are not looked at.

        Raises:
            UserError: a dialogue has no turns, or a turn is not a pair of speaker and text; the message names it.
        """
        return list(self.stream([as_dialogue(each, number) for number, each in enumerate(dialogues, 1)]))

    def stream(self, dialogues: Iterable[Dialogue]) -> Iterator[list[Prediction]]:
        """Predict dialogues one after the other, in memory that does not grow with their number.

        Yields:
            The predictions of each dialogue.
        """
        from ercsatz.training.trainer import predict

        for chunk in _chunks(map(_bare, dialogues)):
            rows = predict(self.classifier, chunk, self.trainer, every_turn=True)
            for _, turns in groupby(rows, key=lambda row: row[0]):
                yield [self._prediction(probabilities.tolist()) for _, _, probabilities in turns]

    def _prediction(self, probabilities: Sequence[float]) -> Prediction:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return Prediction(self.labels[best], probabilities[best], dict(zip(self.labels, probabilities, strict=True)))


def load_classifier(folder: str | Path, accelerator: str = "auto", precision: str = "auto") -> SavedClassifier:
    """Load a classifier that was trained and saved; nothing but its folder is read, and nothing is written.

    Args:
        folder: ``cache/stages/KEY``, where training leaves it, or a copy of that folder.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
        precision: ``auto``: bf16-mixed on a GPU that has it, else 32-true.

    Raises:
        UserError: the folder is no saved classifier, or a damaged one, or there is no such accelerator.
    """
    folder = Path(folder).expanduser()
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise UserError(
            f"{folder} is not a saved classifier: it has no {missing[0]}. Give a folder that training left in "
            "cache/stages. Pickled weights are never loaded."
        )
    from ercsatz.classifiers import checkpoint
    from ercsatz.config import TrainerConfig
    from ercsatz.config.rules import enforce, one_of
    from ercsatz.training.check_config import ACCELERATORS, PRECISIONS
    from ercsatz.training.trainer import resolve_device

    given = {"accelerator": (accelerator, ACCELERATORS), "precision": (precision, PRECISIONS)}
    enforce(one_of(f"trainer.{key}", value, known) for key, (value, known) in given.items())
    resolve_device(accelerator)
    classifier = checkpoint.load(folder)
    if not classifier.config.predicts:
        role, name = classifier.config.role, classifier.config.name
        raise UserError(f"{folder} holds a {role} layer, which predicts no emotions. Give the {name} made from it.")
    return SavedClassifier(classifier, TrainerConfig(accelerator, precision))


def as_dialogue(turns: Turns, number: int) -> Dialogue:
    """Turns as a dialogue, which is looked through.

    Args:
        turns: a dialogue, or pairs of speaker and text.
        number: becomes the id of one that has none.

    Raises:
        UserError: there are none, or one is not a pair of strings that are not empty; the message names it.
    """
    if not isinstance(turns, Dialogue):
        where = f"dialogue {number}"
        if isinstance(turns, str) or not all(_is_pair(turn) for turn in turns):
            raise UserError(f"{where}: a turn must be a pair of speaker and text, and a dialogue a list of turns.")
        turns = Dialogue(str(number), tuple(Utterance(speaker, text) for speaker, text in turns))
    check_texts(turns, f"dialogue {turns.id!r}")
    return turns


def check_texts(dialogue: Dialogue, where: str) -> None:
    """Refuse what cannot be read: a dialogue without turns, an empty speaker or text, half a surrogate pair.

    Raises:
        UserError: begins with ``where`` and names the turn.
    """
    if not dialogue.utterances:
        raise UserError(f"{where}: there are no turns. Leave it out.")
    for number, turn in enumerate(dialogue.utterances, 1):
        for key in ("speaker", "text"):
            if not getattr(turn, key).strip():
                raise UserError(f"{where}, turn {number}: the {key} is empty.")
    check_unicode(dialogue, where)


def _is_pair(turn: object) -> bool:
    return isinstance(turn, tuple | list) and len(turn) == 2 and all(isinstance(part, str) for part in turn)


def _bare(dialogue: Dialogue) -> Dialogue:
    """Texts as benchmarks have them, and no labels, which need not be the classifier's."""
    turns = (Utterance(tidy(turn.speaker), tidy(turn.text), knowledge=turn.knowledge) for turn in dialogue.utterances)
    return Dialogue(dialogue.id, tuple(turns))


def _chunks(dialogues: Iterable[Dialogue]) -> Iterator[list[Dialogue]]:
    chunk: list[Dialogue] = []
    turns = 0
    for dialogue in dialogues:
        chunk.append(dialogue)
        turns += len(dialogue.utterances)
        if turns >= CHUNK:
            yield chunk
            chunk, turns = [], 0
    if chunk:
        yield chunk
