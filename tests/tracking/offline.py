"""What an offline run of Weights & Biases holds, read from its file: a LevelDB log of protobuf records."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_FULL, _LAST = 1, 4


@dataclass
class OfflineRun:
    """One run: its record, configuration, history, summary, artifacts and exit code."""

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def table(self, key: str) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table that was logged."""
        (file,) = self.folder.glob(f"files/media/table/{key}_*.table.json")
        found = json.loads(file.read_text())
        return found["columns"], found["data"]

    def curve(self, key: str) -> list[float]:
        return [row[key] for row in self.history if key in row]


def records(file: Path) -> Iterator[Record]:
    data, place, parts = file.read_bytes(), _FILE_HEADER, b""
    while place + _HEADER <= len(data):
        if (left := _BLOCK - place % _BLOCK) < _HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + _HEADER])
        parts += data[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        if kind in (_FULL, _LAST):
            yield Record.FromString(parts)
            parts = b""


def read(folder: Path) -> OfflineRun:
    """The run in a folder ``offline-run-*``."""
    (file,) = folder.glob("run-*.wandb")
    found = OfflineRun(folder)
    for record in records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            row = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            found.history.append(row)
        elif kind == "summary":
            update = record.summary.update
            found.summary |= {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in update}
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def read_all(folder: Path) -> list[OfflineRun]:
    """All runs below a folder, in the order they began."""
    return [read(run) for run in sorted(folder.rglob("offline-run-*"), key=lambda run: run.name)]
