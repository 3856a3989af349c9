import csv
import hashlib
import re
from itertools import pairwise
from pathlib import Path

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
FILES = {"scores.csv", *(f"ranking.{suffix}" for suffix in ("csv", "html", "md", "png", "svg", "tex"))}
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
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    with (tmp_path / "out" / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rank_sum"]) for row in rows] == RANK_SUMS
    assert float(rows[1]["p_bonferroni"]) == pytest.approx(0.00343, abs=5e-6)
    page = (tmp_path / "out" / "ranking.md").read_text()
    assert re.search(r"compm_nat against compm_org \([^)]*p = 0\.00343\)", page)
    assert "comparisons=baseline baseline=org rope=1 repeats=refuse missing=drop" in page
    assert hashlib.sha256(SCORES.encode()).hexdigest() in page


def test_the_papers_tables_come_out_digit_for_digit(command, tmp_path):
    (tmp_path / "table4.csv").write_text(SCORES)
    done = command(tmp_path, "rank.py", "scores=table4.csv", "ranking=kaplan2025", "output=out")
    assert done.returncode == 0, done.stderr
    order = [f"{model} {data}" for model in ("CoMPM", "EmoOne", "TODKAT") for data in ("Org", "Nat", "Bal")]
    blocks = [f"{benchmark} {data}" for benchmark in ("MELD", "EmoryNLP", "IEMOCAP") for data in ("Org", "Nat", "Bal")]
    printed = [row.split(",")[2:] for row in SCORES.splitlines()[1:]]
    page = (tmp_path / "out" / "ranking.md").read_text()
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split(" | ")] for line in page.splitlines()[2:] if "|" in line
    ]
    assert rows[0] == ["W-F1 (rank)", *order]
    for block, scores, row in zip(blocks, printed, rows[2:11], strict=True):
        ranks = [1 + sum(float(other) > float(score) for other in scores) for score in scores]
        assert row == [block, *(f"{score} ({place})" for score, place in zip(scores, ranks, strict=True))]
    below = {row[0]: [cell for cell in row[1:] if cell] for row in rows[11:15]}
    assert below["rank sum"] == [str(total) for total in RANK_SUMS]
    assert below["difference from Org"] == LINES["difference from org"]
    assert below["Bonferroni p"] == [".0034", ".0186", ".0186", ".0034", ".1273", ".2025"]
    tex, html = ((tmp_path / "out" / f"ranking.{suffix}").read_text() for suffix in ("tex", "html"))
    for text in (done.stdout, page, tex, html):
        for figure in (*below["Bonferroni p"], *(score for scores in printed for score in scores)):
            assert figure in text
        for title in ("Real test sets by training data", "Beside Kaplan et al. (2025)", "They are the same."):
            assert title in text
    with (tmp_path / "out" / "ranking.csv").open() as file:
        records = list(csv.DictReader(file))
    assert [row["treatment"] for row in records] == order
    assert {float(row[f"{block}_difference"]) for row in records for block in blocks} == {0.0}


