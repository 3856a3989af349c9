import csv
import json
import os
from importlib.metadata import version

import pytest

from ercsatz.config import Missing, RankConfig, RankingConfig, Repeats, WandbConfig
from ercsatz.errors import UserError
from ercsatz.sweeps import callback
from ercsatz.sweeps.rank import rank_command
from ercsatz.sweeps.results import collect

SCORES = {"org": 0.5, "nat": 0.6}


def write(folder, overrides=(), status="completed", gain=0.0, content="1", **more):
    """The result of a job that scored ``org`` and ``nat`` on the real test set."""
    stages = [
        {
            "stage": "original" if variant == "org" else "finetune",
            "variant": variant,
            "key": f"{variant}{gain}",
            "test": {"org": dict.fromkeys(("w_f1", "macro_f1", "accuracy"), score + gain)},
        }
        for variant, score in SCORES.items()
    ]
    choices = {"classifier": "compm", "backbone": "tiny", "benchmark": "meld", "variant": "nat"}
    result = {"schema": 1, "status": status, "choices": choices, "seed": 0, "overrides": list(overrides)}
    result |= {"stages": stages, "hashes": {"org": content}, **more}
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))


MODEL = ("classifier", "variant")


def ranking(*treatment, **more):
    return RankingConfig(list(treatment), ["benchmark", "test_set"], ["original", "finetune"], baseline="org", **more)


def rank(tmp_path, *treatment, sweeps=(".",), **more):
    folders = [str(tmp_path / sweep) for sweep in sweeps]
    rank_command(RankConfig(sweeps=folders, output=str(tmp_path / "out"), ranking=ranking(*treatment, **more)))
    return (tmp_path / "out" / "ranking.csv").read_text()


def rows(text):
    return {row["treatment"]: row for row in csv.DictReader(text.splitlines())}


def test_job_without_an_override_that_others_have_is_the_default(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", ["training.lr=0.1"], gain=0.1)
    names = [line.split(",")[0] for line in rank(tmp_path, "classifier", "variant", "training.lr").splitlines()[1:]]
    assert names == ["compm_org_default", "compm_org_0.1", "compm_nat_default", "compm_nat_0.1"]


def test_override_that_changes_no_score_makes_no_second_cell(tmp_path):
    write(tmp_path / "a", ["sweep=a", "wandb.mode=offline", "paths.cache=c", "trainer.accelerator=cpu"])
    write(tmp_path / "b", ["sweep=b"])
    assert rank(tmp_path, "classifier", "variant").count("compm_") == 3  # org, nat, and org as nat's baseline


def test_two_settings_of_a_cell_are_refused_by_name(tmp_path):
    write(tmp_path / "a", ["training.lr=0.1"])
    write(tmp_path / "b", ["training.lr=0.2"], gain=0.1)
    with pytest.raises(UserError, match=r"They differ in: training\.lr"):
        rank(tmp_path, "classifier", "variant")


def test_a_stage_scored_on_two_contents_of_a_test_set_is_refused(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", content="2")
    with pytest.raises(UserError, match=r"They differ in: content"):
        rank(tmp_path, "classifier", "variant")


def test_test_sets_are_not_dropped_where_the_block_does_not_tell_them_apart(tmp_path):
    write(tmp_path / "a")
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    for stage in result["stages"]:
        stage["test"]["nat"] = dict.fromkeys(("w_f1", "macro_f1", "accuracy"), 0.9)
    result["hashes"]["nat"] = "3"
    (tmp_path / "a" / "result.json").write_text(json.dumps(result))
    by_benchmark = RankingConfig(["classifier", "variant"], ["benchmark"], ["original", "finetune"], baseline="org")
    with pytest.raises(UserError, match=r"They differ in: .*test_set"):
        rank_command(RankConfig(sweeps=[str(tmp_path)], ranking=by_benchmark))


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"schema": 2}'])
def test_json_that_is_no_result_is_refused(text, tmp_path):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError, match=r"result\.json: not a result of schema 1"):
        collect([tmp_path])


