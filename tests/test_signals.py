"""What a handler may raise where it would be lost or do harm, in processes of their own."""

import signal
import subprocess
import sys
from textwrap import dedent

import pytest

WORDS = "What was finished is kept; the same command again does the rest."
BEGIN = """
import os, signal, sys, time
from ercsatz import signals
from ercsatz.reporting.terminal import show_log

show_log()

def stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
"""
PLACES = {
    "swallowed": """
        def work():
            try:
                stop(); time.sleep(30)
            except BaseException:
                pass
            time.sleep(30)""",
    "turned into another error": """
        def work():
            try:
                stop(); time.sleep(30)
            except BaseException:
                raise ValueError("a library's own")""",
    "in a __del__": """
        class Lost:
            def __del__(self):
                stop(); sum(range(1000))

        def work():
            Lost(); time.sleep(30)""",
    "in a callback of a weak reference": """
        import weakref

        def work():
            held = set()
            reference = weakref.ref(held_object := type("A", (), {})(), lambda _: (stop(), sum(range(1000))))
            del held_object
            time.sleep(30)""",
    "at the end": """
        import atexit

        def work():
            atexit.register(stop)
            return 0""",
    "in the ranking": """
        def work():
            return 0

        def at_end():
            if not done:
                done.append(1); stop(); time.sleep(30)""",
    "in time": """
        def work():
            stop(); time.sleep(30)""",
}


def ended(code):
    line = f"{BEGIN}\ndone = []\nat_end = lambda: None\n{code}\nsignals.run(work, lambda: at_end())"
    return subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, timeout=25)


@pytest.mark.parametrize("place", PLACES)
def test_a_signal_ends_a_command_wherever_it_comes(place):
    done = ended(dedent(PLACES[place]))
    assert (done.returncode, done.stdout) == (143, ""), done.stderr
    assert done.stderr == f"Stopped. {WORDS}\n"


def test_an_import_is_not_broken_off_in_the_middle(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), 15)\ntime.sleep(0.2)\nwhole = True\n"
    )
    code = f"""
def work():
    sys.path.append({str(tmp_path)!r})
    try:
        import slow
        time.sleep(30)
    finally:
        print(sys.modules["slow"].whole)"""
    done = ended(code)
    assert (done.returncode, done.stdout) == (143, "True\n"), done.stderr


def test_a_second_signal_ends_at_once():
    done = ended("def work():\n    try:\n        stop(); time.sleep(30)\n    finally:\n        stop(); time.sleep(30)")
    assert (done.returncode, done.stderr) == (143, f"Stopped. {WORDS}\n")


def test_a_thread_or_a_library_that_does_not_end_is_not_waited_for():
    code = """
import atexit, threading

def work():
    threading.Thread(target=lambda: time.sleep(60)).start()
    atexit.register(lambda: time.sleep(60))
    stop(); time.sleep(30)

signals._PATIENCE = 1.0"""
    done = ended(code)
    assert (done.returncode, done.stderr) == (143, f"Stopped. {WORDS}\n")


def test_what_was_finished_is_told_after_the_word():
    code = "def work():\n    stop(signal.SIGINT); time.sleep(30)\nat_end = lambda: print('ranked')"
    done = ended(code)
    assert (done.returncode, done.stdout) == (130, "ranked\n")


@pytest.mark.parametrize(("code", "status"), [("return 0", 0), ("return 3", 3), ("sys.exit(2)", 2), ("sys.exit()", 0)])
def test_without_a_signal_the_status_is_the_commands(code, status):
    done = ended(f"def work():\n    print('done', end='')\n    {code}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "done", "")


def test_a_closed_terminal_is_ignored_where_the_user_said_so():
    line = [sys.executable, "-c", f"{BEGIN}\nsignals.run(lambda: stop(signal.SIGHUP) or 0)"]
    ignoring = subprocess.run(
        line, capture_output=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), timeout=25
    )
    assert ignoring.returncode == 0
    assert subprocess.run(line, capture_output=True, timeout=25).returncode == 129
