"""Empty values, and names of files that Hydra's grammar has other uses for, as users type them."""

import pytest

from ercsatz.cli import main

SCORES = "dataset,bert,gpt\nsst2,91.0,93.2\nqnli,88.4,89.0\n"


@pytest.mark.parametrize("name", ["2024_11", "a=b#[1].csv", "täble 数据.csv", "a${b}.csv", "it's, here.csv"])
def test_a_table_of_any_name_is_ranked_and_written(command, tmp_path, name):
    (tmp_path / name).write_text(SCORES)
    done = command(tmp_path, "rank.py", f"scores={name}", "output=1e5")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "1e5" / "ranking.md").is_file()
    assert f"{name}" in (tmp_path / "1e5" / "ranking.html").read_text().replace("&#39;", "'")


def test_names_that_hydra_would_resolve_are_told_how_to_be_written(command, tmp_path):
    done = command(tmp_path, "rank.py", "scores=${nothing}.csv")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert r"Where ${ is part of a name, write \${ in quotes" in done.stderr


def test_an_empty_variable_is_as_one_that_is_not_set(command, tmp_path):
    made = command(tmp_path, "generate.py", "data=mini_nat", "plan.n_dialogues=10", ERCSATZ_DATA="", ERCSATZ_CACHE=" ")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "data" / "mini_nat").is_dir()


@pytest.mark.parametrize("given", ["paths.data=", "paths.data=''", "paths.cache='  '", "sweep="])
def test_an_empty_folder_is_refused(command, tmp_path, given):
    done = command(tmp_path, "train.py", given)
    assert done.returncode == 1
    assert "empty" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "blocked", "arguments"),
    [
        ("train.py", "outputs", []),
        ("train.py", "multirun", ["-m", "seed=0,1"]),
        ("generate.py", "multirun", ["-m", "data=mini_nat,mini_bal"]),
        ("assess.py", "outputs", []),
        ("train.py", "cache", ["data=mini_org", "phase=original"]),
        ("generate.py", "data", ["data=mini_nat"]),
        ("rank.py", "there", ["scores=scores.csv", "output=there/deep"]),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_told(command, tmp_path, name, blocked, arguments):
    (tmp_path / blocked).touch()
    (tmp_path / "scores.csv").write_text(SCORES)
    done = command(tmp_path, name, *arguments)
    assert done.returncode == 1
    assert f"{blocked} is a file where a folder is to be made. Move it away" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_is_advised_repeats_the_own_folder_and_places(new_world, command):
    done = command(new_world, "train.py", "--config-dir", "own", "data=small_per", "paths.data=else", "phase=finetune")
    assert done.returncode == 1
    assert "Make it with: python generate.py data=small_per paths.data=else --config-dir own" in done.stderr
    (new_world / "small" / "train.jsonl").unlink()
    done = command(
        new_world, "train.py", "--config-dir", "own", "data=small_per", "classifier=todkat", "phase=finetune"
    )
    assert "small: no file train.jsonl in" in done.stderr
    assert "There is no data set small_per in data/small_per" in done.stderr
    assert "python knowledge.py data=small_per --config-dir own" in done.stderr


def test_a_sweep_of_which_every_cell_misses_something_is_refused_with_one_command(command, tmp_path):
    done = command(tmp_path, "train.py", "-m", "data=mini_nat,mini_bal", "seed=0,1,2,3", "test_sets=[org,per]")
    assert done.returncode == 1
    assert "Every cell of this sweep would fail, so nothing is trained:" in done.stderr
    assert (
        "There are no data sets mini_per, mini_nat, mini_bal in data. Make them with: "
        "python generate.py -m data=mini_per,mini_nat,mini_bal\n"
    ) in done.stderr
    assert done.stderr.count("no data set") == 1
    assert not list(tmp_path.rglob("result.json"))


def test_a_sweep_names_all_that_its_cells_miss_before_it_trains_and_each_error_once(command, tmp_path, micro):
    seeds = ",".join(map(str, range(4)))
    given = ("data=mini_org,mini_nat,mini_bal", f"seed={seeds}", "test_sets=[org]", "trainer.memory_tokens=0")
    done = command(tmp_path, "train.py", "-m", *micro, *given)
    assert done.returncode == 1
    first, _, rest = done.stderr.partition("error (")
    assert "Files are missing, and cells of this sweep will fail without them:" in first
    assert "Make them with: python generate.py -m data=mini_nat,mini_bal\n" in first
    assert rest.count("the same as above, 12 times now") == 1


@pytest.mark.parametrize(
    "arguments", [["fetch", "meld", "--to", ""], ["cache", " "], ["show", ""], ["fetch", "meld", "--config-dir", ""]]
)
def test_an_empty_folder_of_the_other_commands_is_refused(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ercsatz", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "the name is empty. Was a variable of the shell empty?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["backbone.checkpoint=${nope}"], ["-m", "sweep=a${b}"]])
def test_a_value_that_cannot_be_resolved_ends_in_no_traceback(command, tmp_path, arguments):
    done = command(tmp_path, "train.py", *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert r"Where ${ is part of a name, write \${ in quotes" in done.stderr
