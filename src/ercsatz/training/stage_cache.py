"""A stage is computed once: its folder in the artifact cache, and its predictions."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ercsatz.artifacts.cache import Artifact, Artifacts, Kind, State
from ercsatz.data.dialogue import Dialogue, fingerprint
from ercsatz.data.text_files import atomic_write, json_lines, parse_json, read_text, write_json_lines
from ercsatz.errors import UserError
from ercsatz.training.graph import Stage


@dataclass(frozen=True)
class StageCache:
    """Finished stages, ``<folder>/stages/<key>``, and their predictions, in the artifact cache."""

    folder: Path

    def state(self, stage: Stage) -> State:
        """Whether a stage is there, or trained elsewhere at the moment."""
        return self.state_of(stage.key)

    def state_of(self, key: str) -> State:
        """The same of a stage of which only the key is known."""
        return Artifacts(self.folder).state_of(Kind.stages, key)

    def resolve(
        self, stage: Stage, train: Callable[[Path], Mapping[str, Any]], wait: bool = True
    ) -> tuple[Path, dict[str, Any]]:
        """The folder and record of a stage; ``train`` is called with a folder to write into if it is not there yet.

        ``record["cached"]`` says whether it was. Another process that is at the same stage is waited for, if it may be;
        what a killed one left is in the folder.

        Raises:
            HeldError: another process is at it, and ``wait`` is false.
        """

        def make(folder: Path) -> None:
            started = time.time()
            record = {**train(folder), "seconds": round(time.time() - started, 1)}
            with atomic_write(folder / _RECORD) as file:
                json.dump({"key": stage.key, **record, "description": stage.description}, file, indent=2)

        entry = Artifacts(self.folder).get(stage.artifact, make, wait)
        return entry.path, {**parse_json(read_text(entry.path / _RECORD)), "cached": entry.cached}

    def predictions(
        self, stage: Stage, dialogues: Sequence[Dialogue], predict: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """A stage's predictions on some dialogues, computed by ``predict`` if they are not there yet.

        Raises:
            UserError: an earlier version kept predictions that are no numbers.
        """
        description = {"stage": stage.key, "dialogues": fingerprint(dialogues)}
        owner = f"{stage.artifact.owner}, on {len(dialogues):,} dialogues"
        artifact = Artifact(Kind.predictions, description, owner)
        entry = Artifacts(self.folder).get(artifact, lambda place: write_json_lines(place / _PREDICTIONS, predict()))
        rows = [row for _, row in json_lines(entry.path / _PREDICTIONS)]
        if not all(math.isfinite(sum(row["probabilities"])) for row in rows):
            raise UserError(
                f"{owner}: the predictions in {entry.path} are not finite (NaN): its training diverged. Remove that "
                f"folder and {Artifacts(self.folder).place(stage.artifact)}, and run it again with a lower training.lr."
            )
        return rows


_RECORD, _PREDICTIONS = "stage.json", "predictions.jsonl"
