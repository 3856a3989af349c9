import shutil
from pathlib import Path

import pytest

from ercsatz.artifacts import manifest
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.errors import UserError


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of an artifact's folder, under another name."""

    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(b"123456789")
        (folder / "words.txt").write_text("a b")

    made = Artifacts(tmp_path / "cache").get(Artifact(Kind.stages, {"a": 1}, "a stage"), write).path
    manifest._VERIFIED.clear()
    return Path(shutil.copytree(made, tmp_path / "mine"))


def test_a_copy_in_another_place_is_taken(copied):
    manifest.refuse_damaged(copied)


@pytest.mark.parametrize("name", ["weights", "words.txt", manifest.NAME])
@pytest.mark.parametrize("how", ["flipped", "torn", "emptied", "removed"])
def test_whatever_is_damaged_is_named(copied, name, how):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    changed = {"flipped": bytes(content), "torn": bytes(content[:-1]), "emptied": b""}
    (copied / name).unlink()
    if how != "removed":
        (copied / name).write_bytes(changed[how])
    elif name == manifest.NAME:
        manifest.refuse_damaged(copied)  # as an earlier version left it
        return
    with pytest.raises(UserError, match=name):
        manifest.refuse_damaged(copied)
    (copied / manifest.NAME).unlink()
    manifest.refuse_damaged(copied)