def test_nothing_is_written_without_an_output_folder(command, tmp_path):
    (tmp_path / "table4.csv").write_text(SCORES.replace(",", "\t"))
    assert_table4(command(tmp_path, "rank.py", "scores=table4.csv").stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["table4.csv"]


def test_published_file_gives_the_published_table(command, tmp_path, shared):
    done = command(tmp_path, "rank.py", f"scores={shared('published/kaplan2025_table4_wf1.csv')}")
    assert done.returncode == 0, done.stderr
    assert_table4(done.stdout)


def line(text, label):
    """The cells of a line of the table on the terminal."""
    (found,) = (line.strip() for line in text.splitlines() if line.strip().startswith(label + " "))
    return found.removeprefix(label).split()


MODELS = """\
dataset,bert,gpt,llama
sst2,0.91,0.93,0.95
qnli,0.88,0.89,0.93
rte,0.61,0.66,0.72
"""


def test_table_of_others_needs_nothing_but_what_to_compare(command, tmp_path):
    (tmp_path / "models.csv").write_text(MODELS)
    done = command(tmp_path, "rank.py", "scores=models.csv")
    assert done.returncode == 0, done.stderr
    assert line(done.stdout, "sst2") == ["91.00", "(3)", "93.00", "(2)", "95.00", "(1)"]
    assert line(done.stdout, "rank sum") == ["9", "6", "3"]
    assert "ranking.baseline=TREATMENT or ranking.comparisons=all" in done.stdout
    done = command(tmp_path, "rank.py", "scores=models.csv", "ranking.baseline=bert")
    assert line(done.stdout, "difference from bert") == ["3", "6"]
    done = command(tmp_path, "rank.py", "scores=models.csv", "ranking.comparisons=[[llama,gpt]]")
    assert line(done.stdout, "difference from gpt") == ["3"]


def test_long_table_of_others_is_ranked_by_its_column_names(command, tmp_path):
    rows = [row.split(",") for row in MODELS.splitlines()]
    lines = [
        f"{model},{dataset},{seed},{1 - float(score) + seed / 1000:.3f}"
        for dataset, *scores in rows[1:]
        for model, score in zip(rows[0][1:], scores, strict=True)
        for seed in (1, 3)
    ]
    (tmp_path / "long.tsv").write_text("\n".join(["model,task,run,error", *lines]).replace(",", "\t"))
    named = ("ranking.treatment=[model]", "ranking.block=[task]", "ranking.metric=error", "ranking.seed=run")
    done = command(tmp_path, "rank.py", "scores=long.tsv", *named, "ranking.comparisons=all", "output=out")
    assert done.returncode == 0, done.stderr
    assert line(done.stdout, "rank sum") == ["9", "6", "3"]
    assert "A lower error is better: rank 1 is the lowest." in done.stdout
    with (tmp_path / "out" / "ranking.csv").open() as file:
        assert {row["baseline"] for row in csv.DictReader(file) if row["treatment"] == "llama"} == {"bert", "gpt"}


def test_hostile_names_are_inert_on_the_terminal_and_in_the_files(command, tmp_path):
    names = ["<script>alert(1)</script>", "[bold]b[/bold]", "=1+1"]
    (tmp_path / "hostile.csv").write_text(",".join(["data", *names]) + "\nx,11,12,13\ny,11,12,14\n")
    done = command(tmp_path, "rank.py", "scores=hostile.csv", "ranking.comparisons=all", "output=out")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in names)
    assert "<script>alert" not in (tmp_path / "out" / "ranking.html").read_text()
    assert "<script>alert" not in (tmp_path / "out" / "ranking.md").read_text()
    assert "'=1+1," in (tmp_path / "out" / "scores.csv").read_text()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("ranking.metric=distance", "Is a higher 'distance' better, or a lower one?"),
        ("ranking.missing=refuse", "1 cell has no score: llama on rte"),
        ("ranking.comparisons=some", "ranking.comparisons=some: must be baseline, all or [[treatment, baseline], ...]"),
        ("ranking.comparisons=[gpt]", "ranking.comparisons=['gpt']: must be"),
        ("ranking.comparisons=[[gpt,brt]]", "The comparisons name 'brt'"),
        ("ranking.rope=-1", "ranking.rope=-1.0: must be 0 or more"),
        ("ranking.block=[dataset,dataset]", "ranking.treatment and ranking.block=['classifier', 'variant', 'dataset',"),
        ("ranking.repeats=middle", "expected one of [refuse, first, last]"),
        ("scores=models.xls", "cannot read .xls files"),
    ],
)
def test_what_makes_no_sense_is_refused(command, tmp_path, override, told):
    (tmp_path / "models.csv").write_text(MODELS.replace(",0.72", ","))
    (tmp_path / "models.xls").write_text("")
    done = command(tmp_path, "rank.py", "scores=models.csv", "output=out", override)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_docs_show_what_the_commands_print(command, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).resolve().parents[2] / "docs" / "ranking.md").read_text(encoding="utf-8")
    blocks = [block.strip() for block in re.findall(r"```\n(.*?)```", page, re.DOTALL)]
    tables = {"models.csv": "dataset,", "runs.csv": "model,"}
    for name, head in tables.items():
        (tmp_path / name).write_text(next(block for block in blocks if block.startswith(head)) + "\n")
    shown = {block: following for block, following in pairwise(blocks) if block.startswith("python rank.py scores=")}
    assert len(shown) == 3
    for line, following in shown.items():
        done = command(tmp_path, "rank.py", *line.split()[2:])
        assert done.returncode == 0, done.stderr
        if "output=" not in line:
            assert [text.strip() for text in following.splitlines()] == [
                text.strip() for text in done.stdout.strip().splitlines()
            ]
    assert {path.name for path in (tmp_path / "report").iterdir()} == FILES
    monkeypatch.chdir(tmp_path)
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    assert "llama" in capsys.readouterr().out


def test_a_sweep_does_not_begin_without_the_published_scores(command, tmp_path):
    done = command(tmp_path, "train.py", "-m", "data=mini_nat", "sweep=s", "ranking.published.scores=nobody")
    assert done.returncode == 1
    assert "ranking.published.scores=nobody: there is no such file" in done.stderr
    assert not list(tmp_path.rglob("result.json"))
