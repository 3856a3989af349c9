"""A damaged journal says so, or gives what it gave before; it never gives anything else."""

import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, FinishReason, Request
from ercsatz.llm.journal import Journal
from ercsatz.llm.journal_file import SCHEMA

N = 12
FACTS = {
    "settings": {"seed": 0, "plan": {"attempts": 3}},
    "model": "vicuna-13b",
    "seed_kept": True,
    "probed": ["m", {}],
}


def request(index):
    return Request(index, index, "Write.", "natural", PromptStyle.cast, ("Maya", "Leo"), ("joy",), None, 5)


def answer(index):
    return Answer(f"Maya: Well, number {index}. (1)\nLeo: Oh. (1)" * 8, FinishReason.stop, 40 + index, 12)


def opened(path):
    journal = Journal(path)
    journal.answers_come_from({"name": "tgi"}, "vicuna-13b", {"temperature": 0.7}, {})
    return journal


@pytest.fixture
def whole(tmp_path):
    """A journal with everything in it, and most of its pages full."""
    path = tmp_path / "whole.sqlite"
    with closing(opened(path)) as journal:
        for name, value in FACTS.items():
            journal.set_fact(name, value)
        for index in range(N):
            journal.add(request(index), answer(index), 0.5, "http://a")
        journal.add_refusal(request(N), "HTTP 422: too long")
        journal.add_failure(request(0), "busy", "Model is overloaded", "http://a")
    return path


def look(path):
    """Everything that a run may take from a journal; the message, where it is refused."""
    try:
        with closing(opened(path)) as journal:
            facts = {name: journal.fact(name) for name in FACTS}
            answers = [journal.find(request(index)) for index in range(N)]
            return facts, answers, journal.is_refused(request(N)), journal.is_refused(request(0))
    except UserError as error:
        return str(error)


def check(path, where):
    """Whether it was refused."""
    found = look(path)
    if isinstance(found, str):
        assert str(path) in found, where
        assert "journal=FILE" in found or "is damaged" in found, where
        return True
    facts, answers, _, wrongly_refused = found
    assert all(value in (None, FACTS[name]) for name, value in facts.items()), where
    assert all(each in (None, answer(index)) for index, each in enumerate(answers)), where
    assert not wrongly_refused, where
    return False


def test_any_changed_byte_is_told_or_harmless(whole, tmp_path):
    content, damaged = whole.read_bytes(), tmp_path / "damaged.sqlite"
    rng, used = random.Random(0), [place for place, byte in enumerate(content) if byte]
    places = [*range(0, 100, 4), *rng.sample(used, min(500, len(used))), *rng.sample(range(len(content)), 100)]
    refused = 0
    for place in places:
        for bit in (1, 0xFF) if place < 100 else (1 << rng.randrange(8),):
            changed = bytearray(content)
            changed[place] ^= bit
            damaged.write_bytes(changed)
            refused += check(damaged, f"byte {place} ^ {bit}")
    assert refused > 200


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_journal_that_was_cut_off_is_told_or_harmless(whole, share):
    content = whole.read_bytes()
    whole.write_bytes(content[: int(share * len(content))])
    check(whole, share)


def test_a_text_that_has_changed_is_told_with_what_mends_it(whole):
    content = whole.read_bytes()
    whole.write_bytes(content.replace(b"number 5", b"number 6", 1))
    words = look(whole)
    assert f"The journal {whole} is damaged: 1 of its answers have changed since they were written." in words
    _, _, script = words.partition(f'sqlite3 {whole} "')
    with closing(sqlite3.connect(whole)) as db, db:
        db.executescript(script.removesuffix('"'))
    _, answers, *_ = look(whole)
    assert answers == [None if index == 5 else answer(index) for index in range(N)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE answers SET text = (SELECT text FROM answers WHERE dialogue = 1) WHERE dialogue = 2",
        "UPDATE answers SET new_tokens = 13 WHERE dialogue = 2",
        "UPDATE answers SET finish_reason = 'length' WHERE dialogue = 2",
        "UPDATE answers SET key = zeroblob(16) WHERE dialogue = 2",
        "UPDATE answers SET new_tokens = 'many', crc = NULL WHERE dialogue = 2",
        "UPDATE answers SET finish_reason = 'stoq', crc = NULL WHERE dialogue = 2",
        "UPDATE facts SET value = '\"vicuna-23b\"' WHERE name = 'model'",
        "UPDATE facts SET value = 'tsue', crc = NULL WHERE name = 'seed_kept'",
        "UPDATE refusals SET key = (SELECT key FROM answers WHERE dialogue = 0)",
        "CREATE TABLE mine (a)",
        "ALTER TABLE answers RENAME TO answors",
        "ALTER TABLE answers RENAME COLUMN crc TO cra",
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_told(whole, change):
    with closing(sqlite3.connect(whole)) as db, db:
        db.executescript(f"DROP VIEW attempts; {change}")
    assert "is damaged" in look(whole)


def test_rows_that_were_removed_are_asked_again(whole):
    with closing(sqlite3.connect(whole)) as db, db:
        db.execute("DELETE FROM answers WHERE dialogue < 3")
    _, answers, *_ = look(whole)
    assert answers == [None if index < 3 else answer(index) for index in range(N)]


def test_a_journal_of_a_time_without_checksums_is_read_and_goes_on(whole, tmp_path):
    old = tmp_path / "old.sqlite"
    schema = SCHEMA.replace(",\n    crc INTEGER", "").replace(", crc INTEGER", "")
    assert "crc" not in schema
    with closing(sqlite3.connect(old)) as db, db:
        db.executescript(schema)
        db.execute("ATTACH ? AS new", (str(whole),))
        for table in ("facts", "parameters", "answers", "refusals", "failures"):
            names = ", ".join(name for _, name, *_ in db.execute(f"PRAGMA table_info({table})"))
            db.execute(f"INSERT INTO {table} SELECT {names} FROM new.{table}")
    assert look(old) == look(whole)
    with closing(opened(old)) as journal:
        journal.add(request(N + 1), answer(1), 1, "http://a")
    with closing(sqlite3.connect(old)) as db, db:
        db.execute("UPDATE answers SET text = 'x' WHERE dialogue = ?", (N + 1,))
    assert "1 of its answers have changed" in look(old)


def test_a_database_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE mine (a)")
    content = path.read_bytes()
    assert "is a database of something else" in look(path)
    assert path.read_bytes() == content


def test_a_log_that_was_not_folded_in_may_be_damaged_too(whole, tmp_path):
    with closing(sqlite3.connect(whole)) as db:
        db.execute("DELETE FROM failures")
        db.commit()
        for name in ("whole.sqlite", "whole.sqlite-wal"):
            shutil.copy(tmp_path / name, tmp_path / name.replace("whole", "copy"))
    log = tmp_path / "copy.sqlite-wal"
    for place in range(0, log.stat().st_size, 97):
        content = bytearray(log.read_bytes())
        content[place] ^= 1
        (tmp_path / "one.sqlite").write_bytes((tmp_path / "copy.sqlite").read_bytes())
        (tmp_path / "one.sqlite-wal").write_bytes(content)
        check(tmp_path / "one.sqlite", place)


def test_words_of_any_kind_can_be_written(whole):
    with closing(opened(whole)) as journal:
        journal.add_failure(request(0), "failed", "\ud800 \x00 \x1b[31m", "http://a")
        journal.add_refusal(request(1), "\ud800 \x1b[31m")
    assert not isinstance(look(whole), str)
