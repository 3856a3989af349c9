import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ercsatz import disk
from ercsatz.data.text_files import atomic_write
from ercsatz.errors import UserError

MUCH = 4_000_000  # bytes, more than the small disk has


def safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(MUCH, np.uint8)}, path)


def numpy_file(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(MUCH, np.uint8))


def torch_file(path: Path) -> None:
    import torch

    with path.open("wb") as file:
        torch.save(torch.zeros(MUCH), file)


def parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": np.random.default_rng(0).random(MUCH)}), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("a" * MUCH),
    "numpy": numpy_file,
    "safetensors": safetensors,
    "torch": torch_file,
    "parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_alike_whoever_writes_and_leaves_the_old_file_alone(name, small_disk):
    folder = small_disk(2_000_000).folder
    path = folder / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left on device") as raised, disk.whole(path) as new:
        WRITERS[name](new)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    told = disk.trouble(raised.value)
    assert told is not None
    assert told.startswith(f"Cannot write {path}: No space left on device (file system {folder}, ")
    assert "Make room there and run the same command again" in told
    assert path.read_text() == "old"
    assert list(folder.iterdir()) == [path]


def test_a_data_base_on_a_full_disk_is_told_too(small_disk):
    folder = small_disk(2_000_000).folder
    connection = sqlite3.connect(folder / "db", isolation_level=None)
    connection.execute("CREATE TABLE t (x BLOB)")
    with pytest.raises(sqlite3.OperationalError) as raised:
        connection.execute("INSERT INTO t VALUES (?)", (bytes(MUCH),))
    connection.close()
    assert "No space left on device" in str(disk.trouble(raised.value))


def test_a_read_only_disk_is_told_and_nothing_more_is_tried(small_disk):
    small = small_disk(2_000_000)
    path = small.folder / "file"
    small.read_only()
    with pytest.raises(OSError, match="Read-only") as raised, disk.whole(path) as new:
        new.write_text("new")
    assert f"Cannot write {path}: Read-only file system (file system {small.folder})" in str(disk.trouble(raised.value))


def test_what_is_behind_an_error_is_found_and_other_errors_are_their_own(tmp_path):
    def chained() -> None:
        try:
            raise OSError(errno.EDQUOT, "quota")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  as torch does

    with pytest.raises(RuntimeError) as raised:
        chained()
    assert "Cannot write a file: Disk quota exceeded" in str(disk.trouble(raised.value))
    for other in (ValueError("x"), FileNotFoundError(2, "no", "x"), ConnectionError("x"), UserError("x")):
        assert disk.trouble(other) is None
    denied = disk.trouble(PermissionError(errno.EACCES, "Permission denied", "a.txt"))
    assert str(denied).startswith("a.txt: Permission denied.")
    with pytest.raises(KeyError), disk.told(tmp_path, "Mend it.", every=False):
        raise KeyError


def test_a_lock_that_is_held_is_no_trouble_of_the_disk(tmp_path):
    with pytest.raises(TimeoutError), disk.told(tmp_path, "Mend it."):
        raise TimeoutError


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_decides_who_may_read(umask, tmp_path):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "new" / "text") as file:
            file.write("new")
        with disk.whole(tmp_path / "new" / "tensors") as new:
            new.unlink()
            new.touch(mode=0o600)  # as safetensors does
        (tmp_path / "made" / "below").mkdir(parents=True)
        (tmp_path / "made" / "below" / "file").touch(mode=0o600)
        disk.settle(tmp_path / "made")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {modes[name] for name in ("new", "made", "below")} == {0o777 & ~umask}
    assert {modes[name] for name in ("text", "tensors", "file")} == {0o666 & ~umask}


def test_nothing_is_written_outside_the_folder_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    with disk.whole(tmp_path / "file") as new:
        assert new.parent == tmp_path
