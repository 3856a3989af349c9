import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ercsatz.ranking import RankResult, baseline_comparisons, pivot, rank, read_scores, to_markdown
from ercsatz.ranking.report import diagram

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_rank(arguments) -> str:
    line = [sys.executable, str(DOCS.parent / "rank.py"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.fixture
def page() -> str:
    return (DOCS / "reproduce-table4.md").read_text(encoding="utf-8")


@pytest.fixture
def result(page, tmp_path) -> RankResult:
    """What rank.py makes of the scores on the page: a difference of one point counts as the same."""
    path = tmp_path / "table4.csv"
    path.write_text(re.findall(r"```\n(benchmark,.*?)```", page, re.DOTALL)[0])
    table = pivot(read_scores(path), ["classifier", "variant"], ["benchmark", "test_set"], "w_f1")
    return rank(table, baseline_comparisons(table, "org"), rope=1.0)


def test_scores_on_the_page_are_the_published_ones(page, shared):
    published = shared("published/kaplan2025_table4_wf1.csv").read_text()
    assert [line.split(",") for line in published.split()] == [
        line.split(",") for line in re.findall(r"```\n(benchmark,.*?)```", page, re.DOTALL)[0].split()
    ]


def test_page_on_table_4_shows_what_its_scores_give(page, result):
    shown = [line for line in to_markdown(result).splitlines() if line.startswith(("|", "- "))]
    assert len(shown) > 35
    for line in shown:
        assert line in page


def test_picture_on_the_page_is_that_of_its_scores(page, result):
    (path,) = re.findall(r"!\[[^]]*\]\((img/[^)]*\.svg)\)", page)
    drawn = [text.get_text() for text in diagram(result).axes[0].texts]
    stored = [element.text for element in ElementTree.parse(DOCS / path).iter("{http://www.w3.org/2000/svg}text")]
    assert stored == drawn
    assert (DOCS / path).with_suffix(".png").is_file()


def test_example_on_ranking_page_runs(capsys: pytest.CaptureFixture[str]):
    page = (DOCS / "ranking.md").read_text(encoding="utf-8")
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    assert "| meld | 50.00 (2) | **55.00 (1)** |" in capsys.readouterr().out


def test_page_shows_what_the_layout_of_the_paper_gives(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("table4.csv").write_text(re.findall(r"```\n(benchmark,.*?)```", page, re.DOTALL)[0])
    run_rank(["scores=table4.csv", "ranking=kaplan2025", "output=table4"])
    text = Path("table4", "ranking.md").read_text(encoding="utf-8")
    scores, real = text.partition("## What was found")[0], text.partition("## Real test sets")[2].partition("## ")[0]
    lines = [line for line in (*scores.splitlines(), *real.splitlines()) if line.startswith("|")]
    assert len(lines) == 15 + 11
    for line in lines:
        assert line in page


def test_a_paper_of_ones_own_runs_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "ranking.md").read_text(encoding="utf-8")
    part = page.partition("## The tables of a paper")[2].partition("\n## ")[0]
    Path("models.csv").write_text(re.findall(r"`models.csv`:\n\n```\n(.*?)```", page, re.DOTALL)[0])
    Path("paper.csv").write_text(re.findall(r"`paper.csv`:\n\n```\n(.*?)```", part, re.DOTALL)[0])
    Path("mine", "ranking").mkdir(parents=True)
    Path("mine", "ranking", "glue.yaml").write_text(re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)[0])
    (line,) = re.findall(r"```\npython rank.py (.*?)\n```", part)
    printed = run_rank(line.split())
    shown = re.findall(r"```\n(Beside .*?)\n```", part, re.DOTALL)[0]
    assert shown in "\n".join(row.rstrip() for row in printed.splitlines())
