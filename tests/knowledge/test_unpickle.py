import os
import pickle
import re
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.knowledge import unpickle
from ercsatz.knowledge.unpickle import Array, load_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(content)
    return path


def plain(value):
    match value:
        case Array():
            return value.values
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list() | tuple():
            return type(value)(plain(each) for each in value)
    return value


ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">f4"),
    np.arange(4, dtype=np.int64),
    np.ones((2, 2), np.float16)[:, 0],
    np.array([1, 2], np.uint8),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_arrays_come_out_as_numpy_wrote_them(tmp_path, array, protocol):
    path = written(tmp_path, pickle.dumps({"a": [array, array[0]]}, protocol))
    first, second = plain(load_plain(path))["a"]
    np.testing.assert_array_equal(first, array)
    np.testing.assert_array_equal(second, array[0])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_of_numpy_1_are_read_too(tmp_path, protocol):
    array = np.arange(5, dtype=np.float32)
    content = pickle.dumps([array, array[2]], protocol)
    # Lengths of names are part of the binary protocols, so the old name is padded out with the pickle's own grammar
    old = content.replace(b"cnumpy._core.", b"cnumpy.core.")
    for name in (b"multiarray", b"numeric"):
        new, before = b"numpy._core." + name, b"numpy.core." + name
        old = old.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(before)]) + before)
    if protocol >= 4:  # the frame is one byte shorter for each name
        frame = old.index(b"\x95") + 1
        shorter = struct.unpack("<Q", old[frame : frame + 8])[0] - (len(content) - len(old))
        old = old[:frame] + struct.pack("<Q", shorter) + old[frame + 8 :]
    assert old != content
    first, second = plain(load_plain(written(tmp_path, old)))
    np.testing.assert_array_equal(first, array)
    assert second == array[2]


def test_byte_strings_of_python_2_are_read(tmp_path):
    # A dict of a str, as Python 2 writes it: U is SHORT_BINSTRING
    path = written(tmp_path, b"\x80\x02}U\x03caf\x55\x04\xe9abcs.")
    assert load_plain(path) == {"caf": "\u00e9abc"}


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(nested, st.sampled_from([2, 3, 4, 5]))
def test_plain_data_come_out_as_they_went_in(tmp_path_factory, value, protocol):
    path = written(tmp_path_factory.mktemp("plain"), pickle.dumps(value, protocol))
    if not (protocol == 2 and b"__builtin__\nbytes" in path.read_bytes()):  # empty bytes are a call there
        assert load_plain(path) == value


class Call:
    """Pickled as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def calls(folder):
    """Things that a hostile pickle would do; each leaves a trace if it is done."""
    trace = str(folder / "trace")
    code = f"open({trace!r}, 'w').close()"
    return {
        "posix.system": Call(os.system, f"touch {trace}"),
        "builtins.eval": Call(eval, code),
        "builtins.exec": Call(exec, code),
        "builtins.getattr": Call(getattr, "x", "upper"),
        "io.open": b"cio\nopen\n(V" + trace.encode() + b"\nVw\ntR.",
        "os.system": b"cos\nsystem\n(Vtouch " + trace.encode() + b"\ntR.",
        "subprocess.Popen": b"(Vtouch\nV" + trace.encode() + b"\nlp0\n0csubprocess\nPopen\n(g0\ntR.",
        "posix.mkdir": b"(S'" + trace.encode() + b"'\niposix\nmkdir\n.",
        "collections.OrderedDict": OrderedDict(a=1),
        "functools.partial": b"cfunctools\npartial\n(cbuiltins\nprint\ntR.",
        "numpy.load": b"cnumpy\nload\n(V" + trace.encode() + b"\ntR.",
        "numpy.ndarray.tofile": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "numpy.core.multiarray.fromfile": b"cnumpy.core.multiarray\nfromfile\n(V" + trace.encode() + b"\ntR.",
    }


@pytest.mark.parametrize("name", calls(Path()))
def test_any_other_name_is_refused_by_name_and_nothing_is_run(tmp_path, name):
    thing = calls(tmp_path)[name]
    content = thing if isinstance(thing, bytes) else pickle.dumps([{"x": thing}], 4)
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=re.escape(f"refused. The pickle wants {name}, and only plain")):
        load_plain(path)
    assert not (tmp_path / "trace").exists()


def test_torch_tensors_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"torch\._utils\._rebuild_tensor_v2"):
        load_plain(written(tmp_path, pickle.dumps({"a": torch.zeros(2)})))
    torch.save({"a": torch.zeros(2)}, tmp_path / "saved.pt")
    with pytest.raises(UserError, match="not a readable pickle"):
        load_plain(tmp_path / "saved.pt")


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = RECONSTRUCT + b"(cnumpy\nndarray\n(I0\nt\x43\x01btR"
FLOAT = b"cnumpy\ndtype\n(Vf4\nI00\nI01\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntb"
MISUSED = {
    "an array of objects": pickle.dumps(np.array([{}, None]), 4),
    "an array of texts": pickle.dumps(np.array(["a"]), 4),
    "an array of records": pickle.dumps(np.zeros(1, [("a", "f4")]), 4),
    "an array of dates": pickle.dumps(np.array(["2020-01-01"], "M8[D]"), 4),
    "more numbers than bytes": EMPTY + b"(I1\n(I9\nt" + FLOAT + b"I00\n\x43\x04aaaatb.",
    "a negative size": EMPTY + b"(I1\n(I-1\nt" + FLOAT + b"I00\n\x43\x04aaaatb.",
    "a state of another kind": EMPTY + b"}b.",
    "a subclass": RECONSTRUCT + b"(cnumpy\ndtype\n(I0\nt\x43\x01btR.",
    "a call of ndarray": b"cnumpy\nndarray\n((I4\nttR.",
    "an unknown type": b"cnumpy\ndtype\n(Vf3\ntR.",
    "a type with fields": b"cnumpy\ndtype\n(Vf4\ntR(I3\nV<\nN(Va\nt}I-1\nI-1\nI0\ntb.",
    "a codec": b"c_codecs\nencode\n(Vx\nVzip\ntR.",
    "a changed function": b"cnumpy\ndtype\nN}V__call__\nI1\ns\x86b.",
    "a changed dict of a function": b"cnumpy\ndtype\n}V_make\nI1\nsb.",
    "a class that is none": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "an instance of the old kind": b"(Vf9\nicnumpy\ndtype\n.",
    "a persistent id": b"Pwhere\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "a number that is none": b"cnumpy.core.multiarray\nscalar\n(" + FLOAT + b"\x43\x03abctR.",
    "nothing": b"",
    "half of it": pickle.dumps([1.0] * 50, 4)[:-20],
    "no pickle": b"PK\x03\x04 something else",
    "a memo that is not there": b"g7\n.",
}


@pytest.mark.parametrize("what", MISUSED)
def test_allowed_names_cannot_be_misused(tmp_path, what):
    before = {key: value._make for key, value in unpickle._NAMES.items()}
    with pytest.raises(UserError, match="Nothing of it was run"):
        load_plain(written(tmp_path, MISUSED[what]))
    assert {key: value._make for key, value in unpickle._NAMES.items()} == before


@given(st.binary(max_size=60))
@example(FLOAT + b".")
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("bytes"), content)
    try:
        value = load_plain(path)
    except UserError:
        return
    assert type(value).__module__ in ("builtins", "ercsatz.knowledge.unpickle")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"There is no file .*gone\.pkl"):
        load_plain(tmp_path / "gone.pkl")
