import csv
import json
from importlib.metadata import version

import pytest

from ercsatz.config import Missing, RankConfig, RankingConfig, Repeats, WandbConfig
from ercsatz.errors import UserError
from ercsatz.sweeps import callback
from ercsatz.sweeps.rank import rank_command
from ercsatz.sweeps.results import collect
from ercsatz.sweeps.sweep_file import claim, start

SCORES = {"org": 0.5, "nat": 0.6}
CHOICES = {"classifier": "compm", "backbone": "tiny", "benchmark": "meld", "variant": "nat"}


def write(folder, overrides=(), status="completed", gain=0.0, content="1", **more):
    """The result of a job that scored ``org`` and ``nat`` on the real test set."""
    recipe = {"recipe": more.pop("recipe")} if "recipe" in more else {}
    stages = [
        {
            **recipe,
            "stage": "original" if variant == "org" else "finetune",
            "variant": variant,
            "key": f"{variant}{gain}",
            "test": {"org": dict.fromkeys(("w_f1", "macro_f1", "accuracy"), score + gain)},
        }
        for variant, score in SCORES.items()
    ]
    result = {"schema": 1, "status": status, "choices": CHOICES, "seed": 0, "overrides": list(overrides)}
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
    assert names == ["compm_org", "compm_org_0.1", "compm_nat", "compm_nat_0.1"]


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
    with pytest.raises(UserError, match=r"The test set org of meld is not the same for all: .*/a and .*/b\."):
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


