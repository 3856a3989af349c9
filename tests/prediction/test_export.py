import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file

from ercsatz.artifacts import manifest
from ercsatz.prediction.export import CARD, main
from ercsatz.prediction.saved_classifier import load_classifier
from tests.servers.hub import serving

TALK = [[("Ann", "hello"), ("Bo", "go away"), ("Ann", "oh no really")]]
SCORES = {"w_f1": 0.5, "macro_f1": 0.25, "accuracy": 0.6, "utterances": 8}
F1 = {"joy": 1.0, "neutral": 0.5, "anger": 0.0, "fear": 0.0}


@pytest.fixture
def world(saved, tmp_path, monkeypatch):
    """A sweep of three seeds whose classifiers are in the cache, as ``train.py`` leaves them; returns its folder."""
    monkeypatch.chdir(tmp_path)
    manifest._VERIFIED.clear()
    for seed, (validation, test) in enumerate(((0.3, 0.9), (0.5, 0.4), (0.4, 0.5))):
        stage = tmp_path / "cache" / "stages" / f"key{seed}"
        shutil.copytree(saved("compm"), stage)
        (stage / "logs").mkdir()
        (stage / "logs" / "metrics.csv").write_text("a,b\n")
        description = {"backbone": {"checkpoint": "roberta-base"}, "optimisation": {"lr": 0.1}, "start": None}
        record = {"key": f"key{seed}", "validation_w_f1": validation, "description": description}
        (stage / "stage.json").write_text(json.dumps(record))
        files = manifest.checksums(stage, ("logs",))
        owner = f"mini_org compm original seed {seed}"
        manifest.write(stage, manifest.Manifest("stages", f"key{seed}", owner, "2026", description, files))
        job = tmp_path / "multirun" / "a" / f"cell{seed}"
        job.mkdir(parents=True)
        scores = {
            "org": {**SCORES, "w_f1": test, "per_class": {label: {"f1": f1, "support": 2} for label, f1 in F1.items()}}
        }
        stages = [
            {
                "stage": "original",
                "variant": "org",
                "key": f"key{seed}",
                "validation_w_f1": validation,
                "recipe": {"validation": "v", "training.lr": 0.1},
                "test": scores,
            }
        ]
        result = {"schema": 1, "status": "completed", "overrides": [f"seed={seed}"], "seed": seed, "stages": stages}
        result |= {"choices": {"classifier": "compm", "data": "mini_org", "benchmark": "mini"}, "hashes": {"org": "1"}}
        result |= {
            "versions": {"torch": "9.9"},
            "label_counts": {"mini_org": {"train": {"joy": 7}, "test": {"joy": 3}}},
        }
        (job / "result.json").write_text(json.dumps(result))
    return tmp_path / "multirun" / "a"


def fields(folder):
    _, head, _ = (folder / CARD).read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head)


def test_the_best_of_a_sweep_by_validation_is_exported_and_said(world, caplog):
    assert main([str(world)]) == 0
    folder = Path("exports/compm-mini_org-original-seed1")
    told = f"stage original of {world / 'cell1'}, the best of 3 jobs by validation W-F1 (50.00)"
    assert told in caplog.text
    text = (folder / CARD).read_text(encoding="utf-8")
    assert told.replace("_", "\\_") in text or told in text
    assert "| mini (real) | 8 | 40.00 | 25.00 | 60.00 | 60.00 ± 26.46 | 25.00 ± 0.00 | 60.00 ± 0.00 |" in text
    assert "| mini_org | train | 7 | 7 | 0 | 0 | 0 |" in text
    assert "| joy | 100.00 | 2 |" in text
    assert "1. mini_org compm original seed 1" in text
    assert "| mini_org | mini | CC0-1.0 |" in text
    assert "torch 9.9" in text
    head = fields(folder)
    assert head["base_model"] == "roberta-base"
    assert head["model-index"][0]["results"][0]["metrics"][0] == {"type": "f1", "name": "W-F1", "value": 0.4}


def test_the_folder_has_the_classifier_its_checksums_and_nothing_that_runs(world):
    assert main([str(world / "cell0"), "--to", "mine/deep"]) == 0
    names = {path.relative_to("mine/deep").as_posix() for path in Path("mine/deep").rglob("*") if path.is_file()}
    source = {path.name for path in Path("cache/stages/key0").iterdir() if path.is_file()}
    assert names == source | {CARD}
    assert {Path(name).suffix for name in names} <= {".json", ".safetensors", ".md", ".txt"}
    found = manifest._read(Path("mine/deep"))
    assert (found.kind, found.key, set(found.files)) == ("exports", "key0", names - {CARD, manifest.NAME})
    assert not list(Path("mine").glob(".*"))


@pytest.mark.parametrize("kind", ["compm-other-memory", "emoone", "todkat"])
def test_what_is_exported_predicts_the_same(kind, saved, tmp_path):
    assert main([str(saved(kind)), "--to", str(tmp_path / "out")]) == 0
    expected, found = (load_classifier(folder, "cpu").predict(TALK) for folder in (saved(kind), tmp_path / "out"))
    assert found == expected
    text = (tmp_path / "out" / CARD).read_text(encoding="utf-8")
    assert ("It reads commonsense" in text) == (kind == "todkat")
    assert "exported from the cache, which has no scores" in text


