import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ercsatz.config import PersonaConfig, PersonaStep, PersonaUnit, register
from ercsatz.data.files import read_jsonl
from ercsatz.errors import UserError
from ercsatz.generation import job as job_module
from ercsatz.generation import run as run_module
from ercsatz.generation.dataset.files import write_files
from ercsatz.generation.run import run
from ercsatz.generators.interface import Answer, FailedError, FinishReason, Identity, RefusedError
from ercsatz.generators.offline.generator import OfflineConfig, OfflineServer
from ercsatz.llm import endpoint_pool
from ercsatz.resources import resource


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def generate(config, **changes) -> None:
    cfg = OmegaConf.structured(config)
    OmegaConf.update(cfg, "overwrite", changes.pop("overwrite", False))
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    run(OmegaConf.to_object(cfg))


def answering(monkeypatch, answer):
    """Put the offline generator behind a server that answers in another way."""
    original = OfflineConfig.build

    def build(config, grammar=None):
        generator = original(config, grammar)
        return replace(generator, servers=(Wrapped(generator.servers[0], answer),))

    monkeypatch.setattr(OfflineConfig, "build", build)


class Wrapped:
    def __init__(self, server, answer):
        self._server, self._answer, self.name = server, answer, server.name
        self.identify, self.healthy, self.close = server.identify, server.healthy, server.close

    async def answer(self, request):
        return await self._answer(self._server, request)


async def shuffled(server, request):
    await asyncio.sleep(random.random() / 500)
    return await server.answer(request)


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
    plain = OmegaConf.to_container(OmegaConf.structured(config(path=str(tmp_path / "there"))))
    plain["generator"]["_target_"] = f"{OfflineConfig.__module__}.OfflineConfig"
    OmegaConf.save(OmegaConf.create(plain), tmp_path / "config.yaml")
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, tmp_path / "config.yaml"], check=True, env=environment)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_order_of_answers_does_not_matter(config, tmp_path, monkeypatch):
    generate(config(path=str(tmp_path / "one")))
    answering(monkeypatch, shuffled)
    generate(config(path=str(tmp_path / "two")), generator__window=17)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


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


def test_another_version_is_another_data_set(config, tmp_path, monkeypatch):
    made = config(path=str(tmp_path / "d"))
    generate(made)
    monkeypatch.setattr(job_module, "VERSION", job_module.VERSION + 1)
    with pytest.raises(UserError, match=r"\n  version: 1 there, 2 now\nReplace it with overwrite=true"):
        generate(made)


def test_a_data_set_made_before_versions_were_declared_is_refused_with_what_to_do(config, tmp_path):
    made = config(path=str(tmp_path / "d"))
    generate(made)
    file = tmp_path / "d" / "config.json"
    stored = json.loads(file.read_text())
    del stored["settings"]["version"]
    file.write_text(json.dumps(stored | {"settings": {**stored["settings"], "code_sha256": "0a"}}))
    with pytest.raises(
        UserError, match=r"code_sha256: 0a there, \(absent\) now\n  version: .*\nReplace it with overwrite=true"
    ):
        generate(made)


def test_a_version_stands_for_the_same_dialogues(config, tmp_path):
    digest = hashlib.sha256()
    for variant in ("nat", "bal", "per"):
        folder = tmp_path / variant
        generate(config(variant=variant, path=str(folder), n_dialogues=30))
        for split in ("train", "validation", "test"):
            made = read_jsonl(folder / f"{split}.jsonl")
            for dialogue in made:
                spoken = [(turn.speaker, turn.text, turn.emotion) for turn in dialogue.utterances]
                digest.update(repr((split, dialogue.id, spoken)).encode())
    known = (1, "05af18056ec2bf5c")
    assert (job_module.VERSION, digest.hexdigest()[:16]) == known, (
        "The same settings and answers make another data set. Raise VERSION in generation/job.py, and write it and the "
        "new digest here; where the offline generator's answers changed, the digest alone."
    )


def test_nothing_kept_is_an_error_and_writes_nothing(config, tmp_path, monkeypatch):
    async def mute(server, request):
        return Answer("I'd rather not.", FinishReason.stop)

    answering(monkeypatch, mute)
    with pytest.raises(UserError, match="No dialogue was kept"):
        generate(config(path=str(tmp_path / "d")))
    assert [path.name for path in tmp_path.iterdir()] == ["d.journal.sqlite"]


