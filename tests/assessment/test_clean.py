import csv
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ercsatz.assessment.clean import refuse_existing, write_clean
from ercsatz.data.dialogue import SPLITS
from ercsatz.data.files import read_jsonl, write_jsonl
from ercsatz.errors import UserError
from ercsatz.quality.leakage import COLUMNS

COPIED = ("labels.png", "config.json", "leakage.jsonl")
CARD = """\
---
pretty_name: bad
license: apache-2.0
configs:
- config_name: default
  data_files:
  - split: train
    path: train.parquet
---

# bad

Words.
"""


@pytest.fixture
def splits(say):
    return {split: tuple(say(f"{split}{n}", (f"Text {n}", "joy")) for n in range(3)) for split in SPLITS}


@pytest.fixture
def data(tmp_path, splits) -> Path:
    folder = tmp_path / "data" / "bad"
    for split, dialogues in splits.items():
        write_jsonl(folder / f"{split}.jsonl", dialogues)
    (folder / "README.md").write_text(CARD)
    for name in COPIED:
        (folder / name).write_bytes(name.encode())
    return folder


def offenders(*places):
    rows = [
        {**dict.fromkeys(COLUMNS, "=1+1"), "split": split, "dialogue": name, "score": 1.0} for split, name in places
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_copy_is_the_data_set_without_offenders(data, splits):
    target = write_clean(data, splits, offenders(("train", "train1"), ("test", "test0"), ("test", "test0")))
    assert target == data.with_name("bad_clean")
    ids = {split: [each.id for each in read_jsonl(target / f"{split}.jsonl")] for split in SPLITS}
    assert ids == {
        "train": ["train0", "train2"],
        "validation": ["validation0", "validation1", "validation2"],
        "test": ["test1", "test2"],
    }
    with (target / "removed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["dialogue"]) for row in rows] == [("train", "train1"), ("test", "test0")]
    assert rows[0]["text"] == "'=1+1", "a spreadsheet would run it"
    assert sorted(path.name for path in data.parent.iterdir()) == ["bad", "bad_clean"]


def test_the_card_names_the_files_that_there_are(data, splits):
    target = write_clean(data, splits, offenders(("train", "train1")))
    front, _, rest = (target / "README.md").read_text().removeprefix("---\n").partition("---\n")
    front = yaml.safe_load(front)
    assert (front["pretty_name"], front["license"]) == ("bad", "apache-2.0")
    paths = [file["path"] for file in front["configs"][0]["data_files"]]
    assert paths == ["train.jsonl", "validation.jsonl", "test.jsonl"]
    assert "# bad\n\nWords.\n\n## Cleaned" in rest
    assert "train 3 to 2 dialogues" in rest


def test_what_the_card_refers_to_comes_with_it(data, splits):
    target = write_clean(data, splits, offenders(("train", "train1")))
    for name in COPIED:
        assert (target / name).read_bytes() == name.encode(), name
    assert "settings and hits are those of the data set before" in (target / "README.md").read_text().replace("\n", " ")


def test_a_split_that_was_empty_stays_so(data, splits, tmp_path):
    splits = {**splits, "validation": ()}
    target = write_clean(data, splits, offenders(("train", "train1")))
    assert (target / "validation.jsonl").read_text() == ""
    assert len(read_jsonl(target / "train.jsonl")) == 2
    front = yaml.safe_load((target / "README.md").read_text().split("---\n")[1])
    assert [file["split"] for file in front["configs"][0]["data_files"]] == ["train", "test"], (
        "a loader reads no others"
    )
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(target), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 2, "test": 3}


@pytest.mark.parametrize("card", [CARD, None, "# No front matter\n"])
def test_datasets_loads_the_copy(data, splits, card, tmp_path):
    datasets = pytest.importorskip("datasets")
    (data / "README.md").unlink()
    if card:
        (data / "README.md").write_text(card)
    target = write_clean(data, splits, offenders(("train", "train1"), ("validation", "validation0")))
    loaded = datasets.load_dataset(str(target), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 2, "validation": 2, "test": 3}


def test_a_copy_that_is_there_is_left_alone(data, splits):
    write_clean(data, splits, offenders(("train", "train1")))
    with pytest.raises(UserError, match=r"bad_clean is there already.* data=x_nat data\.name=bad_clean"):
        refuse_existing(data, "x_nat")


def test_a_split_of_leaks_alone_is_refused_and_nothing_is_left_behind(data, splits):
    with pytest.raises(UserError, match="all 3 dialogues of its test split would be left out"):
        write_clean(data, splits, offenders(*(("test", f"test{n}") for n in range(3))))
    assert [path.name for path in data.parent.iterdir()] == ["bad"]
