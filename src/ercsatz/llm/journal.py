"""Every answer as it came, before anything is made of it: one SQLite file, a row per attempt.

A run that was killed goes on from here and asks nothing twice; a changed parser reads here and asks nothing at all.
An answer is found by all that it depends on (prompt, seed, settings of the generator, model), so that answers to
requests that have not changed stay good when others have. Rows carry a checksum, as SQLite's pages have none.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, FinishReason, Request, ServerError
from ercsatz.llm.journal_file import checksum, damaged, prepare
from ercsatz.reporting.text import plain


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
        UserError: it is another process's, no journal, damaged, or cannot be written.
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
                path.touch()  # with the permissions of the umask; SQLite would leave the group without
                self._db = sqlite3.connect(path, isolation_level=None)
                try:
                    prepare(self._db, self.path)
                    self._db.execute("PRAGMA journal_mode=WAL")
                    self._db.execute("PRAGMA synchronous=NORMAL")
                except BaseException:
                    self._db.close()
                    raise
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
        try:
            return None if row is None else json.loads(row[0])
        except ValueError as error:
            raise damaged(self.path, f"what it says of {name} is no JSON") from error

    def set_fact(self, name: str, value: Any) -> None:
        """Write a JSON value under a name."""
        self._insert("facts", (name, json.dumps(value)), "INSERT OR REPLACE")

    def find(self, request: Request) -> Answer | None:
        """The answer to a request, if it was given before."""
        query = "SELECT CAST(text AS BLOB), finish_reason, prompt_tokens, new_tokens FROM answers WHERE key = ?"
        with self._told():
            row = self._db.execute(query, (self._key(request),)).fetchone()
        if row is None:
            return None
        try:
            return Answer(row[0].decode(errors="surrogatepass"), FinishReason(row[1]), row[2], row[3])
        except (ValueError, ServerError) as error:  # of a time without checksums
            raise damaged(
                self.path, f"an answer cannot be read ({error})", {"answers": [self._key(request)]}
            ) from error

    def add(self, request: Request, answer: Answer, seconds: float, server: str) -> None:
        """Write an answer; it is safe when this returns.

        Raises:
            UserError: the disk is full or the file cannot be written.
        """
        speaker = request.speakers[0] if len(request.speakers) == 1 else None
        row = (self._key(request), request.index, request.step.value, speaker, request.attempt, request.seed)
        said = (answer.text, answer.finish_reason.value, answer.prompt_tokens, answer.new_tokens)
        self._insert("answers", (*row, *said, round(float(seconds), 3), server, self._parameters, time.time()))

    def take_in(self, other: "Journal") -> None:
        """Copy the answers and refusals of another journal of the same settings; what is there already stays.

        Args:
            other: of answers to other requests of the same plan.

        Raises:
            UserError: its answers come from another model.
        """
        model, theirs = self.fact("model"), other.fact("model")
        if None not in (model, theirs) and model != theirs:
            raise UserError(
                f"{other.path}: its answers come from {theirs}, those of {self.path} from {model}. They are not one "
                "data set."
            )
        kept = {self.fact("seed_kept"), other.fact("seed_kept")} - {None}
        told = {"model": theirs, "probed": other.fact("probed"), "seed_kept": all(kept) if kept else None}
        told["servers"] = {**(self.fact("servers") or {}), **(other.fact("servers") or {})}
        for name, value in told.items():
            if value is not None:
                self.set_fact(name, value)
        with self._told():
            self._db.execute("BEGIN")
            try:
                self._copy(other)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def is_refused(self, request: Request) -> bool:
        """Whether the request was given up before because the servers would not take it."""
        with self._told():
            row = self._db.execute("SELECT 1 FROM refusals WHERE key = ?", (self._key(request),)).fetchone()
        return row is not None

    def add_refusal(self, request: Request, words: str) -> None:
        """Write that the servers will not take a request, so that they are not asked again."""
        row = (self._key(request), request.index, request.step.value, request.attempt, plain(words), time.time())
        self._insert("refusals", row)

    def add_failure(self, request: Request, kind: str, words: str, server: str) -> None:
        """Write that a request got no answer this time."""
        row = (request.index, request.step.value, request.attempt, kind, plain(words), server, time.time())
        with self._told():
            self._db.execute("INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _copy(self, other: "Journal") -> None:
        """Rows as they are, but for where their parameters stand."""
        places = {}
        for number, *row in other._db.execute("SELECT id, sent, dropped FROM parameters"):
            self._db.execute("INSERT OR IGNORE INTO parameters (sent, dropped) VALUES (?, ?)", row)
            query = "SELECT id FROM parameters WHERE sent = ? AND dropped = ?"
            (places[number],) = self._db.execute(query, row).fetchone()
        other._db.text_factory = lambda content: content.decode(errors="surrogatepass")
        for table in ("answers", "refusals"):
            names = [column[1] for column in other._db.execute(f"PRAGMA table_info({table})")][:-1]
            for row in other._db.execute(f"SELECT {', '.join(names)} FROM {table}"):
                values = dict(zip(names, row, strict=True))
                if "parameters" in values:
                    values["parameters"] = places[values["parameters"]]
                self._insert(table, tuple(values.values()), "INSERT OR IGNORE")

    def _insert(self, table: str, row: Sequence[object], verb: str = "INSERT") -> None:
        """Write a row with its checksum."""
        # Half a surrogate pair is no TEXT of SQLite's, but bytes that are called one are
        values = [each.encode(errors="surrogatepass") if isinstance(each, str) else each for each in row]
        places = ", ".join("CAST(? AS TEXT)" if isinstance(each, str) else "?" for each in row)
        with self._told():
            self._db.execute(f"{verb} INTO {table} VALUES ({places}, ?)", (*values, checksum(values)))

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
        except UnicodeDecodeError as error:
            raise damaged(self.path, "a text in it is none") from error
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise damaged(self.path, str(error)) from error
            raise UserError(
                f"The journal {self.path} cannot be used: {error}. What was written to it is safe. "
                f"Mend that and start again, or name another file with {self.node}journal=FILE."
            ) from error


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