def test_a_test_set_that_is_another_for_another_treatment_is_refused(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", content="2", choices={**CHOICES, "classifier": "emoone"}, gain=0.1)
    with pytest.raises(UserError, match=r"The test set org of meld is not the same for all"):
        rank(tmp_path, "classifier", "variant")


def test_training_data_that_changed_in_between_are_refused(tmp_path):
    write(tmp_path / "a", corpora={"meld_org": "1", "meld_nat": "2"})
    write(tmp_path / "b", choices={**CHOICES, "classifier": "emoone"}, gain=0.1, corpora={"meld_nat": "3"})
    with pytest.raises(UserError, match=r"meld_nat is not the same for all: it has changed between .*/a and .*/b\."):
        rank(tmp_path, *MODEL)


RECIPE = {"training.lr": 0.1, "classifier.dropout": 0.1}


def test_seeds_of_one_recipe_are_averaged(tmp_path):
    write(tmp_path / "a", recipe=RECIPE)
    write(tmp_path / "b", gain=0.1, seed=1, recipe=dict(reversed(RECIPE.items())))
    assert rows(rank(tmp_path, *MODEL))["compm_org"]["meld_org_seeds"] == "2"


@pytest.mark.parametrize("given", [{"recipe": {**RECIPE, "training.lr": 0.2}}, {"overrides": ["training.lr=0.2"]}])
def test_seeds_of_two_recipes_are_not_averaged(tmp_path, given):
    shared = {"recipe": RECIPE} if "recipe" in given else {}
    write(tmp_path / "a", **shared)
    write(tmp_path / "b", gain=0.1, seed=1, **given)
    with pytest.raises(UserError, match=r"compm_org_meld_org would be a mean .* in training\.lr \(.* and 0\.2\): .*/a"):
        rank(tmp_path, *MODEL)


def test_seeds_of_two_backbones_are_not_averaged_in_results_of_earlier_versions(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", gain=0.1, seed=1, choices={**CHOICES, "backbone": "roberta-base"})
    with pytest.raises(UserError, match=r"in backbone \(tiny and roberta-base\)"):
        rank(tmp_path, *MODEL)


def test_what_is_named_as_what_tells_runs_apart_may_differ(tmp_path):
    write(tmp_path / "a", ["training.lr=0.1"], recipe=RECIPE)
    write(tmp_path / "b", ["training.lr=0.2"], gain=0.1, recipe={**RECIPE, "training.lr": 0.2})
    assert rows(rank(tmp_path, *MODEL, seed="training.lr"))["compm_org"]["meld_org_seeds"] == "2"


def test_marks_stay_where_the_scores_of_a_sweep_are_ranked_as_a_table(tmp_path, capsys):
    write(tmp_path / "a")
    found = json.loads((tmp_path / "a" / "result.json").read_text())
    found["labels"], found["stages"][0]["test"]["org"]["confusion"] = ["joy", "fear"], [[5, 0], [5, 0]]
    (tmp_path / "a" / "result.json").write_text(json.dumps(found))
    first = rank(tmp_path, *MODEL)
    assert rows(first)["compm_org"]["meld_org_learnt_nothing"] == "True"
    assert rows(first)["compm_nat"]["meld_org_learnt_nothing"] == "False"
    scores = rows((tmp_path / "out" / "scores.csv").read_text().replace("variant", "treatment"))
    assert {name: row["learnt_nothing"] for name, row in scores.items()} == {"org": "one label", "nat": ""}
    told = capsys.readouterr().out
    scores_file, output = str(tmp_path / "out" / "scores.csv"), str(tmp_path / "again")
    rank_command(RankConfig(scores=scores_file, output=output, ranking=ranking(*MODEL)))
    assert "A baseline learnt nothing: compm_org † (on meld_org)." in told
    assert "A baseline learnt nothing: compm_org † (on meld_org)." in capsys.readouterr().out
    assert (tmp_path / "again" / "ranking.csv").read_text() == first


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
    id = start(tmp_path, "s", None).id
    write(tmp_path / "job", sweep_id=id)
    for name in ("ranking.html", "ranking.csv", "scores.csv"):
        (tmp_path / name).write_text("earlier")
    settings, lock = ranking(*MODEL, metric="nope"), claim(tmp_path)
    monkeypatch.setattr(callback._Current, "sweep", callback.Sweep(id, "s", tmp_path, settings, WandbConfig(), lock))
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


def test_what_treatments_differ_in_beside_their_names_is_told(tmp_path, capsys):
    for sweep, variant, given in (("a", "nat", "1e-6"), ("b", "bal", "1e-4")):
        overrides = [f"training.finetune.lr={given}", "seed=0", f"data=meld_{variant}"]
        write(tmp_path / sweep, overrides, choices=CHOICES | {"variant": variant})
        file = tmp_path / sweep / "result.json"
        result = json.loads(file.read_text())
        result["stages"][1] |= {"variant": variant, "key": variant}
        file.write_text(json.dumps(result))
    rank(tmp_path, *MODEL, sweeps=("a", "b"))
    told = "Treatments differ in more than their names: training.finetune.lr is 1e-6 for compm_nat; 1e-4 for compm_bal."
    assert told in " ".join(capsys.readouterr().out.split())
    assert told in (tmp_path / "out" / "ranking.md").read_text()
    rank(tmp_path, *MODEL, "training.finetune.lr", sweeps=("a", "b"), repeats=Repeats.first)
    assert "Treatments differ" not in capsys.readouterr().out


def test_a_setting_that_only_benchmarks_differ_in_is_told_once(tmp_path, capsys):
    for name, share in (("meld", 0.15), ("emorynlp", 0.15), ("iemocap", 0.5)):
        recipe = {"phase.real_share": share}
        write(tmp_path / "a" / name, ["seed=0"], choices=CHOICES | {"benchmark": name}, recipe=recipe)
    rank(tmp_path, *MODEL, sweeps=("a",))
    printed = " ".join(capsys.readouterr().out.split())
    told = "phase.real_share is 0.15 on emorynlp, meld; 0.5 on iemocap."
    assert printed.count("differ in") == 1
    assert f"Benchmarks differ in a setting, all treatments alike: {told}" in printed


def test_one_training_under_two_names_is_refused(tmp_path):
    for sweep, variant in (("a", "nat"), ("b", "bal")):
        write(tmp_path / sweep, ["phase=finetune", "training.checkpoint=saved"], choices=CHOICES | {"variant": variant})
        file = tmp_path / sweep / "result.json"
        result = json.loads(file.read_text())
        result["stages"][1] |= {"variant": variant}
        file.write_text(json.dumps(result))
    with pytest.raises(
        UserError, match=r"compm on nat and on bal are one and the same classifier, finetune nat0\.0, in"
    ):
        rank(tmp_path, *MODEL, sweeps=("a", "b"))


@pytest.mark.parametrize(
    "other",
    [
        *({"stages": []}, {"stages": [{"stage": "original"}]}, {"choices": {}}, {"status": "done"}),
        *({"status": "failed"}, {"hashes": {}}, {"stages": None}),
    ],
)
def test_a_file_of_the_name_of_a_result_that_is_none_is_refused(tmp_path, other):
    write(tmp_path / "a")
    write(tmp_path / "b", **{"status": "completed", **other})
    with pytest.raises(UserError, match=r"b/result\.json is no result that train\.py wrote"):
        rank(tmp_path, *MODEL)


@pytest.mark.parametrize("score", [None, "0.5"])
def test_a_result_whose_score_is_no_number_is_refused(tmp_path, score):
    write(tmp_path / "a")
    file = tmp_path / "a" / "result.json"
    result = json.loads(file.read_text())
    result["stages"][0]["test"]["org"]["w_f1"] = score
    file.write_text(json.dumps(result))
    with pytest.raises(UserError, match="lacks what is ranked"):
        rank(tmp_path, *MODEL)


def test_what_only_recipes_show_is_told_too(tmp_path, capsys):
    for sweep, variant, dropout in (("a", "nat", 0.0), ("b", "bal", 0.5)):
        recipe = {"train": variant, "classifier.dropout": dropout, "start.classifier.dropout": dropout}
        write(tmp_path / sweep, choices=CHOICES | {"variant": variant}, recipe=recipe)
        file = tmp_path / sweep / "result.json"
        result = json.loads(file.read_text())
        result["stages"][1] |= {"variant": variant, "key": variant}
        file.write_text(json.dumps(result))
    rank(tmp_path, *MODEL, sweeps=("a", "b"))
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "differ in more than their names: classifier.dropout is 0.0 for compm_org, compm_nat; 0.5 for compm_bal."
        in told
    )
    assert told.count("Treatments differ") == 1
