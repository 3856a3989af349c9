"""Every answer as it came, before anything is made of it: one SQLite file, a row per attempt.

A run that was killed goes on from here and asks nothing twice; a changed parser reads here and asks nothing at all.
An answer is found by all that it depends on (prompt, seed, settings of the generator, model), so that answers to
requests that have not changed stay good when others have.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, FinishReason, Request

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parameters (id INTEGER PRIMARY KEY, sent TEXT NOT NULL, dropped TEXT NOT NULL,
    UNIQUE (sent, dropped));
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, dialogue INTEGER NOT NULL, step TEXT NOT NULL, speaker TEXT, attempt INTEGER NOT NULL,
    seed INTEGER NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL, prompt_tokens INTEGER, new_tokens INTEGER,
    seconds REAL NOT NULL, server TEXT NOT NULL, parameters INTEGER NOT NULL REFERENCES parameters, at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refusals (
    key BLOB PRIMARY KEY, dialogue INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, words TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (dialogue INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, words TEXT NOT NULL, server TEXT NOT NULL, at REAL NOT NULL);
CREATE VIEW IF NOT EXISTS attempts AS
    SELECT dialogue, step, speaker, attempt, seed, text, finish_reason, prompt_tokens, new_tokens, seconds, server,
        sent, dropped, datetime(at, 'unixepoch') AS at FROM answers JOIN parameters ON parameters.id = parameters;
"""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two settings of JSON values, a line for each key that does.

    >>> differences({"seed": 0, "plan": {"attempts": 3}}, {"seed": 0, "plan": {"attempts": 1}})
    ['plan.attempts: 3 there, 1 now']
    """
    before, after = (_flatten(json.loads(json.dumps(settings))) for settings in (old, new))
    return [
        f"{key}: {before.get(key, '(absent)')} there, {after.get(key, '(absent)')} now"
        for key in sorted(before.keys() | after.keys())
        if key not in before or key not in after or before[key] != after[key]
    ]


class Journal:
    """The answers of one data set. One process at a time; what is written survives that process however it ends.

    Args:
        path: the file; made if there is none.
        node: what stands before the keys ``journal`` and ``overwrite`` where they are not at the configuration's top.

    Raises:
        UserError: it is another process's, no journal, or cannot be written.
    """

    def __init__(self, path: Path, node: str = "") -> None:
        self.path, self.node = path, node
        self._lock = FileLock(f"{path}.lock")
        try:
            with self._told():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(blocking=False)
        except Timeout:
            raise UserError(f"{path}: another process is writing it. Wait for that one or stop it.") from None
        try:
            with self._told():
                # Write-ahead log without a sync at every commit: a killed process loses nothing, a power cut seconds.
                self._db = sqlite3.connect(path, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(_SCHEMA)
        except BaseException:
            self._lock.release()
            raise
        self._parameters = 0
        self._prefix = hashlib.blake2b(digest_size=16)

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self._db.close()
        Path(self._lock.lock_file).unlink(missing_ok=True)  # while it is ours: nobody may lock a file without a name
        self._lock.release()

    @property
    def n_answers(self) -> int:
        """How many answers are in it."""
        with self._told():
            (number,) = self._db.execute("SELECT COUNT(*) FROM answers").fetchone()
        return int(number)

    def begin(self, settings: Mapping[str, Any], overwrite: bool) -> None:
        """Say what the answers to come depend on.

        Raises:
            UserError: the journal was begun with other settings, and ``overwrite`` is not given; lists what differs.
        """
        wanted = json.loads(json.dumps(settings))
        begun = self.fact("settings")
        if begun is not None and begun != wanted and not overwrite and self.n_answers:
            listed = "\n  ".join(differences(begun, wanted))
            raise UserError(
                f"{self.path} was begun with other settings:\n  {listed}\n"
                f"Go back to those, begin another journal with {self.node}journal=FILE, or go on with "
                f"{self.node}overwrite=true (answers to requests that stay the same are kept)."
            )
        self.set_fact("settings", wanted)

    def answers_come_from(
        self, generator: Mapping[str, object], model: str, sent: Mapping[str, object], dropped: Mapping[str, object]
    ) -> None:
        """Fix what all keys depend on besides the request, and what is written beside every answer."""
        self._prefix = hashlib.blake2b(json.dumps([generator, model], sort_keys=True).encode(), digest_size=16)
        row = (json.dumps(sent), json.dumps(dropped))
        with self._told():
            self._db.execute("INSERT OR IGNORE INTO parameters (sent, dropped) VALUES (?, ?)", row)
            query = "SELECT id FROM parameters WHERE sent = ? AND dropped = ?"
            (self._parameters,) = self._db.execute(query, row).fetchone()

    def fact(self, name: str) -> Any:
        """What was written under a name, or ``None``."""
        with self._told():
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_fact(self, name: str, value: Any) -> None:
        """Write a JSON value under a name."""
        with self._told():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def find(self, request: Request) -> Answer | None:
        """The answer to a request, if it was given before."""
        query = "SELECT CAST(text AS BLOB), finish_reason, prompt_tokens, new_tokens FROM answers WHERE key = ?"
        with self._told():
            row = self._db.execute(query, (self._key(request),)).fetchone()
        if row is None:
            return None
        text = row[0].decode(errors="surrogatepass")
        return Answer(text, FinishReason(row[1]), row[2], row[3])

    def add(self, request: Request, answer: Answer, seconds: float, server: str) -> None:
        """Write an answer; it is safe when this returns.

        Raises:
            UserError: the disk is full or the file cannot be written.
        """
        speaker = request.speakers[0] if len(request.speakers) == 1 else None
        text = answer.text.encode(errors="surrogatepass")  # half a surrogate pair is no TEXT of SQLite's
        row = (self._key(request), request.index, request.step.value, speaker, request.attempt, request.seed, text)
        row += (answer.finish_reason.value, answer.prompt_tokens, answer.new_tokens)  # type: ignore[assignment]
        with self._told():
            self._db.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?)",
                (*row, round(seconds, 3), server, self._parameters, time.time()),
            )

    def is_refused(self, request: Request) -> bool:
        """Whether the request was given up before because the servers would not take it."""
        with self._told():
            row = self._db.execute("SELECT 1 FROM refusals WHERE key = ?", (self._key(request),)).fetchone()
        return row is not None

    def add_refusal(self, request: Request, words: str) -> None:
        """Write that the servers will not take a request, so that they are not asked again."""
        row = (self._key(request), request.index, request.step.value, request.attempt, words, time.time())
        with self._told():
            self._db.execute("INSERT INTO refusals VALUES (?, ?, ?, ?, ?, ?)", row)

    def add_failure(self, request: Request, kind: str, words: str, server: str) -> None:
        """Write that a request got no answer this time."""
        row = (request.index, request.step.value, request.attempt, kind, words, server, time.time())
        with self._told():
            self._db.execute("INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _key(self, request: Request) -> bytes:
        digest = self._prefix.copy()
        digest.update(json.dumps([request.step.value, request.index, request.seed, request.prompt]).encode())
        return digest.digest()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Timeout:  # an OSError too
            raise
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"The journal {self.path} cannot be used: {error}. What was written to it is safe. "
                f"Mend that and start again, or name another file with {self.node}journal=FILE."
            ) from error


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
