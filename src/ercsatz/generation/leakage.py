"""Generated dialogues that repeat a benchmark's real validation and test sets."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from ercsatz.config import BenchmarkConfig, LeakageConfig
from ercsatz.data.benchmarks import file_name, load
from ercsatz.data.contamination import Reference
from ercsatz.data.dialogue import SPLITS, Utterance
from ercsatz.data.text_files import atomic_write
from ercsatz.errors import UserError
from ercsatz.generation.rejection import Reason

_REAL = ("validation", "test")


class LeakageReport:
    """Tells which generated dialogues leak, and writes their hits to a file, a JSON object a line.

    A context manager; the file appears at its end, without lines if nothing leaked, and not at all if nothing could
    be compared.

    Args:
        reference: what to compare with, or why there is nothing.
        path: the file.

    Attributes:
        unchecked: why nothing was compared; ``None`` if it was.
        hits: their number by kind.
        left_out: how many dialogues leaked.
    """

    def __init__(self, reference: Reference | str, path: Path) -> None:
        self._reference, self._path, self._stack = reference, path, ExitStack()
        self.unchecked = reference if isinstance(reference, str) else None
        self.hits = Counter[str]()
        self.left_out = 0

    def __enter__(self) -> Self:
        if self.unchecked is None:
            self._file = self._stack.enter_context(atomic_write(self._path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def add(self, index: int, turns: Sequence[Utterance]) -> Reason | None:
        """``Reason.leaked`` if the generated dialogue of that number leaks."""
        if isinstance(self._reference, str):
            return None
        hits = self._reference.hits(turns)
        self._file.writelines(json.dumps({"index": index, **asdict(hit)}, ensure_ascii=False) + "\n" for hit in hits)
        self.hits.update(hit.kind for hit in hits)
        self.left_out += bool(hits)
        return Reason.leaked if hits else None


def load_reference(benchmark: BenchmarkConfig, leakage: LeakageConfig) -> Reference | str:
    """A benchmark's real validation and test sets, or why they are not there.

    Raises:
        UserError: the benchmark's files are there but cannot be read.
    """
    try:
        corpus = load(benchmark)
    except UserError as error:
        if _has_files(benchmark):
            raise
        return str(error)
    return Reference({split: corpus.split(split) for split in _REAL}, leakage)


def _has_files(benchmark: BenchmarkConfig) -> bool:
    folder = Path(benchmark.path).expanduser()
    found = {"", *(path.name for path in folder.rglob("*"))}  # the reader iemocap has no file names
    return folder.exists() and all(Path(file_name(benchmark, split)).name in found for split in SPLITS)
