import json
import os

import pytest

from ercsatz.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.generation import dataset

SETTINGS = {"seed": 0, "plan": {"n_dialogues": 3}}


def dialogues(n: int) -> list[Dialogue]:
    return [Dialogue(f"{i:06d}", (Utterance("Maya", f"Line {i}.", "joy"),), {"index": i}) for i in range(n)]


@pytest.fixture
def splits():
    return dataset.split(dialogues(10), 0.2, 0.2, seed=0)


def test_split_sizes_are_the_shares_and_nothing_is_lost():
    splits = dataset.split(dialogues(50), 0.1, 0.2, seed=1)
    assert {name: len(members) for name, members in splits.items()} == {"train": 35, "validation": 5, "test": 10}
    assert len({dialogue.id for members in splits.values() for dialogue in members}) == 50


def test_growth_keeps_most_assignments():
    before, after = (dataset.split(dialogues(n), 0.1, 0.1, seed=2) for n in (1000, 1100))
    place = {dialogue.id: name for name, members in after.items() for dialogue in members}
    moved = sum(place[dialogue.id] != name for name, members in before.items() for dialogue in members)
    assert moved < 50


def test_split_depends_on_the_seed():
    assert dataset.split(dialogues(50), 0.2, 0.2, 0) != dataset.split(dialogues(50), 0.2, 0.2, 1)


def test_empty_split_is_refused():
    with pytest.raises(UserError, match=r"validation split would be empty.*plan\.n_dialogues"):
        dataset.split(dialogues(4), 0.1, 0.3, seed=0)


@pytest.mark.parametrize("shares", [(0, 0.1), (0.1, 0), (0.5, 0.5), (-0.1, 0.2)])
def test_senseless_shares_are_refused(shares):
    with pytest.raises(UserError, match=r"split\.validation"):
        dataset.check_shares(*shares)


def test_written_folder_is_recognised(tmp_path, splits):
    folder = tmp_path / "data" / "mini_bal"
    assert not dataset.is_done(folder, SETTINGS, overwrite=False)
    dataset.write(folder, splits, "card\n", SETTINGS)
    assert dataset.is_done(folder, SETTINGS, overwrite=False)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mini_bal"]


def test_other_settings_are_named_and_overwrite_replaces_all(tmp_path, splits):
    folder, other = tmp_path / "mini_bal", SETTINGS | {"plan": {"n_dialogues": 4}}
    dataset.write(folder, splits, "old\n", SETTINGS)
    (folder / "stray.txt").touch()
    with pytest.raises(UserError, match=r"plan\.n_dialogues: 3 there, 4 now\n.*overwrite=true"):
        dataset.is_done(folder, other, overwrite=False)
    assert not dataset.is_done(folder, other, overwrite=True)
    dataset.write(folder, splits, "new\n", other)
    assert (folder / "README.md").read_text() == "new\n"
    assert not (folder / "stray.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mini_bal"]


def test_missing_file_is_named(tmp_path, splits):
    dataset.write(tmp_path / "d", splits, "card\n", SETTINGS)
    (tmp_path / "d" / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"test\.jsonl is missing"):
        dataset.is_done(tmp_path / "d", SETTINGS, overwrite=False)


@pytest.mark.parametrize("content", [None, "{broken", "[]"])
def test_folder_of_others_is_left_alone_even_with_overwrite(tmp_path, content):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    if content is not None:
        (tmp_path / "photos" / "config.json").write_text(content)
    with pytest.raises(UserError, match="left alone"):
        dataset.is_done(tmp_path / "photos", SETTINGS, overwrite=True)


def test_failed_write_leaves_the_old_data_set(tmp_path, splits, monkeypatch):
    folder = tmp_path / "mini_bal"
    dataset.write(folder, splits, "old\n", SETTINGS)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device.*paths\.data"):
        dataset.write(folder, splits, "new\n", SETTINGS)
    assert (folder / "README.md").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mini_bal"]


def test_place_under_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write"):
        dataset.check_writable(tmp_path / "file" / "mini_bal")


def test_settings_are_stored_as_they_are(tmp_path, splits):
    dataset.write(tmp_path / "d", splits, "card\n", SETTINGS)
    assert json.loads((tmp_path / "d" / "config.json").read_text()) == SETTINGS
