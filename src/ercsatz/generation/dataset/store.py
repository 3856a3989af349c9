"""Kept dialogues on their way to a data set: on disk, not in memory, until they are split and written."""

import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import compress, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ercsatz.data.dialogue import SPLITS, Dialogue
from ercsatz.data.files import to_json
from ercsatz.errors import UserError
from ercsatz.generation.dataset.folder import writing
from ercsatz.llm.seeds import derive

_ROW_GROUP = 1000  # dialogues; so many lines are in memory while a split is written

_TURN = pa.struct([(name, pa.string()) for name in ("speaker", "text", "emotion")])
_TEXTS = ("gender", "occupation", "mbti", "background")
_PERSONA = pa.struct([("speaker", pa.string()), ("age", pa.int64()), *((name, pa.string()) for name in _TEXTS)])
_PROVENANCE = pa.struct(
    [
        *((name, pa.int64()) for name in ("index", "seed", "attempt")),
        *((name, pa.string()) for name in ("generator", "model", "mode", "target", "prompt_sha256")),
        ("personas", pa.list_(_PERSONA)),
        ("situation", pa.struct([("text", pa.string()), ("relation", pa.string())])),
    ]
)
SCHEMA = pa.schema([("id", pa.string()), ("utterances", pa.list_(_TURN)), ("provenance", _PROVENANCE)])
"""Of the Parquet files; the same for all modes, so that data sets can be put together. Absent values are null."""


@dataclass(slots=True)
class SplitSummary:
    """Dialogues and utterances of a split.

    Attributes:
        dialogues: how many.
        utterances: how many.
        labels: utterances by emotion.
        targets: dialogues by the emotion that was wanted in them.
    """

    dialogues: int = 0
    utterances: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)


class Shelf:
    """Kept dialogues in a scratch file without a name, which is gone when the process is; a few bytes each in memory.

    Close it, or use it in a ``with`` statement.

    Args:
        folder: where the scratch file is.

    Attributes:
        n_utterances: in all dialogues.
        labels: how often each emotion occurs in all dialogues.

    Raises:
        UserError: the folder takes no files.
    """

    def __init__(self, folder: Path) -> None:
        self.n_utterances = 0
        self.labels: Counter[str] = Counter()
        self._folder = folder
        self._indices, self._targets = array("q"), array("H")
        self._codes: dict[str | None, int] = {}
        with writing(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as the shelf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._indices)

    def close(self) -> None:
        """Remove the scratch file."""
        with writing(self._folder):
            self._file.close()

    def add(self, dialogue: Dialogue) -> None:
        """Keep a dialogue, of which ``provenance`` has ``index`` and ``target``.

        Raises:
            UserError: the disk is full.
        """
        line = json.dumps(to_json(dialogue), ensure_ascii=False) + "\n"
        with writing(self._folder):
            self._file.write(line.encode())
        target = dialogue.provenance["target"]
        self._indices.append(dialogue.provenance["index"])
        self._targets.append(self._codes.setdefault(target, len(self._codes)))
        self.n_utterances += len(dialogue.utterances)
        self.labels.update(turn.emotion for turn in dialogue.utterances if turn.emotion is not None)

    def write_splits(self, folder: Path, validation: float, test: float, seed: int) -> dict[str, SplitSummary]:
        """Split by dialogue, and write every split as JSONL and as Parquet, in the order in which dialogues came.

        Args:
            folder: gets ``train.jsonl``, ``train.parquet`` and so on.
            validation: share of the dialogues, between 0 and 1.
            test: share of the dialogues, between 0 and 1.
            seed: the run's.

        Returns:
            The splits by name, train first.

        Raises:
            UserError: a split would be empty, or the disk is full.
        """
        targets = sorted(self._codes, key=lambda target: (target is not None, target or ""))
        strata = np.array([targets.index(target) for target in self._codes], np.int64)[np.asarray(self._targets)]
        places = assign(np.asarray(self._indices), strata, validation, test, seed)
        with writing(folder):
            return {name: self._write(folder / name, places == place) for place, name in enumerate(SPLITS)}

    def _write(self, path: Path, chosen: NDArray[np.bool_]) -> SplitSummary:
        summary = SplitSummary()
        self._file.seek(0)
        lines = compress(self._file, chosen)
        with (
            path.with_suffix(".jsonl").open("wb") as jsonl,
            pq.ParquetWriter(path.with_suffix(".parquet"), SCHEMA) as parquet,
        ):
            while group := list(islice(lines, _ROW_GROUP)):
                jsonl.writelines(group)
                table = _table(group)
                parquet.write_table(table)
                turns = pc.list_flatten(table["utterances"])
                summary.dialogues += len(group)
                summary.utterances += len(turns)
                summary.labels.update(_counts(pc.struct_field(turns, "emotion")))
                summary.targets.update(_counts(pc.struct_field(table["provenance"], "target")))
        return summary


def _counts(values: Any) -> dict[str, int]:
    return {count["values"]: count["counts"] for count in pc.value_counts(pc.drop_null(values)).to_pylist()}


def assign(
    indices: NDArray[np.int64], strata: NDArray[np.int64], validation: float, test: float, seed: int
) -> NDArray[np.int8]:
    """Assign every dialogue to a split: seeded, stratified, and hardly changed when dialogues are added.

    In each stratum dialogues are ranked by a hash of seed and id; the first are for testing, the last for validation.

    Args:
        indices: shape (dialogues,), all different; the id is the index in six digits.
        strata: shape (dialogues,), from 0; each has its share of every split, give or take two dialogues.
        validation: share of the dialogues, between 0 and 1; exact over all strata to one dialogue.
        test: as ``validation``.
        seed: the run's.

    Returns:
        Shape (dialogues,): the split's place in ``SPLITS``.

    Raises:
        UserError: a split would be empty.
    """
    sizes = np.bincount(strata)
    held_out = _apportion(sizes, validation + test)
    tested = _apportion(held_out, test / (validation + test))
    for name, size in zip(SPLITS, (sizes - held_out, held_out - tested, tested), strict=True):
        if not size.sum():
            raise UserError(
                f"{len(indices)} dialogues are too few: the {name} split would be empty. "
                "Raise plan.n_dialogues (or n_kept, n_utterances), or change split.validation and split.test."
            )
    ranks = np.fromiter((derive(seed, "split", f"{index:06d}") for index in indices), np.int64, len(indices))
    order = np.lexsort((indices, ranks, strata))
    places = np.full(len(indices), SPLITS.index("train"), np.int8)
    for end, size, n_held_out, n_test in zip(sizes.cumsum(), sizes, held_out, tested, strict=True):
        places[order[end - size :][:n_test]] = SPLITS.index("test")
        places[order[end - n_held_out + n_test : end]] = SPLITS.index("validation")
    return places


def _apportion(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The share of each size in whole numbers, by largest remainders: their sum is the share of the sum, rounded."""
    quotas = sizes * share
    numbers: NDArray[np.int64] = np.floor(quotas).astype(np.int64)
    left = int(np.floor(sizes.sum() * share + 0.5)) - int(numbers.sum())
    numbers[np.argsort(numbers - quotas, kind="stable")[:left]] += 1
    return numbers


def _table(lines: Iterable[bytes]) -> Any:
    """Lines of the JSONL form as an Arrow table; what is not in the schema is an error, not lost."""
    block = b"".join(lines)
    return pyarrow.json.read_json(
        pa.BufferReader(block),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(block)),
        pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error"),
    )
