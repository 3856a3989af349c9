import csv

import pytest

# Weighted F1 of Table IV in Kaplan, Carneiro and Wermter, "Can Large Language Models Generate Effective Datasets for
# Emotion Recognition in Conversations?" (2025), and the rank sums and comparisons that follow from it.
SCORES = """\
benchmark,test_set,compm_org,compm_nat,compm_bal,emoone_org,emoone_nat,emoone_bal,todkat_org,todkat_nat,todkat_bal
meld,org,65.43,65.52,66.16,65.46,66.50,67.27,63.47,64.20,64.27
meld,nat,48.07,50.96,50.29,49.18,50.95,49.24,46.52,49.37,47.86
meld,bal,58.66,60.77,65.99,61.17,61.20,66.10,57.34,60.46,62.30
emorynlp,org,37.25,39.50,38.93,35.93,38.79,39.05,35.38,36.77,37.40
emorynlp,nat,31.66,35.89,34.00,28.85,34.06,34.73,28.37,37.14,31.12
emorynlp,bal,47.67,53.39,60.86,46.91,50.51,60.92,38.15,49.71,56.95
iemocap,org,65.21,68.06,67.87,67.19,69.28,67.81,54.63,55.96,53.39
iemocap,nat,16.76,37.58,27.08,19.84,35.85,27.89,26.02,30.86,30.27
iemocap,bal,34.05,53.89,59.62,33.20,50.26,60.35,40.23,41.94,47.64
"""
RANK_SUMS = [63, 24, 29, 62, 28, 23, 76, 49, 51]
LINES = {
    "rank sum": [str(total) for total in RANK_SUMS],
    "difference from org": ["39", "34", "34", "39", "27", "25"],
    "exact p": ["0.00057", "0.00311", "0.00311", "0.00057", "0.02122", "0.03377"],
    "Bonferroni p": ["0.00343", "0.01868", "0.01868", "0.00343", "0.12732", "0.20259"],
}


def assert_table4(text):
    lines = [line.strip() for line in text.splitlines()]
    for label, cells in LINES.items():
        (line,) = (line for line in lines if line.startswith(label + " "))
        assert line.removeprefix(label).split() == cells


def test_published_scores_are_ranked_and_written(command, tmp_path):
    (tmp_path / "table4.csv").write_text(SCORES)
    done = command(tmp_path, "rank.py", "scores=table4.csv", "output=out")
    assert done.returncode == 0, done.stderr
    assert_table4(done.stdout)
    assert "(chi-square 45.8667, 8 degrees of freedom, p = 2.5e-07 by the chi-square approximation)" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ranking.csv", "ranking.md", "scores.csv"]
    with (tmp_path / "out" / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rank_sum"]) for row in rows] == RANK_SUMS
    assert float(rows[1]["p_bonferroni"]) == pytest.approx(0.00343, abs=5e-6)
    assert "compm_nat against compm_org (p = 0.00343)" in (tmp_path / "out" / "ranking.md").read_text()


def test_nothing_is_written_without_an_output_folder(command, tmp_path):
    (tmp_path / "table4.csv").write_text(SCORES.replace(",", "\t"))
    assert_table4(command(tmp_path, "rank.py", "scores=table4.csv").stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["table4.csv"]


def test_published_file_gives_the_published_table(command, tmp_path, shared):
    done = command(tmp_path, "rank.py", f"scores={shared('published/kaplan2025_table4_wf1.csv')}")
    assert done.returncode == 0, done.stderr
    assert_table4(done.stdout)
