"""What a job's dialogues get from sidecars."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ercsatz import config
from ercsatz.classifiers.todkat.config import KnowledgeSources
from ercsatz.config import TrainConfig, TrainOn
from ercsatz.data.dialogue import SPLITS
from ercsatz.data.files import write_jsonl
from ercsatz.errors import UserError
from ercsatz.knowledge import Inference, sidecar
from ercsatz.knowledge.sidecar import Entry, paths, write_entries
from ercsatz.resources import resource
from ercsatz.training.corpora import Data, load_data, with_knowledge

NAMES = {"mini": "mini_org", "data/mini_nat": "mini_nat", "data/mini_bal": "mini_bal"}


@pytest.fixture
def settings(tmp_path, make_dialogues) -> TrainConfig:
    """Of a job on natural data; there are real, natural and balanced dialogues, and a sidecar of each."""
    for number, (folder, name) in enumerate(NAMES.items()):
        splits = {split: make_dialogues(4, seed=10 * number + i) for i, split in enumerate(SPLITS)}
        for split, dialogues in splits.items():
            write_jsonl(tmp_path / folder / f"{split}.jsonl", dialogues)
        known = Inference(x_react=(f"like {name}",))
        lines = (Entry.about(split, d, 0, generated=known) for split, own in splits.items() for d in own)
        write_entries(paths(tmp_path / "data", name)[0], lines)
    GlobalHydra.instance().clear()
    config.register([resource("conf")])
    line = ["data=mini_nat", "classifier=todkat", f"paths.data={tmp_path}/data", f"benchmark.path={tmp_path}/mini"]
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        composed = compose("train", [*line, "benchmark.labels=[neutral,joy,anger]"])
    cfg = OmegaConf.to_object(composed)
    assert isinstance(cfg, TrainConfig)
    return replace(cfg, benchmark=replace(cfg.benchmark, published={}, sentiments={}))


def joined(cfg: TrainConfig) -> tuple[TrainConfig, Data]:
    changed, data, _ = with_knowledge(cfg, load_data(cfg), [TrainOn.real, TrainOn.synthetic])
    return changed, data


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