def test_goal_that_cannot_be_reached_ends_the_run(config, tmp_path, monkeypatch):
    async def mute(server, request):
        return Answer("I'd rather not.", FinishReason.stop)

    answering(monkeypatch, mute)
    wanted = config(path=str(tmp_path / "d"))
    wanted.plan.n_dialogues, wanted.plan.n_kept = None, 10
    with pytest.raises(UserError, match="No dialogue was kept"):
        generate(wanted)


def test_server_that_breaks_for_good_ends_a_run_for_kept_dialogues(config, tmp_path, monkeypatch):
    async def breaks(server, request):
        if request.index >= 20:
            raise FailedError("HTTP 500: out of order")
        return await server.answer(request)

    monkeypatch.setattr(run_module, "HOPELESS", 30)
    answering(monkeypatch, breaks)
    wanted = config(path=str(tmp_path / "d"))
    wanted.plan.n_dialogues, wanted.plan.n_kept = None, 100
    with pytest.raises(UserError, match="the run stopped"):
        generate(wanted)


def test_refusals_of_a_server_out_of_order_are_not_held_against_the_requests(config, tmp_path, monkeypatch):
    order = [False]

    async def refuses(server, request):
        if not order[0] and request.index >= 20:
            raise RefusedError(422, "out of order")
        return await server.answer(request)

    monkeypatch.setattr(endpoint_pool, "FIRST_PAUSE", 0.001)
    answering(monkeypatch, refuses)
    made = config(path=str(tmp_path / "d"))
    with pytest.raises(UserError, match="out of order"):
        generate(made, generator__window=2)
    order[0] = True
    generate(made, generator__window=2)
    assert set(kept(tmp_path / "d")) >= {f"{n:06d}" for n in range(20, 26)}


def test_templates_are_tried_before_anything_is_asked(config, tmp_path):
    made = config(path=str(tmp_path / "d"))
    made.prompts = str(tmp_path / "mine")
    with pytest.raises(UserError, match=r"task\.j2"):
        generate(made)
    shutil.copytree(resource("prompts"), tmp_path / "mine")
    (tmp_path / "mine/natural/structure.j2").write_bytes(b"\xff {{ n_turns }}")
    with pytest.raises(UserError, match=r"structure\.j2"):
        generate(made)
    (tmp_path / "mine/natural/structure.j2").write_text('{{ n_turns + "x" }}')
    with pytest.raises(UserError, match=r"structure\.j2"):
        generate(made)
    assert not (tmp_path / "d.journal.sqlite").exists()


def test_goal_of_utterances_is_reached_by_the_shortest_plan(config, tmp_path):
    wanted = config(path=str(tmp_path / "d"))
    wanted.plan.n_dialogues, wanted.plan.n_utterances = None, 400
    generate(wanted)
    dialogues = kept(tmp_path / "d")
    sizes = [len(dialogues[index].utterances) for index in sorted(dialogues)]
    assert sum(sizes[:-1]) < 400 <= sum(sizes)


def kept(folder):
    return {d.id: d for name in ("train", "validation", "test") for d in read_jsonl(folder / f"{name}.jsonl")}


def test_of_two_alike_the_first_is_kept_whatever_came_first(config, tmp_path, monkeypatch, capsys):
    seeds = {}

    async def parrot(server, request):
        seeds.setdefault(request.index, request.seed)
        await asyncio.sleep(0.001 * (request.index < 30))
        first = replace(request, seed=seeds.get(request.index % 30, request.index % 30))
        return await server.answer(replace(first, speakers=("Maya", "Leo"), n_turns=6))

    answering(monkeypatch, parrot)
    monkeypatch.setattr("ercsatz.generation.write.check", lambda *_: None)
    generate(config(variant="nat", path=str(tmp_path / "d")), generator__window=60)
    assert max(kept(tmp_path / "d")) < "000030"
    assert "duplicate" in capsys.readouterr().out


def test_rejected_answer_is_asked_for_again_with_another_seed(config, tmp_path, monkeypatch):
    async def slow_of_wit(server, request):
        if request.attempt < 2:
            return Answer("Hm?", FinishReason.stop)
        return await server.answer(request)

    answering(monkeypatch, slow_of_wit)
    generate(config(path=str(tmp_path / "d")))
    found = kept(tmp_path / "d").values()
    assert {d.provenance["attempt"] for d in found} == {2}
    assert len({d.provenance["seed"] for d in found}) == len(found)


