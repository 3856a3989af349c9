import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ercsatz.config import register
from ercsatz.dialogue import read_jsonl
from ercsatz.errors import UserError
from ercsatz.generation import run as run_module
from ercsatz.generation.plan import plan
from ercsatz.generation.run import answers, run
from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.generators.offline import OfflineGenerator
from ercsatz.resources import resource


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def generate(config, **changes) -> None:
    cfg = OmegaConf.structured(config)
    OmegaConf.update(cfg, "overwrite", changes.pop("overwrite", False))
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    run(OmegaConf.to_object(cfg))


class Shuffled(OfflineGenerator):
    """The offline generator behind a server that answers in any order."""

    def __init__(self):
        self.running = self.most = 0

    async def answer(self, request):
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(random.random() / 500)
        self.running -= 1
        return await super().answer(request)


def test_composed_configuration_makes_a_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERCSATZ_DATA", raising=False)
    register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        cfg = compose("generate", ["data=mini_nat", "plan.n_dialogues=40"])
    run(OmegaConf.to_object(cfg))
    output = capsys.readouterr().out
    assert "asked" in output
    assert "Wrote data/mini_nat" in output
    assert len(read_jsonl(Path("data/mini_nat/train.jsonl"))) >= 28
    run(OmegaConf.to_object(cfg))
    assert "Nothing to do" in capsys.readouterr().out


def test_two_processes_write_the_same_bytes(config, tmp_path):
    generate(config(path=str(tmp_path / "here")))
    script = (
        "import sys; from omegaconf import OmegaConf; from ercsatz.config import GenerateConfig;"
        "from ercsatz.generation.run import run;"
        "run(OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(GenerateConfig), OmegaConf.load(sys.argv[1]))))"
    )
    OmegaConf.save(OmegaConf.structured(config(path=str(tmp_path / "there"))), tmp_path / "config.yaml")
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, tmp_path / "config.yaml"], check=True, env=environment)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_order_of_answers_does_not_matter(config, tmp_path, monkeypatch):
    generate(config(path=str(tmp_path / "one")))
    monkeypatch.setattr(run_module, "build", lambda _: Shuffled())
    generate(config(path=str(tmp_path / "two")), generator__window=17)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_window_is_filled_and_never_exceeded(config):
    generator = Shuffled()

    async def collect():
        return [request.index async for request, _ in answers(generator, plan(config(n_dialogues=40)), window=5)]

    indices = asyncio.run(collect())
    assert sorted(indices) == list(range(40))
    assert generator.most == 5


def test_longer_run_keeps_the_dialogues_of_the_shorter(config, tmp_path):
    for n in (40, 60):
        generate(config(path=str(tmp_path / str(n)), n_dialogues=n))
    short, long = (
        {d.id: d for name in ("train", "validation", "test") for d in read_jsonl(tmp_path / n / f"{name}.jsonl")}
        for n in ("40", "60")
    )
    assert short.items() <= long.items()


def test_changed_settings_stop_and_overwrite_goes_on(config, tmp_path):
    made = config(path=str(tmp_path / "d"))
    generate(made)
    with pytest.raises(UserError, match="seed: 0 there, 5 now"):
        generate(made, seed=5)
    before = contents(tmp_path / "d")
    generate(made, seed=5, overwrite=True)
    assert contents(tmp_path / "d") != before


def test_changed_code_is_a_changed_setting(config, tmp_path, monkeypatch):
    hashed = []

    def other_code(files):
        hashed.extend(file.name for file in files)
        return "other"

    made = config(path=str(tmp_path / "d"))
    generate(made)
    monkeypatch.setattr(run_module, "code_sha256", other_code)
    with pytest.raises(UserError, match=r"code_sha256: [0-9a-f]{64} there, other now"):
        generate(made)
    assert {"plan.py", "parse.py", "check.py", "dataset.py"} <= set(hashed)


def test_nothing_kept_is_an_error_and_writes_nothing(config, tmp_path, monkeypatch):
    class Mute(OfflineGenerator):
        async def answer(self, request):
            return Answer("I'd rather not.", FinishReason.stop)

    monkeypatch.setattr(run_module, "build", lambda _: Mute())
    with pytest.raises(UserError, match="No dialogue was kept"):
        generate(config(path=str(tmp_path / "d")))
    assert not list(tmp_path.iterdir())


def test_repeated_dialogues_are_kept_once(config, tmp_path, monkeypatch, capsys):
    requests = list(plan(config(variant="nat")))

    class Parrot(OfflineGenerator):
        async def answer(self, request):
            return await super().answer(requests[request.index % 30])

    monkeypatch.setattr(run_module, "build", lambda _: Parrot())
    monkeypatch.setattr(run_module, "check", lambda *_: None)
    generate(config(variant="nat", path=str(tmp_path / "d")))
    kept = [
        d.provenance["index"]
        for name in ("train", "validation", "test")
        for d in read_jsonl(tmp_path / "d" / f"{name}.jsonl")
    ]
    assert max(kept) < 30
    assert "duplicate" in capsys.readouterr().out


def test_provenance_is_flat_and_complete(config, tmp_path):
    generate(config(path=str(tmp_path / "d")))
    dialogue = read_jsonl(tmp_path / "d" / "train.jsonl")[0]
    assert set(dialogue.provenance) == {"index", "seed", "generator", "mode", "target", "prompt_sha256"}
    assert dialogue.provenance["target"] in {turn.emotion for turn in dialogue.utterances}


def test_folder_loads_with_datasets(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    generate(config(path=str(tmp_path / "d")))
    loaded = datasets.load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation", "test"}
    assert loaded["train"][0]["utterances"][0].keys() == {"speaker", "text", "emotion"}
    assert sum(split.num_rows for split in loaded.values()) > 50


def test_card_tells_where_the_data_comes_from(config, tmp_path):
    generate(config(path=str(tmp_path / "d")))
    card = (tmp_path / "d" / "README.md").read_text()
    for words in ("reconstruct", "| generator | offline |", "| seed | 0 |", "| kept |", "Known limits", "| disgust |"):
        assert words in card