def test_the_example_on_the_page_runs(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(saved("compm")), "--to", "my_classifier"]) == 0
    page = Path(__file__).resolve().parents[2] / "docs" / "export.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert code.count("\n") == 3, "two lines and an empty one"
    (first, _), *_ = eval(code.splitlines()[-1], {"load_classifier": load_classifier})
    assert first.label in load_classifier("my_classifier").labels


def test_the_same_again_leaves_an_edited_card(world, caplog):
    assert main([str(world), "--to", "out"]) == 0
    (Path("out") / CARD).write_text("mine")
    assert main([str(world), "--to", "out"]) == 0
    assert "out is there already, with this classifier; its card is left as it is." in caplog.text
    assert (Path("out") / CARD).read_text() == "mine"
    assert load_classifier("out", "cpu").name == "compm"


def test_another_classifier_or_anything_else_is_not_replaced(world, caplog):
    assert main([str(world), "--to", "out"]) == 0
    other = Path("cache/stages/key0")
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, other / "model.safetensors")
    (other / manifest.NAME).unlink()
    assert main([str(other), "--to", "out"]) == 1
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    Path("file").write_text("mine")
    assert main([str(world), "--to", "full"]) == 1
    assert main([str(world), "--to", "file"]) == 1
    for name in ("out", "full", "file"):
        assert f"{name} is there already, and holds something else. Give another folder: --to FOLDER" in caplog.text
    assert Path("full/mine.txt").read_text() == "mine"


def test_a_damaged_classifier_is_not_handed_on(world, caplog):
    weights = Path("cache/stages/key1/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert main([str(world)]) == 1
    assert "model.safetensors was changed" in caplog.text
    assert not Path("exports").exists()


def test_an_exported_folder_is_copied_not_exported(world, caplog):
    assert main([str(world), "--to", "out"]) == 0
    assert main(["out", "--to", "again"]) == 1
    assert "out is exported already: copy it" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "There is no nowhere. RUN takes a saved classifier"),
        (["multirun/a", "--stage", "finetune"], "has a stage finetune; there are original: --stage NAME"),
        (
            ["multirun/a", "--cache", "elsewhere"],
            "elsewhere/stages/key1, is not there any more. If the cache is elsewhere",
        ),
    ],
)
def test_what_cannot_be_found_is_said_in_the_commands_own_words(arguments, told, world, caplog):
    assert main(arguments) == 1
    assert told in caplog.text


def test_the_folder_goes_to_a_private_model_repository_and_an_edited_card_with_it(world, tmp_path):
    line = [sys.executable, "-m", "ercsatz", "export", str(world), "--to", "out", "--push-to-hub", "me/new"]
    with serving() as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf")}
        run = partial(subprocess.run, line, capture_output=True, text=True, timeout=120)
        refused = run(env={**os.environ, **settings, "HF_TOKEN": "hf_stale"})
        assert refused.returncode == 1
        assert "--push-to-hub me/new: the hub said HTTP 401" in refused.stderr
        assert "What was to be uploaded is whole, in out" in refused.stderr
        (Path("out") / CARD).write_text("---\nlicense: other\n---\nmine\n")
        done = run(env={**os.environ, **settings, "HF_TOKEN": "hf_valid"})
    assert done.returncode == 0, done.stderr
    assert f"Uploaded to {hub.url}/me/new." in done.stdout
    assert hub.created[0].get("private") is True or hub.created[0].get("visibility") == "private"
    files = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert files[CARD].endswith(b"mine\n")
    assert hub.commits == {"me/new": files}


def test_a_classifier_of_ones_own_needs_its_code_and_the_card_says_so(saved, tmp_path):
    own, stage, out = tmp_path / "own", tmp_path / "stage", tmp_path / "out"
    (own / "classifier").mkdir(parents=True)
    (own / "my_own.py").write_text(
        "from dataclasses import dataclass\n"
        "from ercsatz.classifiers.compm.config import CoMPMConfig\n\n\n"
        "@dataclass\nclass MyConfig(CoMPMConfig):\n    pass\n"
    )
    (own / "classifier" / "my_own.yaml").write_text("_target_: my_own.MyConfig\nname: my_own\n")
    shutil.copytree(saved("compm"), stage)
    description = json.loads((stage / "classifier.json").read_text())
    description["classifier"]["name"] = "my_own"
    (stage / "classifier.json").write_text(json.dumps(description))
    line = [sys.executable, "-m", "ercsatz", "export", str(stage), "--to", str(out)]
    without = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert without.returncode == 1
    assert "there is no classifier/my_own.yaml" in without.stderr
    assert "--config-dir FOLDER" in without.stderr
    assert not out.exists()
    done = subprocess.run([*line, "--config-dir", str(own)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "my_own.MyConfig is code from outside ercsatz and not part of the folder" in done.stdout
    assert "`my_own.MyConfig`" in (out / CARD).read_text(encoding="utf-8")
    assert not list(out.rglob("*.py"))
