"""What becomes of this process: its exit status, and how errors are told. Imports nothing heavy."""

import logging
import os
import traceback

from ercsatz.errors import UserError

_LOG = logging.getLogger(__name__)


class Status:
    """The exit status of this process, which Hydra would lose."""

    code = 0


def message(error: BaseException) -> str:
    """One paragraph for people."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def report(error: BaseException, what: str = "") -> None:
    """Log an error and set the exit status; a traceback only for our own faults or with HYDRA_FULL_ERROR=1."""
    Status.code = 1
    if not isinstance(error, UserError) or os.environ.get("HYDRA_FULL_ERROR") == "1":
        _LOG.error("%s", "".join(traceback.format_exception(error)).rstrip("\n"))
    _LOG.error("error%s: %s", f" ({what})" if what else "", message(error))
