"""A stage is computed once: its key, its folder in the cache, and its scores."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ercsatz.artifacts.cache import Artifact, Artifacts, Kind, State
from ercsatz.artifacts.keys import code_sha256
from ercsatz.data.dialogue import Corpus, Dialogue, fingerprint
from ercsatz.data.text_files import atomic_write, json_lines, read_text, write_json_lines

# What determines the weights that a stage ends with; a change in any of these files is a new stage.
_CODE = (
    "classifiers",
    "training/data_module.py",
    "training/trainer.py",
    "training/lightning_module.py",
    "training/run_stage.py",
    "data/metrics.py",
)


@dataclass(frozen=True)
class Stage:
    """One training run inside a job.

    Attributes:
        name: original, pretrain or finetune; teacher or topic for what is trained before one of these.
        variant: whose training dialogues it sees.
        corpus: has the splits train and validation.
        settings: all else that determines its weights; plain JSON values.
        start: the key of the stage, or the identity of the checkpoint, that it starts from.
        prior: the key of the stage that was trained before it on the same dialogues: a teacher, a topic layer.
    """

    name: str
    variant: str
    corpus: Corpus
    settings: Mapping[str, Any]
    start: str | None = None
    prior: str | None = None

    @cached_property
    def description(self) -> dict[str, Any]:
        """Everything that determines the stage's weights; its hash is the key."""
        return {
            "labels": list(self.corpus.labels),
            "train": fingerprint(self.corpus.split("train")),
            "validation": fingerprint(self.corpus.split("validation")),
            "start": self.start,
            "prior": self.prior,
            "code": code_version(),
            **self.settings,
        }

    @property
    def key(self) -> str:
        """16 hex digits that name the stage in the cache."""
        return self.artifact.key

    @cached_property
    def artifact(self) -> Artifact:
        """The stage in the artifact cache; what its loggers write is no part of it."""
        named = (self.settings.get("classifier", {}).get("name"), self.name, "seed", self.settings.get("seed"))
        owner = " ".join(str(word) for word in (self.corpus.name, *named))
        return Artifact(Kind.stages, self.description, owner, logs=("logs", "wandb"))


@cache
def code_version() -> str:
    """Hash of the code that decides what a stage learns; comments and layout do not count."""
    package = Path(__file__).resolve().parents[1]
    places = [package / place for place in _CODE]
    files = [file for path in places for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return code_sha256(files)[:16]


@dataclass(frozen=True)
class StageCache:
    """Finished stages, ``<folder>/stages/<key>``, and their predictions, in the artifact cache."""

    folder: Path

    def has(self, stage: Stage) -> bool:
        """Whether a stage is there."""
        return self.state(stage) is State.cached

    def state(self, stage: Stage) -> State:
        """Whether a stage is there, or trained elsewhere at the moment."""
        return Artifacts(self.folder).state(stage.artifact)

    def resolve(self, stage: Stage, train: Callable[[Path], Mapping[str, Any]]) -> tuple[Path, dict[str, Any]]:
        """The folder and record of a stage; ``train`` is called with a folder to write into if it is not there yet.

        ``record["cached"]`` says whether it was. Another process that is at the same stage is waited for; what a killed
        one left is in the folder.
        """

        def make(folder: Path) -> None:
            started = time.time()
            record = {**train(folder), "seconds": round(time.time() - started, 1)}
            with atomic_write(folder / _RECORD) as file:
                json.dump({"key": stage.key, **record, "description": stage.description}, file, indent=2)

        entry = Artifacts(self.folder).get(stage.artifact, make)
        return entry.path, {**json.loads(read_text(entry.path / _RECORD)), "cached": entry.cached}

    def predictions(
        self, folder: Path, dialogues: Sequence[Dialogue], predict: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """A stage's predictions on some dialogues, computed by ``predict`` if they are not there yet."""
        description = {"stage": folder.name, "dialogues": fingerprint(dialogues)}
        artifact = Artifact(Kind.predictions, description, f"stage {folder.name} on {len(dialogues):,} dialogues")
        entry = Artifacts(self.folder).get(artifact, lambda place: write_json_lines(place / _PREDICTIONS, predict()))
        return [row for _, row in json_lines(entry.path / _PREDICTIONS)]


_RECORD, _PREDICTIONS = "stage.json", "predictions.jsonl"
