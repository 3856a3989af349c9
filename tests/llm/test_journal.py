import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, FinishReason, Request
from ercsatz.llm.journal import Journal, differences

GENERATOR = {"name": "tgi", "sent": {"temperature": 0.7}}


def request(index=0, seed=1, prompt="Write.", **changes) -> Request:
    return Request(
        index=index,
        seed=seed,
        prompt=prompt,
        mode="natural",
        style=PromptStyle.cast,
        speakers=("Maya", "Leo"),
        labels=("neutral", "joy"),
        target=None,
        n_turns=5,
        **changes,
    )


def opened(path: Path, model: str = "m", generator=GENERATOR) -> Journal:
    journal = Journal(path)
    journal.answers_come_from(generator, model, {"temperature": 0.7}, {"typical_p": 0.995})
    return journal


def test_answer_is_found_again_by_another_process(tmp_path):
    answer = Answer("Maya: Hi! (2)\nLeo: Hm. (1)", FinishReason.length, 40, 12)
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.add(request(), answer, 0.25, "http://a")
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        assert journal.find(request()) == answer


def test_an_answer_depends_on_prompt_seed_generator_and_model(tmp_path):
    path = tmp_path / "j.sqlite"
    with closing(opened(path)) as journal:
        journal.add(request(), Answer("x", FinishReason.stop), 0.1, "a")
        assert journal.find(request(prompt="Write!")) is None
        assert journal.find(request(seed=2)) is None
    for model, generator in (("other", GENERATOR), ("m", {**GENERATOR, "sent": {}})):
        with closing(opened(path, model, generator)) as journal:
            assert journal.find(request()) is None


def test_an_answer_is_never_written_twice(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.add(request(), Answer("x", FinishReason.stop), 0.1, "a")
        with pytest.raises(UserError, match="UNIQUE"):
            journal.add(request(), Answer("y", FinishReason.stop), 0.1, "a")


@settings(deadline=None)  # each opens files
@given(st.text(st.characters()))
def test_any_text_comes_back_as_it_was(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("journal") / "j.sqlite"
    with closing(opened(path)) as journal:
        journal.add(request(), Answer(text, FinishReason.stop), 0.1, "a")
        assert journal.find(request()) == Answer(text, FinishReason.stop)


def test_half_a_surrogate_pair_comes_back(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.add(request(), Answer("\ud83d oh", FinishReason.stop), 0.1, "a")
        assert journal.find(request()) == Answer("\ud83d oh", FinishReason.stop)


def test_every_attempt_can_be_read_with_its_parameters(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.add(request(attempt=1), Answer("x", FinishReason.stop, 3, 4), 1.23456, "http://a")
        journal.add_failure(request(), "busy", "Model is overloaded", "http://a")
    with closing(sqlite3.connect(tmp_path / "j.sqlite")) as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM attempts").fetchone())
        failure = db.execute("SELECT kind, words, server FROM failures").fetchone()
    assert row.pop("at")
    assert row == {
        "dialogue": 0,
        "step": "dialogue",
        "speaker": None,
        "attempt": 1,
        "seed": 1,
        "text": "x",
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "new_tokens": 4,
        "seconds": 1.235,
        "server": "http://a",
        "sent": '{"temperature": 0.7}',
        "dropped": '{"typical_p": 0.995}',
    }
    assert tuple(failure) == ("busy", "Model is overloaded", "http://a")


def test_changed_settings_are_refused_with_what_differs(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.begin({"seed": 0, "generator": {"name": "tgi", "top_k": 10}}, overwrite=False)
        journal.begin({"seed": 0, "generator": {"name": "tgi", "top_k": 10}}, overwrite=False)
        journal.add(request(), Answer("x", FinishReason.stop), 0.1, "a")
        with pytest.raises(UserError, match=r"generator\.top_k: 10 there, 50 now") as caught:
            journal.begin({"seed": 0, "generator": {"name": "tgi", "top_k": 50}}, overwrite=False)
        assert "seed" not in str(caught.value)
        journal.begin({"seed": 1, "generator": {"name": "tgi", "top_k": 50}}, overwrite=True)
        assert journal.fact("settings")["seed"] == 1


def test_journal_without_answers_may_begin_again_under_other_settings(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.begin({"seed": 0}, overwrite=False)
        journal.begin({"seed": 1}, overwrite=False)
        assert journal.fact("settings") == {"seed": 1}


def test_refused_request_is_on_record(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        assert not journal.is_refused(request())
        journal.add_refusal(request(), "HTTP 413: length limit exceeded")
        assert journal.is_refused(request())
        assert not journal.is_refused(request(1))


def test_place_where_no_journal_can_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="journal=FILE"):
        Journal(tmp_path / "file" / "j.sqlite")


def test_two_processes_do_not_write_one_journal(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")), pytest.raises(UserError, match=r"another process"):
        Journal(tmp_path / "j.sqlite")
    opened(tmp_path / "j.sqlite").close()


def test_what_is_no_journal_is_left_alone(tmp_path):
    (tmp_path / "j.sqlite").write_text("Dear diary, " * 100)
    with pytest.raises(UserError, match="not a database"):
        Journal(tmp_path / "j.sqlite")
    assert (tmp_path / "j.sqlite").read_text().startswith("Dear diary")


KILLED = """
import os, sys
sys.path[:0] = sys.argv[2:]
from test_journal import opened, request
from pathlib import Path
from ercsatz.generators.interface import Answer, FinishReason
journal = opened(Path(sys.argv[1]))
for index in range(int(os.environ["N"])):
    journal.add(request(index), Answer("x" * index, FinishReason.stop), 0.1, "a")
os.kill(os.getpid(), 9)
"""


def test_killed_process_loses_nothing_that_was_written(tmp_path):
    n = random.randrange(20, 60)
    folders = [str(Path(__file__).parent), *sys.path]
    line = [sys.executable, "-c", KILLED, tmp_path / "j.sqlite", *folders]
    assert subprocess.run(line, env={"N": str(n), "PATH": ""}).returncode == -9
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        assert [journal.find(request(index)) for index in range(n)] == [
            Answer("x" * index, FinishReason.stop) for index in range(n)
        ]
        assert journal.find(request(n)) is None


def test_full_disk_is_told_and_keeps_what_is_there(tmp_path):
    with closing(opened(tmp_path / "j.sqlite")) as journal:
        journal.add(request(0), Answer("x", FinishReason.stop), 0.1, "a")
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match=r"full.*journal=FILE"):
            journal.add(request(1), Answer("x" * 400_000, FinishReason.stop), 0.1, "a")
        assert journal.find(request(0)) is not None


def test_differences_are_a_line_a_key():
    old = {"same": 1, "changed": {"a": [1, 2], "b": None}, "gone": "x"}
    new = {"same": 1, "changed": {"a": (1, 3), "b": None}, "nothing": None}
    assert differences(old, old) == []
    assert differences(old, new) == [
        "changed.a: [1, 2] there, [1, 3] now",
        "gone: x there, (absent) now",
        "nothing: (absent) there, None now",
    ]
