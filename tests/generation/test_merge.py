import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ercsatz.data import shards
from ercsatz.errors import UserError
from ercsatz.generation import job as job_module
from ercsatz.generation.merge import merge
from ercsatz.generation.run import run
from ercsatz.generators.interface import RefusedError, UnreachableError
from ercsatz.generators.offline.generator import OfflineServer
from ercsatz.llm.journal_file import checksum


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def generate(config, **changes) -> None:
    cfg = OmegaConf.structured(config)
    OmegaConf.update(cfg, "overwrite", changes.pop("overwrite", False))
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    run(OmegaConf.to_object(cfg))


def sharded(config, of: int, **changes) -> list[Path]:
    for number in range(of):
        generate(config, plan__shard=f"{number}/{of}", **changes)
    return shards.beside(Path(config.data.path))


@pytest.mark.parametrize("variant", ["nat", "bal", "per"])
def test_shards_make_the_data_set_of_one_run(config, tmp_path, variant):
    generate(config(variant=variant, path=str(tmp_path / "one")))
    parts = sharded(config(variant=variant, path=str(tmp_path / "d")), 4)
    merge(parts[::-1], tmp_path / "d")
    assert contents(tmp_path / "d") == contents(tmp_path / "one")
    before = (tmp_path / "d" / "train.jsonl").stat().st_mtime_ns
    merge(parts, tmp_path / "d")
    assert (tmp_path / "d" / "train.jsonl").stat().st_mtime_ns == before


def test_one_run_goes_on_from_a_merged_journal(config, tmp_path, monkeypatch):
    merge(sharded(config(path=str(tmp_path / "d")), 2), tmp_path / "d")
    asked = []
    original = OfflineServer.answer

    async def counted(server, request):
        asked.append(request.index)
        return await original(server, request)

    monkeypatch.setattr(OfflineServer, "answer", counted)
    generate(config(path=str(tmp_path / "d"), n_dialogues=70), overwrite=True)
    assert set(asked) == set(range(60, 70))


def test_a_shard_that_is_there_asks_nothing(config, tmp_path, monkeypatch):
    sharded(config(path=str(tmp_path / "d")), 2)
    monkeypatch.setattr(OfflineServer, "answer", None)
    sharded(config(path=str(tmp_path / "d")), 2)


def test_refused_requests_are_merged_too(config, tmp_path, monkeypatch):
    original = OfflineServer.answer

    async def picky(server, request):
        if request.index in (5, 30):
            raise RefusedError(422, "too long")
        return await original(server, request)

    monkeypatch.setattr(OfflineServer, "answer", picky)
    generate(config(path=str(tmp_path / "one")))
    merge(sharded(config(path=str(tmp_path / "d")), 3), tmp_path / "d")
    assert contents(tmp_path / "d") == contents(tmp_path / "one")
    assert json.loads((tmp_path / "d" / "config.json").read_text())["funnel"]["not_kept"]["refused"] == 2


