import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ercsatz.artifacts import manifest, marks
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.artifacts.inventory import OLDER, UNFINISHED, items, prune

DAY = 86400


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Add artifacts of 1,000 bytes that nobody uses any more, each last used some days ago."""
    monkeypatch.setattr(marks, "mark", lambda *_: None)

    def add(name: str, days: float, kind: Kind = Kind.vectors) -> Path:
        artifact = Artifact(kind, {"name": name}, name)
        path = Artifacts(tmp_path).get(artifact, lambda folder: (folder / "data").write_bytes(bytes(1000))).path
        used(path / manifest.NAME, days)
        return path

    add.folder = tmp_path
    return add


def used(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def test_everything_is_listed_with_its_owner_size_and_age(cache):
    new, old = cache("new", 1), cache("old", 30)
    stage = cache("meld_bal compm pretrain seed 0", 2, Kind.stages)
    found = items(cache.folder)
    assert [item.path for item in found] == [stage, new, old]
    assert [item.owner for item in found] == ["meld_bal compm pretrain seed 0", "new", "old"]
    assert [round((time.time() - item.used) / DAY) for item in found] == [2, 1, 30]
    for item in found:
        assert item.size == 1000 + (item.path / manifest.NAME).stat().st_size


def test_what_earlier_versions_and_killed_processes_left_is_listed_and_pruned(cache):
    folder = cache.folder
    for name in ("stages/old/stage.json", "tokens/.0a.xyz/turns.npy", "stages/0b.partial/work/last.ckpt"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(bytes(500))
        for path in (folder / name, (folder / name).parent, (folder / name).parents[1]):
            used(path, 40)
    (folder / "vectors").mkdir()
    (folder / "vectors" / "0c.npy").write_bytes(bytes(500))
    (folder / "stages" / "old.lock").touch()
    kept = cache("new", 1)
    assert {item.key: item.owner for item in items(folder)} == {
        "old": OLDER,
        ".0a.xyz": OLDER,
        "0b.partial": UNFINISHED,
        "0c.npy": OLDER,
        kept.name: "new",
    }
    assert {item.size for item in items(folder) if item.path != kept} == {500}
    pruned = prune(folder, timedelta(days=20), None)
    assert {item.key for item in pruned.removed} == {"old", ".0a.xyz", "0b.partial"}
    assert {path.name for path in folder.glob("*/*") if not path.name.endswith(".lock")} == {"0c.npy", kept.name}


def test_a_damaged_manifest_is_listed_as_that(cache):
    path = cache("torn", 1)
    os.truncate(path / manifest.NAME, 10)
    assert [item.owner for item in items(cache.folder)] == ["damaged (manifest.json is torn)"]


def test_what_was_not_used_for_longest_goes_first_until_the_rest_is_small_enough(cache):
    paths = [cache(str(days), days) for days in (3, 1, 4, 2)]
    size = sum(item.size for item in items(cache.folder))
    assert prune(cache.folder, None, size).removed == []
    assert [item.owner for item in prune(cache.folder, None, size // 2).removed] == ["4", "3"]
    assert [path.exists() for path in paths] == [False, True, False, True]
    assert not list(cache.folder.glob("*/*.lock"))


def test_age_and_size_together(cache):
    for days in (10, 2, 1):
        cache(str(days), days)
    assert [item.owner for item in prune(cache.folder, timedelta(days=5), 2000).removed] == ["10", "2"]


def test_what_is_used_again_is_young_again(cache):
    path = cache("old", 30)
    Artifacts(cache.folder).get(Artifact(Kind.vectors, {"name": "old"}, "old"), lambda _: pytest.fail("made again"))
    assert prune(cache.folder, timedelta(days=20), None).removed == []
    assert path.is_dir()
