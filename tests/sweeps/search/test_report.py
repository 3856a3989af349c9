import csv
import io
from dataclasses import replace

import pytest

from ercsatz.sweeps.search import report, sentences

SCORES = [[0.3], [0.42], None, [0.4199], [0.1], [0.2], [0.35], [0.36], [0.37]]


def test_every_file_has_every_trial_and_the_command(made, tmp_path):
    summary = made(SCORES)
    report.write(summary, tmp_path)
    for name in ("search.md", "search.html"):
        text = (tmp_path / name).read_text(encoding="utf-8").replace("&#39;", "'")
        assert summary.command in text
        assert "The best is trial 1: validation W-F1 42.00, with training.lr=" in text
        assert "is optimistic" in text
        assert "2 trials are less than one point apart at the top: of one seed each" in text
        for trial in summary.trials:
            assert f"{trial.params['training.lr']:.4g}" in text
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "search.csv").open(encoding="utf-8")))
    assert [int(row["trial"]) for row in rows] == [trial.number for trial in summary.trials]
    assert [float(row["validation/w_f1"] or "nan") for row in rows[:2]] == [0.42, 0.4199]
    assert float(rows[0]["training.lr"]) == summary.trials[0].params["training.lr"]
    assert [row["state"] for row in rows if row["trial"] == "2"] == ["failed"]


def test_nothing_speaks_of_significance(made):
    summary = made(SCORES)
    text = report.to_markdown(summary) + report.to_html(summary)
    assert "p =" not in text
    assert "significan" not in text


def test_several_objectives_are_shown_with_their_front(made, tmp_path):
    points = [[0.3, 9.0], [0.4, 12.0], [0.2, 10.0], [0.5, 11.0]]
    summary = made(points, ["validation/w_f1", "seconds"])
    report.write(summary, tmp_path)
    text = (tmp_path / "search.md").read_text(encoding="utf-8")
    assert "The Pareto front is 3, 0 of the trials" in text
    assert "| 3 | 50.00 | 11.0 |" in text
    assert "Seconds are those of all stages" in text


def test_equal_scores_are_told(made):
    assert "learnt nothing about its keys" in sentences.limits(made([[0.2]] * 3))[0]


def test_a_search_without_a_score_says_so_and_why(made, tmp_path):
    summary = made([None, None])
    report.write(summary, tmp_path)
    text = (tmp_path / "search.md").read_text(encoding="utf-8")
    assert "2 trials: 2 failed." in text
    assert "2 jobs failed, the first of them trial 0: it left no result." in text
    assert "other seeds" not in text


def test_on_the_terminal_the_ten_best(made, capsys):
    report.show(made([[number / 100] for number in range(14)]))
    told = capsys.readouterr().out
    assert "Above are the 10 best; search.html has all 14." in told
    assert "13.00" in told
    assert "3.00" not in told.replace("13.00", "")
    assert "seed=1,2,3,4,5" in told


def test_names_are_harmless_wherever_they_are_shown(made, hostile, obeyed):
    summary = made(SCORES[:3])
    trials = [replace(trial, params={"training.lr": hostile, "training.warmup": "=1+1"}) for trial in summary.trials]
    summary = replace(summary, trials=tuple(trials), name=hostile, command="")
    for text in (report.to_markdown(summary), report.to_html(summary)):
        assert not obeyed(text)
    rows = list(csv.reader(io.StringIO(report.to_csv(summary))))
    assert [row[5] for row in rows[1:]] == ["'=1+1"] * 3
    assert not obeyed(report.to_csv(summary))


@pytest.mark.parametrize("value", [1e-5, 0.1, "compm", 3])
def test_numbers_are_shown_rounded_and_words_as_they_are(value):
    assert sentences.number(value) == {1e-5: "1e-05", 0.1: "0.1"}.get(value, str(value))
