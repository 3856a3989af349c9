"""The whole of ``predict.py``."""

import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from ercsatz.config import PredictConfig
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.knowledge import Sidecar, attach
from ercsatz.prediction.find import find_classifier
from ercsatz.prediction.progress import progress
from ercsatz.prediction.read import Given, given_labels, read_dialogues
from ercsatz.prediction.saved_classifier import SavedClassifier, load_classifier
from ercsatz.prediction.write import SUFFIXES, to_console, to_file
from ercsatz.reporting.console import SafeConsole, unfolded

_SPLIT = "test"  # whose lines in a sidecar are about the dialogues


def run(config: PredictConfig) -> None:
    """Predict the emotions of dialogues in a file, and show or write them.

    Raises:
        UserError: something is missing or wrong; nothing is written then.
    """
    if config.checkpoint is None or config.dialogues is None:
        raise UserError("Give both checkpoint=FOLDER, a trained classifier, and dialogues=FILE, what it is to read.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    file = Path(config.dialogues).expanduser()
    output = None if config.output is None else _checked(Path(config.output).expanduser(), file)
    notes = SafeConsole(stderr=True)
    dialogues: Sequence[Dialogue] = read_dialogues(file)
    folder, stage = find_classifier(Path(config.checkpoint).expanduser(), Path(config.paths.cache).expanduser())
    classifier = load_classifier(folder, config.trainer.accelerator, config.trainer.precision)
    given = given_labels(dialogues, classifier.labels, str(file))
    dialogues, about_knowledge = _with_knowledge(classifier, dialogues, config.knowledge)
    origin = f" ({stage})" if stage else ""
    _say(notes, f"{classifier.name} in {folder}{origin}. Labels: {', '.join(classifier.labels)}.")
    if classifier.reads_later_turns:
        _say(notes, f"{classifier.name} was trained to read later turns, too: a prediction may depend on what follows.")
    _say(notes, *about_knowledge, *given.notes)
    shown = unfolded()
    predicted = _predict(classifier, dialogues, output, shown, notes)
    _say(shown, *_summary(dialogues, classifier.labels, given, predicted, output))


def _checked(output: Path, file: Path) -> Path:
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"output={output}: the name must end in {' or '.join(SUFFIXES)}.")
    if output.is_dir():
        raise UserError(f"output={output} is a folder. Name a file.")
    if output.resolve() == file.resolve():
        raise UserError(f"output={output} is the file with the dialogues. Name another.")
    return output


def _with_knowledge(
    classifier: SavedClassifier, dialogues: Sequence[Dialogue], file: str | None
) -> tuple[Sequence[Dialogue], list[str]]:
    """The dialogues with what a sidecar knows about them, and what to tell of it."""
    if file is None:
        lacking = f"{classifier.name} runs without knowledge: knowledge=FILE.jsonl was not given."
        return dialogues, [lacking] if classifier.reads_knowledge else []
    if not classifier.reads_knowledge:
        raise UserError(f"knowledge={file}: this classifier reads none. Leave it out.")
    path = Path(file).expanduser()
    pair = [path.with_suffix(suffix) for suffix in (".jsonl", ".safetensors")]
    if path not in pair or not path.is_file():
        raise UserError(
            f"knowledge={file}: must be a .jsonl or .safetensors file of knowledge.py; see docs/knowledge.md."
        )
    sidecar = Sidecar(path.stem, *(place if place.is_file() else None for place in pair))
    dialogues = attach({_SPLIT: dialogues}, sidecar)[_SPLIT]
    turns = [turn for dialogue in dialogues for turn in dialogue.utterances]
    known = sum(turn.knowledge is not None for turn in turns)
    return dialogues, [
        f"Knowledge about {known:,} of {len(turns):,} turns, from the lines of split {_SPLIT} in {file}."
    ]


def _predict(
    classifier: SavedClassifier,
    dialogues: Sequence[Dialogue],
    output: Path | None,
    shown: SafeConsole,
    notes: SafeConsole,
) -> list[list[str]]:
    """The predicted label of each turn, after they were shown or written."""
    total = sum(len(dialogue.utterances) for dialogue in dialogues)
    labels = []
    with ExitStack() as stack:
        write = stack.enter_context(to_file(output, classifier.labels) if output else to_console(shown))
        scrolling = shown.is_terminal and output is None  # the tables themselves show how far it is
        advance = None if scrolling else stack.enter_context(progress(notes, total))
        for dialogue, predictions in zip(dialogues, classifier.stream(dialogues), strict=True):
            write(dialogue, predictions)
            labels.append([prediction.label for prediction in predictions])
            if advance:
                advance(len(predictions))
    return labels


def _summary(
    dialogues: Sequence[Dialogue],
    labels: Sequence[str],
    given: Given,
    predicted: Sequence[Sequence[str]],
    output: Path | None,
) -> Iterator[str]:
    """What was predicted how often; and how well, where there are labels."""
    counts = Counter(label for each in predicted for label in each)
    listed = ", ".join(f"{label} {counts[label]:,}" for label in labels)
    if output:
        yield f"Wrote {output}: {counts.total():,} turns; {listed}"
    pairs = [
        (gold, labels.index(label))
        for known, each in zip(given.classes, predicted, strict=True)
        for gold, label in zip(known, each, strict=True)
        if gold is not None
    ]
    if pairs:
        from ercsatz.data.metrics import scores

        result = scores([gold for gold, _ in pairs], [label for _, label in pairs], labels)
        told = ", ".join(f"{name} {100 * result[key]:.2f}" for name, key in _SCORES.items())
        yield f"Against the labels of {len(pairs):,} turns: {told}"


_SCORES = {"W-F1": "w_f1", "macro F1": "macro_f1", "accuracy": "accuracy"}


def _say(console: SafeConsole, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)
