"""A job's dialogues: what they get from sidecars, and shares of them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.classifiers.todkat.config import KnowledgeSources
from ercsatz.config import TrainConfig, TrainOn
from ercsatz.data.dialogue import SPLITS, Corpus, Dialogue, Utterance
from ercsatz.data.files import read_jsonl, write_jsonl
from ercsatz.errors import MissingFiles, UserError
from ercsatz.knowledge import Inference, sidecar
from ercsatz.knowledge.sidecar import SidecarEntry, paths, write_entries
from ercsatz.training.corpora import JobData, corpus_of, load_data, share_of, with_knowledge
from ercsatz.training.job import load_job
from tests.training.composed import train_config

NAMES = {"mini": "mini_org", "data/mini_nat": "mini_nat", "data/mini_bal": "mini_bal"}


@pytest.fixture
def settings(tmp_path, make_dialogues) -> TrainConfig:
    """Of a job on natural data; there are real, natural and balanced dialogues, and a sidecar of each."""
    for number, (folder, name) in enumerate(NAMES.items()):
        splits = {split: make_dialogues(4, seed=10 * number + i) for i, split in enumerate(SPLITS)}
        for split, dialogues in splits.items():
            write_jsonl(tmp_path / folder / f"{split}.jsonl", dialogues)
        known = Inference(x_react=(f"like {name}",))
        lines = (SidecarEntry.about(split, d, 0, generated=known) for split, own in splits.items() for d in own)
        write_entries(paths(tmp_path / "data", name)[0], lines)
    return train_config(
        "data=mini_nat", "classifier=todkat", f"paths.data={tmp_path}/data", f"benchmark.path={tmp_path}/mini"
    )


def joined(cfg: TrainConfig) -> tuple[TrainConfig, JobData]:
    changed, data, _ = with_knowledge(cfg, load_data(cfg), [TrainOn.real, TrainOn.synthetic])
    return changed, data


def test_a_data_set_of_another_variant_is_refused(settings, tmp_path):
    file = tmp_path / "data" / "mini_nat" / "train.jsonl"
    for mode in ("natural", "somebody's"):
        write_jsonl(file, [replace(d, provenance={"mode": mode}) for d in read_jsonl(file)])
        load_data(settings)
    write_jsonl(file, [replace(d, provenance={"mode": "balanced"}) for d in read_jsonl(file)])
    with pytest.raises(
        UserError, match=r"mini_nat/train\.jsonl: .* mode=balanced, so this is the variant bal, not nat"
    ):
        load_data(settings)


def test_each_data_set_gets_what_is_known_about_it(settings):
    cfg, data, told = with_knowledge(settings, load_data(settings), [TrainOn.real, TrainOn.synthetic])
    assert cfg.classifier.knowledge == KnowledgeSources.generated
    assert [sentence.split(" (in")[0] for sentence in told] == [
        f"todkat runs without retrieved knowledge, which {name} has none of" for name in ("mini_org", "mini_nat")
    ]
    found = {
        f"{corpus.name} {split}": corpus.split(split) for corpus in (data.real, data.synthetic) for split in SPLITS
    }
    found |= {f"mini_{variant} test": dialogues for variant, dialogues in data.test_sets.items()}
    assert len(found) == 7
    for name, dialogues in found.items():
        for dialogue in dialogues:
            first, *others = dialogue.utterances
            assert first.knowledge.generated == (f"PersonX feels like {name.split()[0]}.",)
            assert not any(turn.knowledge for turn in others)


def test_each_sidecar_is_read_once(settings, monkeypatch):
    read, original = Counter[str](), sidecar.read_entries

    def counted(path: Path) -> object:
        read[path.stem] += 1
        return original(path)

    monkeypatch.setattr(sidecar, "read_entries", counted)
    joined(settings)
    assert read == dict.fromkeys(NAMES.values(), 1)


def test_a_sidecar_of_an_earlier_data_set_is_refused_before_anything_is_trained(settings, tmp_path, make_dialogues):
    for split in SPLITS:
        file = tmp_path / "data" / "mini_nat" / f"{split}.jsonl"
        file.write_text(file.read_text().replace("the train", "the plane").replace("how lovely", "how sad"))
    told = r"mini_nat\.jsonl, line \d+: turn 0 of dialogue .* has another text, .*python knowledge\.py data=mini_nat"
    with pytest.raises(UserError, match=told):
        joined(settings)


# Shares

SIZES, SEEDS = st.integers(1, 40), st.integers(0, 2**32 - 1)
SHARES = st.floats(0, 1, exclude_min=True)


def corpus(n: int, name: str = "mini_org") -> Corpus:
    turn = (Utterance("Ann", "Hi.", "joy"),)
    return Corpus(name, ("joy",), {split: tuple(Dialogue(f"{name}{i}", turn) for i in range(n)) for split in SPLITS})


def drawn(n: int, share: float, seed: int) -> list[int]:
    """Which of ``n`` training dialogues a share has."""
    return [int(dialogue.id.removeprefix("mini_org")) for dialogue in share_of(corpus(n), share, seed).split("train")]


@given(SIZES, SHARES, SEEDS)
def test_a_share_is_of_that_size_one_at_least_and_in_order(n, share, seed):
    found = drawn(n, share, seed)
    assert len(found) == max(1, round(share * n))
    assert found == sorted(set(found)) != []
    assert drawn(n, share, seed) == found


@given(SIZES, SHARES, SHARES, SEEDS)
def test_a_smaller_share_is_part_of_a_larger(n, one, other, seed):
    small, large = (set(drawn(n, share, seed)) for share in sorted((one, other)))
    assert small <= large


def test_a_share_is_of_the_training_dialogues_alone_and_drawn_by_the_seed():
    tenth = share_of(corpus(40), 0.1, 0)
    assert [len(tenth.split(split)) for split in SPLITS] == [4, 40, 40]
    assert len({tuple(drawn(40, 0.1, seed)) for seed in range(5)}) > 1
    assert share_of(corpus(40), 1.0, 0) == corpus(40)


@pytest.mark.parametrize(
    ("phase", "stage", "names"),
    [
        (("low_resource",), "original", {"mini_org": 2}),
        (("low_resource",), "pretrain", {"mini_nat": 20}),
        (("low_resource", "phase.real_share=0.5", "phase.synthetic_share=0.2"), "pretrain", {"mini_nat": 4}),
        (("joint", "phase.real_share=0.5"), "joint", {"mini_org": 10, "mini_nat": 20}),
        (("joint", "phase.stages.joint.synthetic_share=0.1"), "joint", {"mini_org": 20, "mini_nat": 2}),
        (("joint", "phase.stages.joint.real_share=0.1"), "original", {"mini_org": 20}),
    ],
)
def test_a_stage_trains_on_its_shares_and_is_checked_on_real_dialogues_where_it_sees_any(phase, stage, names):
    cfg = train_config("data=mini_nat", f"phase={phase[0]}", *phase[1:])
    data = JobData(corpus(20), corpus(20, "mini_nat"), {}, {})
    found = corpus_of(cfg, data, cfg.phase.stages[stage])
    assert Counter(dialogue.id.rstrip("0123456789") for dialogue in found.split("train")) == names
    checked_on = data.real if "mini_org" in names else data.synthetic
    assert found.split("validation") == checked_on.split("validation")


# What is wrong or missing


@pytest.mark.parametrize("copied", [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_a_split_that_is_a_copy_of_another_is_a_leak(settings, tmp_path, copied):
    source, copy = (tmp_path / "mini" / f"{split}.jsonl" for split in copied)
    copy.write_text(source.read_text())
    with pytest.raises(UserError, match=rf"mini_org: every dialogue of {copied[1]} is in {copied[0]}, too"):
        load_data(settings)


def test_all_that_is_missing_is_named_at_once(settings, tmp_path):
    for file in ("mini/train.jsonl", "data/mini_nat/train.jsonl", "data/mini_nat/test.jsonl"):
        (tmp_path / file).unlink()
    settings.test_sets = ["org", "nat", "per"]
    with pytest.raises(MissingFiles) as caught:
        load_job(settings)
    told = str(caught.value)
    assert "mini: no file train.jsonl in" in told
    assert "mini_nat/train.jsonl, nor " in told
    assert "mini_nat/test.jsonl. Make it again with: python generate.py data=mini_nat overwrite=true" in told
    assert "There is no data set mini_per" in told
    assert "knowledge" not in told


def test_knowledge_and_weights_that_are_missing_are_named_with_the_data(settings, tmp_path):
    (tmp_path / "mini" / "train.jsonl").unlink()
    paths(tmp_path / "data", "mini_org")[0].unlink()
    settings.training.checkpoint = str(tmp_path / "none")
    with pytest.raises(MissingFiles) as caught:
        load_job(settings)
    assert f"There is no folder {tmp_path}/none (training.checkpoint)." in str(caught.value)
    assert "no knowledge about mini_org in" in str(caught.value)
    assert "It is made with: python knowledge.py data=mini_org" in str(caught.value)
