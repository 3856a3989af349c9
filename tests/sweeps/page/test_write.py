import os
import threading
import time

import pytest

from ercsatz.sweeps.page import view, write
from ercsatz.sweeps.page.write import refresh, write_page


@pytest.fixture(autouse=True)
def nothing_pending():
    yield
    for timer in write._Pending.timers.values():
        timer.cancel()
    for kept in (write._Pending.timers, write._Pending.troubled):
        kept.clear()


@pytest.fixture
def made(monkeypatch):
    """How often the page was made."""
    calls, page = [], view.page
    monkeypatch.setattr(view, "page", lambda *given: (calls.append(1), page(*given))[1])
    return calls


def wait_until(true):
    for _ in range(600):
        if true():
            return
        time.sleep(0.02)
    pytest.fail("it did not come about")


def test_what_comes_too_soon_is_shown_a_moment_later(fake_sweep):
    sweep = fake_sweep()
    refresh(sweep.folder)
    for number in range(4):
        sweep.complete(number)
        refresh(sweep.folder)
    wait_until(lambda: "4 of 4 cells are done" in (sweep.folder / "index.html").read_text())


def test_what_another_process_has_shown_meanwhile_is_not_made_again(fake_sweep, made):
    sweep = fake_sweep()
    refresh(sweep.folder)
    os.utime(sweep.folder / "index.html", (time.time() + 99, time.time() + 99))
    refresh(sweep.folder)
    assert not write._Pending.timers
    assert made == [1]


def test_cost_does_not_grow_with_stages_times_cells(fake_sweep, made):
    """However many stages end, a page of this size is made no more often than its size allows."""
    sweep = fake_sweep(40)
    for number in range(40):
        sweep.complete(number)
    write_page(sweep.folder)
    started, size = time.time(), (sweep.folder / "index.html").stat().st_size
    for _ in range(300):
        refresh(sweep.folder)
    assert len(made) <= 2 + (time.time() - started) / (size / write._RATE)


def test_many_at_once_tear_and_lose_nothing(fake_sweep):
    sweep = fake_sweep(12)
    torn, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            text = (sweep.folder / "index.html").read_text()
            if not text.startswith("<!doctype html>") or not text.rstrip().endswith("</html>"):
                torn.append(text)

    def job(number):
        sweep.complete(number)
        refresh(sweep.folder)

    write_page(sweep.folder, alive=True)
    reader = threading.Thread(target=look)
    jobs = [threading.Thread(target=job, args=(number,)) for number in range(12)]
    for thread in (reader, *jobs):
        thread.start()
    for thread in jobs:
        thread.join()
    wait_until(lambda: "12 of 12 cells are done" in (sweep.folder / "index.html").read_text())
    stop.set()
    reader.join()
    assert not torn
    wait_until(lambda: not write._Pending.timers)
    assert sorted(path.name for path in sweep.folder.iterdir() if path.name.startswith(".")) == []


def test_page_that_cannot_be_written_costs_one_line(fake_sweep, monkeypatch, capsys):
    sweep = fake_sweep()

    def broken(*_):
        raise ZeroDivisionError("of a fault")

    monkeypatch.setattr(view, "page", broken)
    for _ in range(3):
        refresh(sweep.folder)
        write_page(sweep.folder)
    assert capsys.readouterr().out.count("index.html is not written: ZeroDivisionError: of a fault") == 1
    assert not (sweep.folder / "index.html").exists()
