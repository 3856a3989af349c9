"""A stage is computed once: its key, its folder in the cache, and its scores."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ercsatz.data.dialogue import Corpus, Dialogue, atomic_write, fingerprint, json_lines, read_text, write_json_lines
from ercsatz.training.fingerprint import code_sha256

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

    @cached_property
    def key(self) -> str:
        """16 hex digits that name the stage in the cache."""
        return hashlib.sha256(json.dumps(self.description, sort_keys=True).encode()).hexdigest()[:16]


@cache
def code_version() -> str:
    """Hash of the code that decides what a stage learns; comments and layout do not count."""
    package = Path(__file__).resolve().parents[1]
    places = [package / place for place in _CODE]
    files = [file for path in places for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return code_sha256(files)[:16]


def checkpoint_identity(checkpoint: str | None) -> str | None:
    """What tells one set of weights from another: the content's SHA-256 for a folder, else the hub name."""
    if checkpoint is None or not Path(checkpoint).is_dir():
        return checkpoint
    digest = hashlib.sha256()
    for file in sorted(Path(checkpoint).glob("*")):
        if file.suffix in {".json", ".safetensors", ".txt", ".model"} and file.name != "stage.json":
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class StageCache:
    """Finished stages below one folder, ``<folder>/stages/<key>``.

    A stage is trained in ``<key>.partial``, which is renamed when it is done; whoever holds ``<key>.lock`` may write.
    The operating system frees the lock of a killed process.
    """

    folder: Path

    def has(self, stage: Stage) -> bool:
        """Whether a stage is there."""
        return self._is_done(self._stages / stage.key)

    def resolve(self, stage: Stage, train: Callable[[Path], Mapping[str, Any]]) -> tuple[Path, dict[str, Any]]:
        """The folder and record of a stage; ``train`` is called with a folder to write into if it is not there yet.

        ``record["cached"]`` says whether it was. Another process that is at the same stage is waited for.
        """
        key = stage.key
        done, partial = self._stages / key, self._stages / f"{key}.partial"
        with self._locked(key):
            cached = self._is_done(done)
            if not cached:
                partial.mkdir(parents=True, exist_ok=True)
                started = time.time()
                record = {**train(partial), "seconds": round(time.time() - started, 1)}
                with atomic_write(partial / "stage.json") as file:
                    json.dump({"key": key, **record, "description": stage.description}, file, indent=2)
                partial.rename(done)
        return done, {**json.loads(read_text(done / "stage.json")), "cached": cached}

    def predictions(
        self, folder: Path, dialogues: Sequence[Dialogue], predict: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """A stage's predictions on a test split, computed by ``predict`` if they are not in its folder yet."""
        name = fingerprint(dialogues)[:16]
        path = folder / "predictions" / f"{name}.jsonl"
        with self._locked(f"{folder.name}-{name}"):
            if not path.is_file():
                write_json_lines(path, predict())
        return [row for _, row in json_lines(path)]

    @property
    def _stages(self) -> Path:
        return self.folder / "stages"

    @staticmethod
    def _is_done(folder: Path) -> bool:
        return (folder / "stage.json").is_file()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        self._stages.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._stages / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"  waiting for another process that is at {name}", flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
