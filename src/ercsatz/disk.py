"""Files that are whole or not there, and what a disk's refusal means to people. Imports nothing heavy.

Whatever is written is written beside its place, so on the same file system, waited for until it is on the disk, and
renamed. It has the permissions that the umask gives, whoever wrote it: some libraries make their files private.
"""

import errno
import os
import re
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ercsatz.errors import UserError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {*_FULL, errno.EROFS, errno.EIO}
_SQLITE = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS, sqlite3.SQLITE_IOERR: errno.EIO}
_MOST = 10  # errors behind an error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give an empty hidden neighbour of ``path`` to write into; it takes that place at the end.

    On any error the neighbour is removed and ``path`` is left as it was.

    Raises:
        OSError: it cannot be written; has the number and the file, whatever a library made of it.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _named(path, new):
        path.parent.mkdir(parents=True, exist_ok=True)
        new.touch(exist_ok=False)
        mode = stat.S_IMODE(new.stat().st_mode)
        try:
            yield new
            _set_mode(new, mode)
            sync(new)
            new.replace(path)
            sync(path.parent)
        except BaseException:
            with suppress(OSError):  # on a disk that refuses everything the first error is the one to tell
                new.unlink(missing_ok=True)
            raise


def settle(folder: Path) -> None:
    """Make a folder ready for its place: all below it as the umask has it, and on the disk."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    for path in (*folder.rglob("*"), folder):
        if path.is_dir() or path.is_file():
            if not path.is_symlink():
                _set_mode(path, mode if path.is_dir() else mode & 0o666)
            sync(path)


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some file systems know no such wait
            raise
    finally:
        os.close(handle)


def let_go(lock: "BaseFileLock") -> None:
    """Remove a lock's file while it is ours, since nobody may lock a file without a name, and release it."""
    with suppress(OSError):  # on a disk that has become read-only it stays, which harms nobody
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


@contextmanager
def told(what: object, mend: str, every: bool = True) -> Iterator[None]:
    """Turn what the operating system says about a failed write into a message for users.

    Args:
        what: cannot be written.
        mend: a sentence that says what to do.
        every: error of the operating system; else only those of a disk that is full, read-only or broken.

    Raises:
        UserError: it could not be written. A lock that is held (``TimeoutError``) is the caller's to tell.
    """
    try:
        yield
    except (UserError, TimeoutError):
        raise
    except Exception as error:
        if _number(error) is None and not (every and isinstance(error, OSError)):
            raise
        raise UserError(f"Cannot write {what}: {_reason(error, Path(str(what)))}. {mend}") from error


def trouble(error: BaseException, what: str = "a file") -> str | None:
    """A paragraph for people, where an error comes from a disk that is full, read-only or broken, or from permissions.

    Whatever a library made of it: the errors behind it are looked at, too.

    Args:
        error: of any kind.
        what: could not be written, where the error does not name it.

    Returns:
        ``None`` for any other error.
    """
    name = getattr(error, "filename", None)
    number = _number(error)
    if number is None:
        if name is None or not isinstance(error, PermissionError):
            return None
        return f"{name}: {error.strerror}. Mend its permissions, or name another place."
    what = what if name is None else name
    mend = "Make room there" if number in _FULL else "Mend that, or name another place,"
    reason = _reason(error, None if name is None else Path(str(name)))
    return f"Cannot write {what}: {reason}. {mend} and run the same command again: it goes on from what is finished."


@contextmanager
def _named(path: Path, new: Path) -> Iterator[None]:
    """Give a disk's refusal its number, if a library left that out, and the file that people know."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = _number(error)
        if isinstance(error, OSError) and error.filename is not None and number in {None, error.errno}:
            error.filename = str(path) if error.filename == str(new) else error.filename
            raise
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _number(error: BaseException) -> int | None:
    """The ``errno`` of a disk's refusal, from an error or those behind it; ``None`` if it is something else."""
    behind: BaseException | None = error
    for _ in range(_MOST):
        if behind is None or isinstance(behind, UserError):
            return None
        if (found := _own_number(behind)) in _REFUSED:
            return found
        behind = behind.__cause__ or behind.__context__
    return None


def _own_number(error: BaseException) -> int | None:
    if isinstance(error, sqlite3.Error):
        return _SQLITE.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF)
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, OSError) and re.search(r"\d+ requested and \d+ written", str(error)):  # numpy
        return errno.ENOSPC
    words = re.search(r"\(os error (\d+)\)", str(error))  # what is written in Rust, as safetensors is
    return int(words[1]) if words else None


def _reason(error: BaseException, place: Path | None) -> str:
    number = _number(error)
    if number is None:
        return str(getattr(error, "strerror", None) or error)
    words = os.strerror(number)
    if place is None or number == errno.EIO:
        return words
    with suppress(OSError):
        mount = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_mount())
        free = os.statvfs(mount)
        left = f", {free.f_bavail * free.f_frsize / 1e6:,.1f} MB free" if number != errno.EROFS else ""
        return f"{words} (file system {mount}{left})"
    return words


def _set_mode(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        with suppress(PermissionError):  # of a file system that has no modes
            path.chmod(mode)
