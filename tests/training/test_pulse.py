import os
import subprocess
import sys
import time

import pytest

from ercsatz.training import pulse


def test_process_of_this_machine_lives_or_not_whatever_its_files_say():
    who = pulse.identity()
    assert pulse.lives(who, 1e9)
    assert not pulse.lives({**who, "ended": True}, 0)
    assert not pulse.lives({**who, "born": -1}, 0)  # its number was given to another
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not pulse.lives({**who, "pid": child.pid}, 0)


def test_process_of_another_machine_lives_as_long_as_it_is_not_silent():
    who = {**pulse.identity(), "machine": "another", "born": -1}
    assert pulse.lives(who, pulse.SILENT - 1)
    assert not pulse.lives(who, pulse.SILENT + 1)


def test_job_tells_how_far_it_is_and_leaves_nothing(tmp_path):
    with pulse.beating(tmp_path) as told:
        told.tell(key="k", epoch=2)
        assert pulse.read(tmp_path / pulse.NAME) == {**told.who, "key": "k", "epoch": 2}
        assert told.who["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_job_that_fails_leaves_how_far_it_came(tmp_path):
    def fail():
        with pulse.beating(tmp_path) as told:
            told.tell(key="k", epoch=2)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    left = pulse.read(tmp_path / pulse.NAME)
    assert (left["key"], left["epoch"], left["ended"]) == ("k", 2, True)


def test_what_cannot_be_written_costs_nothing(tmp_path):
    with pulse.beating(tmp_path / "nowhere") as told:
        told.tell(key="k")
    pulse.Pulse().tell(key="k")
    assert list(tmp_path.iterdir()) == []


def test_time_is_renewed_while_the_context_is_open(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse, "BEAT", 0.02)
    file, calls = tmp_path / "file", []
    file.touch()
    os.utime(file, (0, 0))
    assert pulse.silence(file) > 1e6
    with pulse.renewed(file, lambda: calls.append(1)):
        until = time.monotonic() + 30
        while not calls and time.monotonic() < until:
            time.sleep(0.02)
    assert calls
    assert pulse.silence(file) < 60
    assert pulse.silence(tmp_path / "none") == float("inf")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_torn_file_tells_nothing(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert pulse.read(tmp_path / "file") is None
