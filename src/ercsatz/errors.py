"""The one error that users are meant to read."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Something that the user can mend.

    The message says what is wrong, where, and which command or key mends it. Entry points print it without a traceback
    (unless ``HYDRA_FULL_ERROR=1``) and end with status 1.
    """


class MissingFiles(UserError):  # noqa: N818 - a UserError, too
    """Files that are not there, with the command that brings them."""


def read_all(*reads: Callable[[], T]) -> list[T]:
    """What each of several functions gives, in order.

    Raises:
        MissingFiles: one error for all that some of them miss, so that nobody fetches one to learn of the next.
    """
    found, missing = list[T](), list[str]()
    for read in reads:
        try:
            found.append(read())
        except MissingFiles as error:
            missing.append(str(error))
    if missing:
        raise MissingFiles("\n".join(dict.fromkeys(missing)))
    return found