def test_leaked_dialogues_are_left_out_and_reported(config, tmp_path, monkeypatch):
    real = read_jsonl(resource("data/benchmarks") / "mini" / "test.jsonl")

    async def plagiarist(server, request):
        if request.index % 6:
            return await server.answer(request)
        labels = {label: number for number, label in enumerate(request.labels, 1)}
        turns = real[request.index // 6].utterances
        spoken = [f"{turn.speaker}: {turn.text} ({labels[turn.emotion]})" for turn in turns if turn.emotion]
        return Answer("\n".join(spoken), FinishReason.stop)

    answering(monkeypatch, plagiarist)
    monkeypatch.setattr("ercsatz.generation.write.check", lambda *_: None)
    made = config(variant="nat", path=str(tmp_path / "d"))
    made.benchmark.path, made.benchmark.name = str(resource("data/benchmarks") / "mini"), "mini"
    made.benchmark.files = {name: f"{name}.jsonl" for name in ("train", "validation", "test")}
    generate(made)
    assert not [index for index in kept(tmp_path / "d") if int(index) % 6 == 0]
    hits = [json.loads(line) for line in (tmp_path / "d" / "leakage.jsonl").open()]
    assert {hit["index"] for hit in hits} == set(range(0, 60, 6))


def test_unchecked_leakage_is_on_record(config, tmp_path, capsys):
    generate(config(path=str(tmp_path / "d")))
    assert "Leakage was not checked" in capsys.readouterr().out
    assert "**not** compared" in (tmp_path / "d" / "README.md").read_text()
    assert not (tmp_path / "d" / "leakage.jsonl").exists()


@pytest.mark.parametrize("unit", ["dialogue", "text"])
@pytest.mark.parametrize("steps", [("sample", "write", "write"), ("off", "off", "off"), ("sample", "sample", "off")])
def test_persona_data_set_says_who_spoke_and_where(config, tmp_path, unit, steps):
    made = config(variant="per", path=str(tmp_path / "d"), n_dialogues=70)
    wanted = dict(zip(("base", "background", "situation"), map(PersonaStep, steps), strict=True))
    made.persona = PersonaConfig(unit=PersonaUnit(unit), **wanted)
    generate(made)
    for dialogue in kept(tmp_path / "d").values():
        provenance = dialogue.provenance
        assert provenance["target"] in {turn.emotion for turn in dialogue.utterances}
        assert {turn.speaker for turn in dialogue.utterances} <= {each["speaker"] for each in provenance["personas"]}
        assert all(bool(each["age"]) == (steps[0] != "off") for each in provenance["personas"])
        assert all(bool(each["background"]) == (steps[1] != "off") for each in provenance["personas"])
        assert bool(provenance["situation"]) == (steps[2] != "off")
        assert (unit == "text") == (len(dialogue.utterances) == 1)


def test_later_step_is_redone_alone(config, tmp_path, monkeypatch):
    asked = []

    async def counted(server, request):
        asked.append(request.step)
        return await server.answer(request)

    answering(monkeypatch, counted)
    prompts = shutil.copytree(resource("prompts"), tmp_path / "prompts")
    made = config(variant="per", path=str(tmp_path / "d"), n_dialogues=40)
    made.prompts = str(prompts)
    generate(made)
    assert Counter(asked)["background"] > 40
    asked.clear()
    (prompts / "persona" / "task.j2").write_text("Write something else. " + (prompts / "persona/task.j2").read_text())
    with pytest.raises(UserError, match="templates_sha256"):
        generate(made)
    generate(made, overwrite=True)
    assert set(asked) == {"dialogue"}


def test_journal_alone_gives_the_same_data_set_again(config, tmp_path, monkeypatch):
    generate(config(path=str(tmp_path / "d")))
    before = contents(tmp_path / "d")
    shutil.rmtree(tmp_path / "d")

    async def gone(server, request):
        raise AssertionError("nothing has to be asked")

    answering(monkeypatch, gone)
    generate(config(path=str(tmp_path / "d")))
    assert contents(tmp_path / "d") == before


def test_refused_requests_are_final_and_on_record(config, tmp_path, monkeypatch):
    asked = []

    async def choosy(server, request):
        asked.append(request.index)
        if 20 <= request.index < 24:
            raise RefusedError(413, "length limit exceeded")
        return await server.answer(request)

    monkeypatch.setattr(endpoint_pool, "FIRST_PAUSE", 0.001)
    answering(monkeypatch, choosy)
    made = config(path=str(tmp_path / "d"))
    generate(made)
    assert not {"000020", "000021", "000022", "000023"} & kept(tmp_path / "d").keys()
    assert json.loads((tmp_path / "d/config.json").read_text())["funnel"]["not_kept"]["refused"] == 4
    asked.clear()
    generate(made, overwrite=True, split__test=0.2)
    assert not asked


def test_goal_of_kept_dialogues_asks_for_little_more_than_that(config, tmp_path, monkeypatch):
    asked = set()

    async def with_a_straggler(server, request):
        asked.add(request.index)
        await asyncio.sleep(0.5 if request.index == 3 else 0.001)
        return await server.answer(request)

    answering(monkeypatch, with_a_straggler)
    wanted = config(path=str(tmp_path / "d"))
    wanted.plan.n_dialogues, wanted.plan.n_kept = None, 40
    generate(wanted, generator__window=16)
    assert len(kept(tmp_path / "d")) == 40
    assert len(asked) < 60


def test_another_model_is_another_data_set(config, tmp_path, monkeypatch):
    models = ["first", "second"]

    async def identify():
        return Identity(models[0])

    monkeypatch.setattr(OfflineServer, "identify", lambda _: identify())
    made = config(path=str(tmp_path / "d"))
    generate(made)
    models.pop(0)
    longer = config(path=str(tmp_path / "e"), n_dialogues=80)
    longer.journal = made.journal
    with pytest.raises(UserError, match="come from first, but the server has second"):
        generate(longer)
    generate(made, overwrite=True)
    assert {d.provenance["model"] for d in kept(tmp_path / "d").values()} == {"second"}


def test_real_files_that_come_later_make_another_data_set(config, tmp_path):
    made = config(path=str(tmp_path / "d"))
    generate(made)
    made.benchmark.path = str(resource("data/benchmarks") / "mini")
    made.benchmark.files = {name: f"{name}.jsonl" for name in ("train", "validation", "test")}
    with pytest.raises(UserError, match=r"checks\.leakage\.with: None there"):
        generate(made)
    generate(made, overwrite=True)
    assert (tmp_path / "d" / "leakage.jsonl").exists()


def test_journal_without_answers_binds_nothing(config, tmp_path, monkeypatch):
    async def gone(server, request):
        raise UserError("nobody there")

    made = config(path=str(tmp_path / "d"))
    with monkeypatch.context() as patch:
        answering(patch, gone)
        with pytest.raises(UserError, match="nobody there"):
            generate(made)
    generate(made, seed=7)
    assert len(kept(tmp_path / "d")) > 50


def test_ctrl_c_while_files_are_written_is_heeded_after_them(config, tmp_path, monkeypatch):
    def slow(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return write_files(*arguments)

    monkeypatch.setattr("ercsatz.generation.run.write_files", slow)
    with pytest.raises(KeyboardInterrupt, match="is written"):
        generate(config(path=str(tmp_path / "d")))
    assert len(kept(tmp_path / "d")) > 50


def test_dry_run_shows_prompts_and_numbers_and_writes_nothing(config, tmp_path, capsys):
    made = config(variant="per", path=str(tmp_path / "d"), n_dialogues=1000)
    made.dry_run = True
    run(made)
    output = capsys.readouterr().out
    assert "dialogue 0, background" in output
    assert "dialogue 0, situation" in output
    assert "requests" in output
    assert not list(tmp_path.iterdir())


def test_provenance_is_complete(config, tmp_path):
    generate(config(path=str(tmp_path / "d")))
    dialogue = read_jsonl(tmp_path / "d" / "train.jsonl")[0]
    keys = {"index", "seed", "attempt", "generator", "model", "mode", "target", "prompt_sha256"}
    assert set(dialogue.provenance) == keys
    assert dialogue.provenance["target"] in {turn.emotion for turn in dialogue.utterances}
