import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ercsatz.training.callbacks import BestEpoch
from ercsatz.training.state import WholeCheckpoints, resumable

STATE = {"callbacks": {}, "epoch": 3, "weights": {"a": torch.arange(40.0), "b": torch.zeros(3, dtype=torch.int64)}}


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Path:
    """What a run that was interrupted leaves."""
    folder = tmp_path_factory.mktemp("left")
    best = BestEpoch(folder, "test", scored=True)
    best.load_state_dict({"epoch": 2, "score": 0.5, "curve": []})
    save_file({"a": torch.arange(9.0)}, best.file)
    best._sha256 = hashlib.sha256(best.file.read_bytes()).hexdigest()
    state = {**STATE, "callbacks": {best.state_key: best.state_dict()}}
    WholeCheckpoints().save_checkpoint(state, folder / "last.ckpt")
    return folder


@pytest.fixture
def work(left, tmp_path) -> Path:
    return Path(shutil.copytree(left, tmp_path / "work"))


@pytest.fixture
def found(work) -> Callable[[], Path | None]:
    return lambda: resumable(work, BestEpoch(work, "test", scored=True), "title")


def test_what_is_whole_is_gone_on_from_in_silence(found, work, caplog):
    assert found() == work / "last.ckpt"
    assert not caplog.records


def test_whatever_byte_of_the_state_is_flipped_it_is_noticed_or_changes_nothing(found, work, caplog):
    whole = (work / "last.ckpt").read_bytes()
    expected = torch.load(work / "last.ckpt", weights_only=True)
    noticed = 0
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (work / "last.ckpt").write_bytes(changed)
        if found() is None:
            noticed += 1
            assert f"title | {work / 'last.ckpt'} is damaged" in caplog.messages[-1]
            continue
        there = torch.load(work / "last.ckpt", weights_only=True)
        assert there["callbacks"] == expected["callbacks"]
        assert all(torch.equal(tensor, there["weights"][name]) for name, tensor in expected["weights"].items())
    assert noticed > 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_torn_state_is_said_and_given_up(share, found, work, caplog):
    content = (work / "last.ckpt").read_bytes()
    (work / "last.ckpt").write_bytes(content[: int(share * len(content))])
    assert found() is None
    assert "training begins anew" in caplog.text
    assert not (work / "last.ckpt").exists()


@pytest.mark.parametrize("damage", ["flip", "tear", "remove"])
def test_damaged_best_weights_are_said_and_the_state_is_given_up(damage, found, work, caplog):
    file = work / "best-2.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content if damage == "flip" else content[:-1])
    if damage == "remove":
        file.unlink()
    assert found() is None
    assert str(file) in caplog.text


def test_what_a_killed_process_left_half_written_is_removed(found, work):
    (work / ".last.ckpt.0a1b2c3d").touch()
    found()
    assert sorted(path.name for path in work.iterdir()) == ["best-2.safetensors", "last.ckpt"]


def test_a_state_is_written_beside_its_place_by_the_umask_and_on_a_full_disk_the_old_one_stays(
    small_disk, monkeypatch, tmp_path
):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    folder = small_disk(2_000_000).folder
    before = os.umask(0o002)
    try:
        WholeCheckpoints().save_checkpoint(STATE, folder / "last.ckpt")
    finally:
        os.umask(before)
    old = (folder / "last.ckpt").read_bytes()
    assert (folder / "last.ckpt").stat().st_mode & 0o777 == 0o664
    with pytest.raises(OSError, match="No space left") as raised:
        WholeCheckpoints().save_checkpoint({"a": torch.zeros(1_000_000)}, folder / "last.ckpt")
    assert raised.value.errno == errno.ENOSPC
    assert (folder / "last.ckpt").read_bytes() == old
    assert len(list(folder.iterdir())) == 1


def test_no_state_is_none(tmp_path):
    assert resumable(tmp_path / "none", BestEpoch(tmp_path, "", scored=True), "") is None