def test_results_from_before_a_time_are_left_out(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", seed=1)
    os.utime(tmp_path / "a" / "result.json", (1000, 1000))
    assert [result["seed"] for result in collect([tmp_path], since=2000)] == [1]


def test_seeds_are_averaged_and_their_spread_is_written(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", gain=0.1, seed=1)
    header, org, _ = (line.split(",") for line in rank(tmp_path, "classifier", "variant").splitlines())
    row = dict(zip(header, org, strict=True))
    assert float(row["meld_org"]) == pytest.approx(55)
    assert float(row["meld_org_std"]) == pytest.approx(10 / 2**0.5)
    assert row["meld_org_seeds"] == "2"


def test_killed_job_is_named_and_the_rest_is_ranked(tmp_path, capsys):
    write(tmp_path / "a")
    write(tmp_path / "b", status="running", seed=1)
    with pytest.raises(UserError, match="Some jobs did not complete"):
        rank(tmp_path, "classifier", "variant")
    assert f"{tmp_path / 'b'} did not finish: its process was killed" in capsys.readouterr().out
    assert "compm_nat" in (tmp_path / "out" / "ranking.csv").read_text()


def test_results_are_found_at_any_depth_in_a_fixed_order(tmp_path):
    write(tmp_path / "deep" / "b")
    write(tmp_path / "a")
    assert [result["source"] for result in collect([tmp_path])] == [str(tmp_path / "a"), str(tmp_path / "deep" / "b")]


@pytest.mark.parametrize(("repeats", "order", "score"), [("first", "ab", 50), ("last", "ab", 60), ("first", "ba", 60)])
def test_of_two_scores_of_a_seed_the_order_of_the_sweeps_decides(tmp_path, capsys, repeats, order, score):
    write(tmp_path / "a" / "job")
    write(tmp_path / "b" / "job", gain=0.1)
    with pytest.raises(
        UserError, match=r"Two scores for .*seed=0: .*a.job and .*b.job.*ranking\.repeats=first or last"
    ):
        rank(tmp_path, *MODEL, sweeps="ab")
    found = rows(rank(tmp_path, *MODEL, sweeps=order, repeats=Repeats(repeats)))
    assert float(found["compm_org"]["meld_org"]) == pytest.approx(score)
    assert f"2 scores are left out because the same cell and seed has another: the {repeats}" in capsys.readouterr().out


def test_the_last_of_three_counts_though_the_first_is_the_same_stage(tmp_path):
    for name, gain in {"a": 0.0, "b": 0.1, "c": 0.0}.items():
        write(tmp_path / name / "job", gain=gain)
    found = rows(rank(tmp_path, *MODEL, sweeps="abc", repeats=Repeats.last))
    assert float(found["compm_org"]["meld_org"]) == pytest.approx(50)


def rewrite(file, change):
    result = json.loads(file.read_text())
    change(result["stages"][0]["test"]["org"])
    file.write_text(json.dumps(result))


def test_one_training_with_two_scores_is_never_taken_silently(tmp_path, capsys):
    for name in "ab":
        write(tmp_path / name / "job")
    rewrite(tmp_path / "b" / "job" / "result.json", lambda scores: scores.update(w_f1=0.5 + 1e-12))
    assert float(rows(rank(tmp_path, *MODEL, sweeps="ab"))["compm_org"]["meld_org"]) == 50
    rewrite(tmp_path / "b" / "job" / "result.json", lambda scores: scores.update(w_f1=0.7))
    told = r"same training \(original of compm on org, seed=0, test set org\): .*w_f1=0\.5, .*b.job 0\.7.*paths\.cache"
    with pytest.raises(UserError, match=told):
        rank(tmp_path, *MODEL, sweeps="ab")
    found = rows(rank(tmp_path, *MODEL, sweeps="ab", repeats=Repeats.last))
    assert float(found["compm_org"]["meld_org"]) == 70
    assert "1 score is left out because the same cell and seed has another: the last" in capsys.readouterr().out


def test_failed_job_is_missing_with_all_that_it_would_have_trained(tmp_path, capsys):
    write(tmp_path / "a")
    choices = {"classifier": "todkat", "backbone": "tiny", "benchmark": "meld", "variant": "nat"}
    write(tmp_path / "b", status="failed", error="", choices=choices)
    with pytest.raises(UserError, match="Some jobs did not complete"):
        rank(tmp_path, *MODEL)
    assert "todkat_org, todkat_nat" in capsys.readouterr().out


def test_page_says_that_no_job_completed_and_why(tmp_path):
    write(tmp_path / "a", status="failed", error="no memory left")
    with pytest.raises(UserError, match="No job of the sweep completed"):
        rank_command(RankConfig(sweeps=[str(tmp_path)], output=str(tmp_path / "out"), ranking=ranking(*MODEL)))
    page = (tmp_path / "out" / "ranking.md").read_text()
    assert "No job of the sweep completed" in page
    assert "failed: no memory left" in page


def test_provenance_says_how_it_was_ranked(tmp_path):
    write(tmp_path / "a")
    rank(tmp_path, *MODEL, comparisons=[["compm_nat", "compm_org"]], missing=Missing.refuse)
    page = (tmp_path / "out" / "ranking.html").read_text()
    settings = "stages=[original,finetune] comparisons=[[compm_nat,compm_org]] baseline=org rope=0.01 repeats=refuse"
    assert f"{settings} missing=refuse" in page
    assert f"ercsatz {version('ercsatz')}" in page


def test_what_a_result_says_is_only_text(tmp_path, capsys, hostile, obeyed):
    choices = {"classifier": hostile, "backbone": "tiny", "benchmark": hostile, "variant": "nat"}
    write(tmp_path / "a", choices=choices, overrides=[f"wandb.project={hostile}"])
    write(tmp_path / "b", status="failed", choices=choices, seed=1, error=hostile)
    with pytest.raises(UserError, match="named above"):
        rank(tmp_path, "classifier", "variant")
    told = capsys.readouterr().out
    assert told.count(r"\x1b]0;title\x07\x1b[31mred") >= 3
    assert not obeyed(told)


def test_earlier_ranking_does_not_stay_where_ranking_breaks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(callback.Status, "code", 0)
    write(tmp_path / "job")
    (tmp_path / "multirun.yaml").touch()
    for name in ("ranking.html", "ranking.csv", "scores.csv"):
        (tmp_path / name).write_text("earlier")
        os.utime(tmp_path / name, (1000, 1000))
    settings = ranking(*MODEL, metric="nope")
    monkeypatch.setattr(callback._Current, "sweep", callback.Sweep("s", tmp_path, settings, WandbConfig()))
    os.utime(tmp_path / "multirun.yaml", (2000, 2000))
    callback.finish()
    assert "no column 'nope'" in capsys.readouterr().err
    assert not (tmp_path / "ranking.html").exists()
    assert (tmp_path / "ranking.csv.old").read_text() == (tmp_path / "scores.csv.old").read_text() == "earlier"


def gap(tmp_path):
    """Two test sets, of which ``nat`` was scored for the original training alone."""
    write(tmp_path / "a")
    file = tmp_path / "a" / "result.json"
    result = json.loads(file.read_text())
    result["stages"][0]["test"]["nat"] = dict.fromkeys(("w_f1", "macro_f1", "accuracy"), 0.9)
    result["hashes"]["nat"] = "3"
    file.write_text(json.dumps(result))


def test_block_with_a_gap_is_dropped_and_told(tmp_path, capsys):
    gap(tmp_path)
    assert rows(rank(tmp_path, *MODEL))["compm_nat"]["rank_sum"] == "1.0"
    assert "Not ranked, because a score is missing: meld_nat." in capsys.readouterr().out


def test_gap_is_refused_where_that_is_asked_for(tmp_path):
    gap(tmp_path)
    with pytest.raises(UserError, match=r"1 cell has no score: compm_nat on meld_nat\."):
        rank(tmp_path, *MODEL, missing=Missing.refuse)
    assert not (tmp_path / "out").exists()


def test_metric_of_a_sweep_is_weighted_f1_unless_named(tmp_path, capsys):
    write(tmp_path / "a")
    rank(tmp_path, *MODEL)
    assert "A higher W-F1 is better: rank 1 is the highest." in capsys.readouterr().out
    rank(tmp_path, *MODEL, metric="accuracy", higher_is_better=False)
    printed = capsys.readouterr().out
    assert "Ranked are the treatments compm_org, compm_nat, over the blocks of benchmark and test_set." in printed
    assert "Scores up to 0.01 apart, in their own unit, count as practically equal (ranking.rope=0.01)." in printed
    assert rows((tmp_path / "out" / "ranking.csv").read_text())["compm_org"]["rank_sum"] == "1.0"
    with pytest.raises(UserError, match="The scores have no column 'nope'"):
        rank(tmp_path, *MODEL, metric="nope")


def test_comparisons_can_be_named(tmp_path):
    write(tmp_path / "a")
    found = rows(rank(tmp_path, *MODEL, comparisons=[["compm_org", "compm_nat"]]))
    assert (found["compm_org"]["baseline"], found["compm_nat"]["baseline"]) == ("compm_nat", "")
