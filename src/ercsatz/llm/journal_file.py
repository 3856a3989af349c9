"""The file of a journal: its tables, and whether it is whole.

SQLite notices a page that makes no sense, but not a byte of a text that has changed.
"""

import marshal
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ercsatz.errors import UserError
from ercsatz.reporting.text import plain

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parameters (id INTEGER PRIMARY KEY, sent TEXT NOT NULL, dropped TEXT NOT NULL,
    UNIQUE (sent, dropped));
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, dialogue INTEGER NOT NULL, step TEXT NOT NULL, speaker TEXT, attempt INTEGER NOT NULL,
    seed INTEGER NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL, prompt_tokens INTEGER, new_tokens INTEGER,
    seconds REAL NOT NULL, server TEXT NOT NULL, parameters INTEGER NOT NULL REFERENCES parameters, at REAL NOT NULL,
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refusals (
    key BLOB PRIMARY KEY, dialogue INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL, words TEXT NOT NULL,
    at REAL NOT NULL, crc INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (dialogue INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, words TEXT NOT NULL, server TEXT NOT NULL, at REAL NOT NULL);
CREATE VIEW IF NOT EXISTS attempts AS
    SELECT dialogue, step, speaker, attempt, seed, text, finish_reason, prompt_tokens, new_tokens, seconds, server,
        sent, dropped, datetime(at, 'unixepoch') AS at FROM answers JOIN parameters ON parameters.id = parameters;
"""
_KEYS = {"facts": "name", "answers": "key", "refusals": "key"}  # tables whose rows have a checksum, in the last column
_NAMED = 10  # rows that a message names


def checksum(row: Sequence[object]) -> int:
    """CRC-32 of a row's values, none of which is a ``str``: texts are bytes of UTF-8."""
    return zlib.crc32(marshal.dumps(tuple(row), 2))  # type: ignore[arg-type]  # format 2 knows no references; a tenth of the time of JSON


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Look through all of a journal, and give it the tables and columns that it lacks.

    Args:
        db: the journal; may be empty.
        path: where it is.

    Raises:
        UserError: it is no journal, or damaged.
        sqlite3.Error: it is no database.
    """
    text, db.text_factory = db.text_factory, _text  # a damaged one may be no UTF-8
    try:
        there = _tables(db)
        _check_tables(there, path)
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise damaged(path, plain(found))
        for table in _KEYS.keys() & there.keys():
            if there[table][-1][0] != "crc":
                db.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
        db.executescript(SCHEMA)
        db.text_factory = bytes
        wrong = {table: _wrong_rows(db, table) for table in _KEYS}
    finally:
        db.text_factory = text
    if any(wrong.values()):
        counted = " and ".join(f"{len(keys):,} of its {table}" for table, keys in wrong.items() if keys)
        raise damaged(path, f"{counted} have changed since they were written", wrong)


def damaged(path: Path, what: str, rows: Mapping[str, Sequence[bytes]] | None = None) -> UserError:
    """What to tell of a damaged journal.

    Args:
        path: where it is.
        what: is wrong with it.
        rows: those that are, by table; all others are good.
    """
    ways = "Put back a copy of it, or move it away: then the same command asks for everything again."
    if rows and sum(map(len, rows.values())) <= _NAMED:
        lines = "; ".join(
            f"DELETE FROM {table} WHERE hex({_KEYS[table]}) IN ({', '.join(repr(key.hex().upper()) for key in keys)})"
            for table, keys in rows.items()
            if keys
        )
        ways += f' To have only that asked again: sqlite3 {path} "{lines}"'
    return UserError(f"The journal {path} is damaged: {what}. {ways}")


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _tables(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """The columns of every table: name, type, whether it may be empty, and place in the key."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    query = "SELECT name, type, [notnull], pk FROM pragma_table_info(?)"
    return {name: db.execute(query, (name,)).fetchall() for name in names}


def _check_tables(there: Mapping[str, Sequence[object]], path: Path) -> None:
    """Make sure that the tables are a journal's; those of a time without checksums lack that column."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        wanted = _tables(db)
    if there and not there.keys() & wanted.keys():
        raise UserError(f"{path} is a database of something else, and no journal. Name another file with journal=FILE.")
    for name, columns in there.items():
        if columns not in (wanted.get(name), wanted.get(name, [])[: -1 if name in _KEYS else None]):
            raise damaged(path, f"its table {plain(name)} is none of a journal's")


def _wrong_rows(db: sqlite3.Connection, table: str) -> list[bytes]:
    """The keys of the rows that have another checksum than their own; older rows have none."""
    return [row[0] for row in db.execute(f"SELECT * FROM {table}") if row[-1] is not None and _differs(row)]


def _differs(row: Sequence[object]) -> bool:
    return checksum(row[:-1]) != row[-1]
