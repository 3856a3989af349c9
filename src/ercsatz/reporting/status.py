"""What becomes of this process: its exit status, and how errors are told. Imports nothing heavy."""

import logging
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar

from ercsatz.disk import trouble
from ercsatz.errors import UserError

_LOG = logging.getLogger(__name__)


class Status:
    """The exit status of this process, which Hydra would lose."""

    code = 0
    told: ClassVar[Counter[str]] = Counter()  # how often each error was reported


def message(error: BaseException) -> str:
    """One paragraph for people; a disk that is full or read-only is told as such, whatever a library made of it."""
    return str(error) if isinstance(error, UserError) else trouble(error) or f"{type(error).__name__}: {error}"


def report(error: BaseException, what: str = "") -> None:
    """Log an error and set the exit status; a traceback only for our own faults or with HYDRA_FULL_ERROR=1.

    One that this process has reported before, as of another cell of a sweep, is a short line with the count.
    """
    Status.code = 1
    Status.told[message(error)] += 1
    if what and (times := Status.told[message(error)]) > 1:
        _LOG.error("error (%s): the same as above, %s times now", what, times)
        return
    mendable = isinstance(error, UserError) or trouble(error) is not None
    if not mendable or os.environ.get("HYDRA_FULL_ERROR") == "1":
        _LOG.error("%s", "".join(traceback.format_exception(error)).rstrip("\n"))
    _LOG.error("error%s: %s", f" ({what})" if what else "", message(error))


def report_recorded(error: BaseException, what: str, record: Callable[[], object]) -> None:
    """Report an error of which a record is written first; a disk that does not take the record hides no error.

    Where that disk is the error itself, it is told once.
    """
    unwritten: OSError | None = None
    try:
        record()
    except OSError as refused:
        unwritten = refused
    report(error, what)
    if unwritten is not None and all(each is None or trouble(each) is None for each in (error, error.__cause__)):
        report(unwritten, what)


def together(failures: Iterable[str]) -> list[str]:
    """Sentences ``JOB failed: REASON``, each reason once; of several jobs with their number and the first.

    Example:
        >>> together(["a failed: no memory", "b failed: no disk", "c failed: no memory"])
        ['2 jobs failed, the first of them a: no memory', 'b failed: no disk']
    """
    jobs: dict[str, list[str]] = {}
    for failure in failures:
        jobs.setdefault(failure.partition(" failed: ")[2] or failure, []).append(failure)
    return [
        same[0]
        if len(same) == 1
        else f"{len(same)} jobs failed, the first of them {same[0].partition(' failed: ')[0]}: {reason}"
        for reason, same in jobs.items()
    ]
