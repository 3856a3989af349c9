"""Dialogues that came before in the same run, word for word or nearly.

MinHash signatures (datasketch) are cut into bands; dialogues that agree in a band are compared exactly. All of it is
in a scratch file, so that memory does not grow with the run.

Source: Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.
"""

import math
import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from datasketch import MinHash

from ercsatz.data.dialogue import Utterance
from ercsatz.data.ngrams import jaccard, ngrams, words
from ercsatz.errors import UserError
from ercsatz.generation.rejection import Reason

_NGRAM = 3
_MISSED = 0.001  # the greatest probability that a pair just at the threshold agrees in no band
_LOWEST = 0.5  # below it so many bands are needed that they cost more than asking the model
_SCHEMA = """
CREATE TABLE kept (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, shingles BLOB NOT NULL);
CREATE TABLE bands (hash INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (hash, id)) WITHOUT ROWID;
"""


class Duplicates:
    """Remembers the dialogues it let through; close it with ``contextlib.closing``.

    Args:
        path: a scratch file for this run alone; what is there is replaced, ``close`` removes it.
        threshold: Jaccard similarity of word 3-grams from which a dialogue is a near-duplicate, 0.5 to 1.

    Raises:
        UserError: the threshold is out of range, or the file cannot be written.
    """

    def __init__(self, path: Path, threshold: float) -> None:
        if not _LOWEST <= threshold <= 1:
            raise UserError(f"checks.near_duplicate={threshold}: must be {_LOWEST} to 1.")
        self._path, self._threshold = path, threshold
        n_bands, self._rows = bands_and_rows(threshold)
        self._empty = MinHash(n_bands * self._rows, scheme="affine64", hashfunc=int)  # shingles are hashes already
        self._weights = self._empty.permutations[0][: self._rows]  # any odd random numbers make a good hash
        self._alike = (
            "SELECT digest, shingles FROM kept"
            f" WHERE id IN (SELECT id FROM bands WHERE hash IN ({', '.join('?' * n_bands)}))"
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            # Nothing here has to outlive the process, so nothing is paid for safety.
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(_SCHEMA)
            self._db.execute("BEGIN")
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Remove the file."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    def add(self, index: int, turns: Sequence[Utterance]) -> Reason | None:
        """What a dialogue repeats, whoever speaks; if nothing, it is remembered.

        Args:
            index: its number in the plan, not used before for a dialogue that was let through.
            turns: of any number and length.

        Returns:
            ``Reason.duplicate``, ``Reason.near_duplicate`` or ``None``.

        Raises:
            UserError: the file cannot be written, for lack of space for one.
        """
        spoken = words("\n".join(turn.text for turn in turns))
        digest = blake2b(" ".join(spoken).encode(), digest_size=16).digest()
        shingles = set(ngrams(spoken, _NGRAM if len(spoken) >= _NGRAM else 1))
        bands = self._bands(shingles)
        reason = None
        try:
            for other, blob in self._db.execute(self._alike, bands):
                if other == digest:
                    return Reason.duplicate
                if jaccard(shingles, set(np.frombuffer(blob, np.uint64).tolist())) >= self._threshold:
                    reason = Reason.near_duplicate
            if reason is None:
                blob = np.fromiter(shingles, np.uint64, len(shingles)).tobytes()
                self._db.execute("INSERT INTO kept VALUES (?, ?, ?)", (index, digest, blob))
                self._db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", ((band, index) for band in bands))
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return reason

    def _bands(self, shingles: set[int]) -> list[int]:
        """A 64-bit hash (signed, as SQLite has them) of each band of the signature."""
        sketch = self._empty.copy()
        sketch.update_batch(shingles)
        hashes: list[int] = (sketch.hashvalues.reshape(-1, self._rows) @ self._weights).view(np.int64).tolist()
        return hashes

    def _unusable(self, error: Exception) -> UserError:
        return UserError(f"{self._path}, a temporary file, cannot be used: {error}. Make room there and start again.")


def bands_and_rows(threshold: float) -> tuple[int, int]:
    """How a signature is divided so that at most one pair in 1,000 just at the threshold is missed.

    A pair of similarity s agrees in all rows of a band with probability s**rows. More rows spare comparisons of
    unlike dialogues but take more bands, steeply so at low thresholds.
    """
    rows = 5 if threshold >= 0.8 else 4
    likely = min(threshold, 0.99) ** rows
    return math.ceil(math.log(_MISSED) / math.log1p(-likely)), rows
