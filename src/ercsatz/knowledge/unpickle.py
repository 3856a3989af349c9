"""A reader of pickles of unknown origin that runs nothing of theirs.

A pickle is a program: it names functions and calls them. Here no name is ever imported. The few names that numpy arrays
are pickled by, those of numpy 1 and 2, stand for functions of this module, which check what they are given; any other
name is refused. So what can come out is dicts, lists, tuples, strings, bytes, numbers, sets, ``None``, and arrays of
numbers. Nor does it take more memory than in proportion to the file.
"""

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ercsatz.errors import UserError

_NUMBER = re.compile(r"[fiu][1248]")


def load_plain(path: Path) -> Any:
    """What a pickle of plain containers, numbers, strings and numpy arrays holds.

    Args:
        path: the file. Byte strings of Python 2 are read as Latin-1.

    Returns:
        Its value; ``Array`` stands for arrays.

    Raises:
        UserError: the file is no such pickle; the message gives the first name that is not allowed.
    """
    try:
        with path.open("rb") as file:
            _check_places(file, path.stat().st_size)
            file.seek(0)
            return _PlainUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except _RefusedError as error:
        raise UserError(
            f"{path}: refused. The pickle wants {error}, and only plain containers, numbers, strings and numpy arrays "
            "are read. Nothing of it was run."
        ) from None
    except Exception as error:  # whatever a damaged or hostile file leads to
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UserError(f"{path}: not a readable pickle of plain data ({reason}). Nothing of it was run.") from None


def _check_places(file: IO[bytes], size: int) -> None:
    """Refuse places of the pickle's memory beyond what it can fill: Python would make room for all before them."""
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > size:
            raise _RefusedError(f"to remember {argument:,} values, with {size:,} bytes")


class Array:
    """An array of numbers; ``values`` is ``None`` until the pickle has said what they are."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), tuple() as shape, _Dtype() as dtype, bool() | int() as fortran, bytes() | str() as data):
                self.values = _values(data, dtype, shape, "F" if fortran else "C")
            case _:
                raise _RefusedError("an array that holds no plain numbers")


class _RefusedError(Exception):
    pass


class _Dtype:
    """A type of numbers, in the machine's order of bytes unless its state says otherwise."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise _RefusedError(f"an array of numpy.dtype({code!r})")
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), ("<" | ">" | "=" | "|") as order, None, None, None, *_):
                self.order = order
            case _:
                raise _RefusedError("a numpy.dtype that is no plain number")

    @property
    def numpy(self) -> "np.dtype[Any]":
        return np.dtype(f"{self.order}{self.code}")


class _Name:
    """What stands for an allowed name: it can be called, and nothing else; no pickle can change it."""

    __slots__ = ("_make",)
    _make: Callable[..., object]

    def __init__(self, make: Callable[..., object]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _RefusedError(f"to change {name!r} of a function")


def _values(data: object, dtype: object, shape: object, order: object) -> NDArray[Any]:
    if isinstance(data, str):
        data = data.encode("latin1")
    plain = isinstance(data, bytes | bytearray) and isinstance(dtype, _Dtype) and order in ("C", "F")
    if not plain or not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise _RefusedError("an array that holds no plain numbers")
    assert isinstance(dtype, _Dtype)
    assert isinstance(data, bytes | bytearray)
    if len(data) != math.prod(shape) * dtype.numpy.itemsize:
        raise _RefusedError(f"an array of {shape} from {len(data)} bytes")
    return np.frombuffer(data, dtype.numpy).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: object, shape: object, code: object) -> Array:
    """An empty array, whose state comes later."""
    if kind is not _NDARRAY:
        raise _RefusedError("an array of a kind of its own")
    return Array()


def _frombuffer(data: object, dtype: object, shape: object, order: object, *_: object) -> Array:
    """An array as the pickle protocol 5 has it."""
    array = Array()
    array.values = _values(data, dtype, shape, order)
    return array


def _scalar(dtype: object, data: object) -> float | int:
    """A single number of numpy's."""
    number: float | int = _values(data, dtype, (), "C").item()
    return number


def _encode(text: object, encoding: object) -> bytes:
    """Bytes, as protocols before 3 have them; the real ``_codecs.encode`` would look for a codec of any name."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"_codecs.encode with {encoding!r}")
    return text.encode("latin1")


def _uncalled(*_: object) -> NoReturn:
    raise _RefusedError("to call numpy.ndarray")


_NDARRAY = _Name(_uncalled)
_NAMES = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Name(_Dtype),
    ("_codecs", "encode"): _Name(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Name(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Name(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Name(_frombuffer) for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an allowed name; nothing is imported."""
        if (module, name) not in _NAMES:
            raise _RefusedError(f"{module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Things that are stored outside of the pickle, as torch has its tensors."""
        raise _RefusedError("something that lies outside of it (a persistent id)")
