"""What becomes of this process: its exit status, and how errors are told. Imports nothing heavy."""

import os
import sys
import traceback

from ercsatz.errors import UserError


class Status:
    """The exit status of this process, which Hydra would lose."""

    code = 0


def message(error: BaseException) -> str:
    """One paragraph for people."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def report(error: BaseException, what: str = "") -> None:
    """Print an error and set the exit status; a traceback only for our own faults or with HYDRA_FULL_ERROR=1."""
    Status.code = 1
    if not isinstance(error, UserError) or os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    print(f"error{f' ({what})' if what else ''}: {message(error)}", file=sys.stderr, flush=True)
