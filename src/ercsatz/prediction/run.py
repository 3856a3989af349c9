"""The whole of ``predict.py``."""

import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ercsatz import threads
from ercsatz.config import PredictConfig
from ercsatz.config.rules import enforce
from ercsatz.data.benchmarks import find
from ercsatz.data.dialogue import SPLITS, Dialogue
from ercsatz.errors import UserError
from ercsatz.knowledge import Sidecar, attach
from ercsatz.prediction.find import Keys, find_classifier
from ercsatz.prediction.progress import progress
from ercsatz.prediction.read import Given, given_labels, read_dialogues
from ercsatz.prediction.saved_classifier import SavedClassifier, load_classifier
from ercsatz.prediction.wandb_predictions import log_predictions
from ercsatz.prediction.write import SUFFIXES, to_console, to_file
from ercsatz.reporting.console import SafeConsole, unfolded
from ercsatz.training.check_config import threads_rule

_KEYS = Keys("checkpoint=", "stage=NAME", "paths.cache=FOLDER")


def run(config: PredictConfig) -> None:
    """Predict the emotions of dialogues in a file, and show or write them.

    Raises:
        UserError: something is missing or wrong; nothing is written then.
    """
    if config.checkpoint is None or (config.dialogues is None and config.benchmark is None):
        raise UserError(
            "Give both checkpoint=FOLDER, a trained classifier, and dialogues=FILE, what it is to read (or "
            "benchmark=NAME, whose test split it is to read)."
        )
    if config.split not in SPLITS:
        raise UserError(f"split={config.split}: must be one of {', '.join(SPLITS)}.")
    enforce([threads_rule(config.trainer.threads)])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    file = _dialogues(config)
    output = None if config.output is None else _checked(Path(config.output).expanduser(), file)
    notes = SafeConsole(stderr=True)
    dialogues: Sequence[Dialogue] = read_dialogues(file, config.benchmark, config.split)
    cache = Path(config.paths.cache).expanduser()
    source = find_classifier(Path(config.checkpoint).expanduser(), cache, _KEYS, config.stage)
    threads.use(config.trainer.threads)
    classifier = load_classifier(source.folder, config.trainer.accelerator, config.trainer.precision)
    given = given_labels(dialogues, classifier.labels, str(file), config.benchmark)
    dialogues, about_knowledge = _with_knowledge(classifier, dialogues, config.knowledge, config.split)
    origin = f" ({source.chosen})" if source.chosen else ""
    _say(notes, f"{classifier.name} in {source.folder}{origin}. Labels: {', '.join(classifier.labels)}.")
    if classifier.reads_later_turns:
        _say(notes, f"{classifier.name} was trained to read later turns, too: a prediction may depend on what follows.")
    _say(notes, *about_knowledge, *given.notes)
    shown = unfolded()
    predicted = _predict(classifier, dialogues, output, shown, notes)
    counts, found = _counted(classifier.labels, given, predicted)
    _say(shown, *_summary(counts, found, output))
    if output is not None:
        figures = {f"labels/{label}": count for label, count in counts.items()}
        figures |= {f"test/given/{key}": found[key] for key in _SCORES.values() if found}
        log_predictions(config.wandb, (classifier.name, source.folder), dialogues, output, figures)


def _dialogues(config: PredictConfig) -> Path:
    if config.dialogues is not None or config.benchmark is None:
        return Path(str(config.dialogues)).expanduser()
    return find(config.benchmark, config.split)


def _checked(output: Path, file: Path) -> Path:
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"output={output}: the name must end in {' or '.join(SUFFIXES)}.")
    if output.is_dir():
        raise UserError(f"output={output} is a folder. Name a file.")
    if output.resolve() == file.resolve():
        raise UserError(f"output={output} is the file with the dialogues. Name another.")
    return output


def _with_knowledge(
    classifier: SavedClassifier, dialogues: Sequence[Dialogue], file: str | None, split: str
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
    dialogues = attach({split: dialogues}, sidecar)[split]
    turns = [turn for dialogue in dialogues for turn in dialogue.utterances]
    known = sum(turn.knowledge is not None for turn in turns)
    return dialogues, [f"Knowledge about {known:,} of {len(turns):,} turns, from the lines of split {split} in {file}."]


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


def _counted(
    labels: Sequence[str], given: Given, predicted: Sequence[Sequence[str]]
) -> tuple[dict[str, int], dict[str, Any]]:
    """What was predicted how often; and scores against the labels that there are, empty without any."""
    counts = Counter(label for each in predicted for label in each)
    pairs = [
        (gold, labels.index(label))
        for known, each in zip(given.classes, predicted, strict=True)
        for gold, label in zip(known, each, strict=True)
        if gold is not None
    ]
    found: dict[str, Any] = {}
    if pairs:
        from ercsatz.data.metrics import scores

        found = scores([gold for gold, _ in pairs], [label for _, label in pairs], labels)
    return {label: counts[label] for label in labels}, found


def _summary(counts: Mapping[str, int], found: Mapping[str, Any], output: Path | None) -> Iterator[str]:
    """What was predicted how often; and how well, where there are labels."""
    if output:
        listed = ", ".join(f"{label} {count:,}" for label, count in counts.items())
        yield f"Wrote {output}: {sum(counts.values()):,} turns; {listed}"
    if found:
        told = ", ".join(f"{name} {100 * found[key]:.2f}" for name, key in _SCORES.items())
        yield f"Against the labels of {found['utterances']:,} turns: {told}"


_SCORES = {"W-F1": "w_f1", "macro F1": "macro_f1", "accuracy": "accuracy"}


def _say(console: SafeConsole, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)
