import json
import os

import pytest

from ercsatz.collect import collect, rank_command
from ercsatz.config import RankConfig, Ranking
from ercsatz.errors import UserError

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


def ranking(*treatment):
    return Ranking(list(treatment), ["benchmark", "test_set"], ["original", "finetune"], "w_f1", "org")


def rank(tmp_path, *treatment):
    rank_command(RankConfig(sweeps=[str(tmp_path)], output=str(tmp_path / "out"), ranking=ranking(*treatment)))
    return (tmp_path / "out" / "ranking.csv").read_text()


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
    by_benchmark = Ranking(["classifier", "variant"], ["benchmark"], ["original", "finetune"], "w_f1", "org")
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
