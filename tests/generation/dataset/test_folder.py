import json
import os

import pytest

from ercsatz.data import checksums
from ercsatz.errors import UserError
from ercsatz.generation.dataset import folder as dataset

SETTINGS = {"seed": 0, "plan": {"n_dialogues": 3}}


def write(folder, text="card\n", settings=SETTINGS, complete=True):
    with dataset.new_folder(folder) as new:
        for name in dataset.FILES:
            (new / name).write_text(text)
        (new / dataset.CONFIG_FILE).write_text(json.dumps({"settings": settings, "complete": complete, "tokens": 5}))


def test_written_folder_is_recognised(tmp_path):
    folder = tmp_path / "data" / "mini_bal"
    assert not dataset.is_done(folder, SETTINGS, overwrite=False)
    write(folder)
    assert dataset.is_done(folder, SETTINGS, overwrite=False)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mini_bal"]


def test_other_settings_are_named_and_overwrite_replaces_all(tmp_path):
    folder, other = tmp_path / "mini_bal", SETTINGS | {"plan": {"n_dialogues": 4}}
    write(folder, "old\n")
    (folder / "stray.txt").touch()
    with pytest.raises(UserError, match=r"other settings:\n  plan\.n_dialogues: 3 there, 4 now\n.*overwrite=true"):
        dataset.is_done(folder, other, overwrite=False)
    assert not dataset.is_done(folder, other, overwrite=True)
    write(folder, "new\n", other)
    assert (folder / "README.md").read_text() == "new\n"
    assert not (folder / "stray.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mini_bal"]


def test_incomplete_data_set_is_not_done_but_no_error_unless_settings_differ(tmp_path):
    write(tmp_path / "d", complete=False)
    (tmp_path / "d" / "test.jsonl").unlink()
    assert not dataset.is_done(tmp_path / "d", SETTINGS, overwrite=False)
    with pytest.raises(UserError, match="seed: 0 there, 1 now"):
        dataset.is_done(tmp_path / "d", SETTINGS | {"seed": 1}, overwrite=False)


@pytest.mark.parametrize("name", ["test.jsonl", "train.parquet", "labels.png", "README.md"])
def test_missing_file_is_named(tmp_path, name):
    write(tmp_path / "d")
    (tmp_path / "d" / name).unlink()
    with pytest.raises(UserError, match=rf"is not whole:\n  {name} is missing\n.*overwrite=true"):
        dataset.is_done(tmp_path / "d", SETTINGS, overwrite=False)
    assert not dataset.is_done(tmp_path / "d", SETTINGS, overwrite=True)


def test_a_split_that_was_changed_is_named_with_what_accepts_it(tmp_path):
    write(tmp_path / "d")
    checksums.write(tmp_path / "d", dataset.SPLIT_FILES)
    assert dataset.is_done(tmp_path / "d", SETTINGS, overwrite=False)
    (tmp_path / "d" / "test.parquet").write_text("else")
    with pytest.raises(UserError, match=r"test\.parquet is damaged, or was edited\n.*delete .*d/SHA256SUMS\."):
        dataset.is_done(tmp_path / "d", SETTINGS, overwrite=False)
    assert not dataset.is_done(tmp_path / "d", SETTINGS, overwrite=True)


@pytest.mark.parametrize(
    "content", [None, "{broken", "[]", "{}", '{"settings": {}}', '{"settings": 1, "complete": true}']
)
def test_folder_of_others_is_left_alone_even_with_overwrite(tmp_path, content):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    if content is not None:
        (tmp_path / "photos" / "config.json").write_text(content)
    with pytest.raises(UserError, match="left alone"):
        dataset.is_done(tmp_path / "photos", SETTINGS, overwrite=True)


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_failed_write_leaves_the_old_data_set(tmp_path, monkeypatch, step):
    folder, rename = tmp_path / "mini_bal", os.rename
    write(folder, "old\n")

    def full(source, *_):
        is_new = not str(source).endswith(".old") and source != folder
        if step == "fsync" or is_new:
            raise OSError(28, "No space left on device")
        rename(source, *_)

    monkeypatch.setattr(os, step, full)
    with pytest.raises(UserError, match=r"No space left on device.*paths\.data"):
        write(folder, "new\n")
    assert (folder / "README.md").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mini_bal"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError, ValueError])
def test_broken_off_write_leaves_nothing_and_says_what_it_was(tmp_path, error):
    def broken_off():
        with dataset.new_folder(tmp_path / "d") as new:
            (new / "train.jsonl").touch()
            raise error

    with pytest.raises(error):
        broken_off()
    assert not list(tmp_path.iterdir())


def test_link_to_another_disk_stays_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "big")
    write(tmp_path / "d", "new\n")
    assert (tmp_path / "d").is_symlink()
    assert (tmp_path / "big" / "README.md").read_text() == "new\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big", "d"]


def test_place_under_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write"):
        dataset.check_writable(tmp_path / "file" / "mini_bal")
