import io
from pathlib import Path

import pandas as pd
import pytest

from ercsatz.ranking import ScoreTable
from ercsatz.ranking.report import Background, write

ALL = {f"ranking.{kind}" for kind in ("html", "md", "csv", "tex", "png", "svg")}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_ranking_is_written_in_every_form(rich, tmp_path):
    written = write(*rich, 100.0, tmp_path / "new")
    assert {path.name for path in written} == names(tmp_path / "new") == ALL
    assert all(path.parent == tmp_path / "new" for path in written)
    assert (tmp_path / "new" / "ranking.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "new" / "ranking.svg").read_text().startswith("<?xml")
    assert "(ranking.svg)" in (tmp_path / "new" / "ranking.md").read_text()


def test_hostile_names_can_be_written_everywhere(hostile, tmp_path):
    write(*hostile, 100.0, tmp_path)
    assert names(tmp_path) == ALL
    frame = pd.read_csv(io.StringIO((tmp_path / "ranking.csv").read_text("utf-8")))
    texts = [*frame.columns, *frame["treatment"], *frame["baseline"].dropna()]
    assert not [text for text in texts if text.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize(
    "nothing", ["No job completed.", ScoreTable.from_frame(pd.DataFrame({"org": [0.5]}, index=["a"]))]
)
def test_what_is_not_ranked_has_its_page_alone_and_no_older_ranking_beside_it(nothing, make, tmp_path):
    (tmp_path / "mine.txt").touch()
    write(make(), Background(), 100.0, tmp_path)
    written = write(nothing, Background(), 100.0, tmp_path)
    assert {path.name for path in written} == {"ranking.html", "ranking.md"}
    assert names(tmp_path) == {"ranking.html", "ranking.md", "mine.txt"}
    assert "ranking.svg" not in (tmp_path / "ranking.md").read_text()


def test_report_that_cannot_be_made_leaves_the_older_one(rich, tmp_path, monkeypatch):
    write(rich[0], Background(), 100.0, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr("ercsatz.ranking.report.files.to_latex", fail)
    with pytest.raises(MemoryError):
        write(*rich, 100.0, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_same_result_gives_the_same_files(rich, tmp_path):
    for name in ("a", "b"):
        write(*rich, 100.0, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