def test_shards_that_make_no_whole_are_refused_with_what_to_do(config, tmp_path):
    made = config(path=str(tmp_path / "d"))
    parts = sharded(made, 4)
    with pytest.raises(UserError, match=r"3 of 4 shards are given; missing: 2/4\. .*plan\.shard=2/4"):
        merge([parts[0], parts[1], parts[3]], tmp_path / "d")
    with pytest.raises(UserError, match="are the same shard, 0/4"):
        merge([*parts, parts[0]], tmp_path / "d")
    with pytest.raises(UserError, match=r"is no shard of a data set\. .*plan\.shard=0/4"):
        merge([*parts[:3], tmp_path], tmp_path / "d")
    generate(made, plan__shard="3/4", seed=5, overwrite=True)
    with pytest.raises(UserError, match=r"different plans .*\n  requests\.seed: 0 there, 5 now\nRun one of them again"):
        merge(parts, tmp_path / "d")
    generate(made, plan__shard="3/4", plan__n_dialogues=80, overwrite=True)
    with pytest.raises(UserError, match=r"plan\.n_dialogues: 60 there, 80 now"):
        merge(parts, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_shard_of_another_division_is_refused(config, tmp_path):
    made = config(path=str(tmp_path / "d"))
    four, two = sharded(made, 4), sharded(made, 2)
    with pytest.raises(UserError, match=r"shards: 2 there, 4 now"):
        merge([two[0], *four[1:]], tmp_path / "d")


def test_a_shard_that_lacks_answers_is_refused_until_it_has_them(config, tmp_path, monkeypatch):
    original = OfflineServer.answer

    async def down(server, request):
        if request.index == 7:
            raise UnreachableError("connection refused")
        return await original(server, request)

    made = config(path=str(tmp_path / "d"))
    with monkeypatch.context() as patched:
        patched.setattr(OfflineServer, "answer", down)
        parts = sharded(made, 2)
    with pytest.raises(UserError, match="shard-1-of-2 still lacks answers"):
        merge(parts, tmp_path / "d")
    (parts[0] / shards.FILE).unlink()  # as where its process was killed
    with pytest.raises(UserError, match="shard-0-of-2 still lacks answers"):
        merge(parts, tmp_path / "d")
    merge(sharded(made, 2), tmp_path / "d")


def test_nothing_is_asked_where_the_version_has_changed(config, tmp_path, monkeypatch):
    parts = sharded(config(path=str(tmp_path / "d")), 2)
    monkeypatch.setattr(job_module, "VERSION", job_module.VERSION + 1)
    monkeypatch.setattr("ercsatz.generation.shard.VERSION", job_module.VERSION)
    with pytest.raises(UserError, match=r"by another version.*\n  version: 1 there, 2 now"):
        merge(parts, tmp_path / "d")


def test_nothing_is_asked_where_an_answer_is_missing_after_all(config, tmp_path):
    parts = sharded(config(path=str(tmp_path / "d")), 2)
    shutil.rmtree(tmp_path / "d", ignore_errors=True)
    for part in parts:
        described = json.loads((part / shards.FILE).read_text())
        described["plan"]["n_dialogues"] = described["config"]["plan"]["n_dialogues"] = 61
        (part / shards.FILE).write_text(json.dumps(described))
    with pytest.raises(UserError, match="lack an answer that this version asks for"):
        merge(parts, tmp_path / "d")


def test_another_data_set_in_its_place_is_replaced_on_request_only(config, tmp_path):
    generate(config(path=str(tmp_path / "d"), seed=5))
    parts = sharded(config(path=str(tmp_path / "d")), 2)
    with pytest.raises(UserError, match="Replace it with --overwrite"):
        merge(parts, tmp_path / "d")
    with pytest.raises(UserError, match="is the journal of other requests"):
        merge(parts, tmp_path / "d", overwrite=True)
    (tmp_path / "d.journal.sqlite").unlink()
    merge(parts, tmp_path / "d", overwrite=True)
    assert json.loads((tmp_path / "d" / "config.json").read_text())["settings"]["seed"] == 0


def test_shards_of_different_models_are_refused(config, tmp_path):
    parts = sharded(config(path=str(tmp_path / "d")), 2)
    with sqlite3.connect(parts[1] / shards.JOURNAL) as db:
        row = [b"model", b'"another"']
        db.execute("UPDATE facts SET value = '\"another\"', crc = ? WHERE name = 'model'", (checksum(row),))
    with pytest.raises(UserError, match=r"its answers come from another, those of .* from "):
        merge(parts, tmp_path / "d")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan__n_dialogues": None, "plan__n_kept": 40}, "plan.n_dialogues has to be given"),
        ({"journal": "j.sqlite"}, "a shard has its journal in its own folder"),
        ({"plan__shard": "0/61"}, "of 60 parts at most"),
    ],
)
def test_what_a_shard_cannot_do_is_refused(config, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        generate(config(path=str(tmp_path / "d")), **{"plan__shard": "0/2", **changes})
    assert list(tmp_path.iterdir()) == []
