import re
from pathlib import Path

import pytest

from ercsatz.ranking import baseline_comparisons, pivot, rank, read_scores, to_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_page_on_table_4_shows_what_its_scores_give(tmp_path):
    page = (DOCS / "reproduce-table4.md").read_text(encoding="utf-8")
    path = tmp_path / "table4.csv"
    path.write_text(re.findall(r"```\n(benchmark,.*?)```", page, re.DOTALL)[0])
    table = pivot(read_scores(path), ["classifier", "variant"], ["benchmark", "test_set"], "w_f1")
    shown = to_markdown(rank(table, baseline_comparisons(table, "org")))
    for line in shown.splitlines():
        if line.startswith(("|", "- ")):
            assert line in page


def test_example_on_ranking_page_runs(capsys: pytest.CaptureFixture[str]):
    page = (DOCS / "ranking.md").read_text(encoding="utf-8")
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    assert "| meld | 50.00 (2) | **55.00 (1)** |" in capsys.readouterr().out
