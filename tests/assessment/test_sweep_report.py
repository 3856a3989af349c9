import re

import pytest

from ercsatz.assessment.record import Failure
from ercsatz.assessment.sweep_report import merge
from ercsatz.config import WandbConfig, WandbMode

OFF = WandbConfig(WandbMode.disabled, "ercsatz", None)


@pytest.fixture
def sweep(tmp_path, assessment):
    """Put assessments into the folders of jobs."""

    def sweep(*names, **others):
        for number, name in enumerate(names, len(list(tmp_path.iterdir()))):
            assessment(name, **others).write(tmp_path / f"{number}-{name}" / "assessment.json")
        return tmp_path

    return sweep


def heads(folder):
    text = (folder / "quality.md").read_text()
    return next(line for line in text.splitlines() if line.startswith("| measure")).strip("| ").split(" | ")[1:-1]


def test_the_report_has_all_data_sets_in_the_order_of_the_jobs(sweep, capsys):
    folder = sweep(*(f"x{n}" for n in range(11, 0, -1)))
    assert merge(folder, [], OFF)
    assert heads(folder) == [f"x{n}" for n in range(11, 0, -1)]
    assert "x11" in capsys.readouterr().out


def test_of_one_data_set_there_is_a_report_already(sweep):
    folder = sweep("x_nat")
    assert merge(folder, [], OFF)
    assert not (folder / "quality.md").exists()


def test_a_job_that_left_nothing_is_named(sweep, capsys):
    folder = sweep("x_nat", "x_bal")
    assert not merge(folder, [["data=x_nat"], ["data=x_bal"], ["data=x_per", "seed=1"]], OFF)
    told = "Not assessed: the job data=x_per seed=1 was not started, or its process was killed."
    assert told in capsys.readouterr().out
    assert told in (folder / "quality.md").read_text()


def test_failures_are_reported_and_the_others_get_their_table(sweep, capsys):
    folder = sweep("x_nat", "x_bal")
    (folder / "2-x_per").mkdir()
    Failure("x_per", "no data").write(folder / "2-x_per")
    Failure("x_bal", "no copy", "Not cleaned").write(folder / "1-x_bal")
    assert not merge(folder, [], OFF)
    assert heads(folder) == ["x_nat", "x_bal"]
    told = capsys.readouterr().out
    for words in ("Not assessed: x_per: no data", "Not cleaned: x_bal: no copy"):
        assert words in told
        assert words in re.sub("</?bdi>", "", (folder / "quality.html").read_text())


def test_what_cannot_be_compared_gets_reports_of_its_own(sweep):
    folder = sweep("x_nat", "x_bal")
    names = ("y_org", "y_nat", "y_bal")
    counts = {name: {split: {"joy": 1} for split in ("train", "validation", "test")} for name in names}
    sweep("y_nat", "y_bal", benchmark="y", label_counts=counts)
    sweep("x_nat", "x_bal", embedder="a/b")
    assert merge(folder, [], OFF)
    assert not (folder / "quality.md").exists()
    assert heads(folder / "y-lexical-TF-IDF-SVD") == ["y_nat", "y_bal"]
    assert heads(folder / "mini-b") == ["x_nat", "x_bal"]


def test_a_data_set_that_was_assessed_twice_has_two_columns(sweep):
    folder = sweep("x_nat", "x_bal", "x_nat")
    assert merge(folder, [], OFF)
    assert heads(folder) == ["x_nat (1)", "x_bal", "x_nat (2)"]


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [
        ("seed", ("0", "1"), ("seed 0", "seed 1")),
        ("sample", ("100 turns", "2,000 turns"), ("sample 100 turns", "sample 2,000 turns")),
        ("random halvings", ("3", "8"), ("random halvings 3", "random halvings 8")),
        (
            "dialogues compared",
            ("all that can be", "50 at the most"),
            ("dialogues compared all that can be", "dialogues compared 50 at the most"),
        ),
    ],
)
def test_columns_of_other_settings_say_what_differs_and_share_no_mark(sweep, line, key, values, shown):
    for value, mark in zip(values, (0.50, 0.51), strict=True):
        folder = sweep("x_nat", lines=[line(0.5, mark, chance=0.1)], provenance={"seed": "0", key: value})
    assert merge(folder, [], OFF)
    assert heads(folder) == [f"x_nat ({each})" for each in shown]
    row = next(text for text in (folder / "quality.md").read_text().splitlines() if text.startswith("| Fréchet"))
    assert row.endswith("| 0.500 to 0.510 ± 0.100 |"), "and no mean of the two"


def test_nothing_to_merge_is_no_fault(tmp_path):
    assert merge(tmp_path, [], OFF)
    assert not list(tmp_path.iterdir())
