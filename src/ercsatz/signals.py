"""Ctrl-C (SIGINT), SIGTERM and SIGHUP: the first ends a command in order, the second at once.

The status is 128 and the number of the signal, and standard error says "Stopped.". Imports nothing heavy: it is there
before anything that takes long to import.

A Python handler may run between any two instructions of the main thread, so what it raises can hit a place where it is
lost or does harm. Three rules make the end certain all the same. The signal is remembered, so that the status is right
whatever exception comes out in the end. Nothing is raised inside an import, whose half-made modules C extensions do not
survive, or inside a ``__del__``; it is tried again a moment later. And where something swallowed the exception, it is
raised once more.
"""

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType
from typing import Any, NoReturn

_LOG = logging.getLogger(__name__)

_SOON, _AGAIN = 0.02, 1.0  # seconds until raising is tried again: where it could not be; to see whether it was heeded
_PATIENCE = 10.0  # seconds for threads, and for what libraries do at Python's end, once a command was stopped
GOES_ON = "What was finished is kept; the same command again does the rest."


class Stopped(SystemExit):
    """A signal came.

    A ``SystemExit``, not a ``KeyboardInterrupt``: asyncio lets both through, but Lightning answers the latter with
    status 1 and ignores every further Ctrl-C.
    """


class _Stage(Enum):
    none = "no command runs: signals are not ours"
    loading = "nothing has begun: a signal ends the process at once"
    running = "a signal unwinds what runs"
    ending = "all is done or given up: a signal ends the process at once"


class _State:
    """Of this process."""

    stage = _Stage.none
    owner = 0  # the process that the handlers were made for; a forked one has them as well
    received: int | None = None
    said = False  # whether the user was told
    code: int | None = None  # the status of a command that is done
    instead: Iterator[Callable[[], object]] | None = None  # what the next signals do, where something handles them


def install() -> None:
    """Take the signals, before anything takes its time; SIGHUP only where nobody asked for its being ignored."""
    _State.owner = os.getpid()
    if _State.stage is _Stage.none:
        _State.stage = _Stage.loading
        atexit.register(_end)  # the first that is registered is the last that is done
    for number in _signals():
        signal.signal(number, _handle)
    signal.signal(signal.SIGALRM, _insist)
    sys.unraisablehook = _lost


def _signals() -> list[signal.Signals]:
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


def run(work: Callable[[], int], at_end: Callable[[], None] = lambda: None) -> NoReturn:
    """Do a command's work and leave with its status.

    Args:
        work: gives the status, or leaves by ``sys.exit``.
        at_end: is done in any case, for what was finished; a signal while a stopped command is at it ends it at once.
    """
    error: BaseException | None = None
    code: Any = 1
    try:
        install()
        _State.stage = _Stage.running
        code = _status(work)
        at_end()
    except BaseException as caught:
        error = caught
    _State.stage = _Stage.ending
    if _State.received is not None or isinstance(error, KeyboardInterrupt):
        _say(str(error) if isinstance(error, KeyboardInterrupt) else "")
        code, error = _code(), None
    signal.setitimer(signal.ITIMER_REAL, 0)
    at_end()  # unless it was done
    if _State.received is not None:
        late = threading.Timer(_PATIENCE, _leave)
        late.daemon = True
        late.start()
    if error is not None:
        raise error
    _State.code = code if isinstance(code, int) else None
    sys.exit(code)


def _end() -> None:
    """End the process here: while Python takes itself apart, a signal would give another status, and say nothing."""
    if _State.code is not None and os.getpid() == _State.owner:
        with suppress(OSError, ValueError):  # Python says what is wrong with a stream
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_State.code)


def _status(work: Callable[[], int]) -> Any:
    try:
        return work()
    except Stopped:
        raise
    except SystemExit as left:
        return left.code


def asked() -> bool:
    """Whether a signal has come."""
    return _State.received is not None


def hung_up() -> bool:
    """Whether the signal that came is that of a closed terminal."""
    return _State.received == signal.SIGHUP


def check() -> None:
    """End what runs if a signal has come: for where an error is caught that may be a consequence of it.

    Raises:
        Stopped: one has.
    """
    if _State.received is not None and _State.stage is _Stage.running:
        raise Stopped(_code())


def say_nothing() -> None:
    """Have a signal end this process without a word: it only shows something, and is meant to be ended so."""
    _State.said = True


def serve(*, interruptible: bool = False) -> None:
    """Take the signals in a process that works for a command: SIGTERM ends it in order, and without a word.

    A terminal sends SIGINT to all processes; whoever started this one sends SIGTERM then.

    Args:
        interruptible: whether SIGINT does the same; else it is ignored.
    """
    install()
    if not interruptible:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _State.stage, _State.said = _Stage.running, True


def ended(code: int) -> str:
    """How a process ended, by its exit status as ``subprocess`` gives it."""
    if code >= 0:
        return f"status {code}"
    hint = "; the system may have lacked memory" if -code == signal.SIGKILL else ""
    return f"{signal.Signals(-code).name}{hint}"


@contextmanager
def handled(*steps: Callable[[], object]) -> Iterator[None]:
    """While the context is open, the first signal calls the first step, the second the next; then one ends the process.

    Does nothing outside the main thread, where signals do not arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _signals()}
    stage, owner, _State.owner = _State.stage, _State.owner, os.getpid()
    _State.instead = iter(steps)
    for number in before:
        signal.signal(number, _handle)
    try:
        yield
    finally:
        _State.instead = None
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.owner = owner
        if stage is _Stage.none:  # not a command of ours, and not its status
            _State.received = None


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Processes that are started meanwhile never see a Ctrl-C: whoever starts them ends them by SIGTERM."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # one that comes now waits for this process
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.owner:  # forked, for loading data
        os._exit(128 + number)
    first = _State.received is None
    _State.received = _State.received or number
    if _State.instead is not None:
        next(_State.instead, _leave)()
    elif first and _State.stage is _Stage.running:
        _raise(frame)
    else:
        _leave()


def _insist(number: int, frame: FrameType | None) -> None:
    """Raise where it could not be done before, or where it was of no effect."""
    if _State.received is not None and _State.stage is _Stage.running and not _unwinding():
        _raise(frame)


def _raise(frame: FrameType | None) -> None:
    if _fragile(frame):
        signal.setitimer(signal.ITIMER_REAL, _SOON, _AGAIN)
        return
    signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
    raise Stopped(_code())


def _fragile(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _unwinding() -> bool:
    """Whether the interrupted code runs because of the exception: in a ``finally``, or at the end of a ``with``."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error is not None


def _lost(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python could not raise it, in a weak reference's callback for example."""
    if isinstance(unraisable.exc_value, Stopped):
        signal.setitimer(signal.ITIMER_REAL, _SOON, _AGAIN)
    else:
        sys.__unraisablehook__(unraisable)


def _leave() -> NoReturn:
    """End the process without another step; whatever is on the disk is as after a crash, from which all goes on."""
    if not _State.said:
        os.write(2, f"Stopped. {GOES_ON}\n".encode())
    os._exit(_code())


def _code() -> int:
    return 128 + (_State.received or signal.SIGINT)


def _say(words: str) -> None:
    if not _State.said:
        _LOG.error("Stopped. %s", words or GOES_ON)
    _State.said = True
