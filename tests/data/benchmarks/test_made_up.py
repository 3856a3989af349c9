"""``iemocap_made_up``: the dialogues of mini under IEMOCAP's labels."""

from collections import Counter
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ercsatz import config
from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Corpus
from ercsatz.resources import resource

LABELS = {
    "neutral": "neutral",
    "joy": "happy",
    "surprise": "excited",
    "anger": "angry",
    "sadness": "sad",
    "disgust": "frustrated",
    "fear": None,
}


def corpus(name: str) -> Corpus:
    GlobalHydra.instance().clear()
    config.register([Path(resource("conf"))])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        return load(compose("train", [f"data={name}_org"]).benchmark)


def test_its_dialogues_are_minis_with_iemocaps_labels():
    made_up, mini, iemocap = corpus("iemocap_made_up"), corpus("mini"), _labels("iemocap")
    assert made_up.name == "iemocap_made_up_org"
    assert list(made_up.labels) == iemocap
    for split in ("train", "validation", "test"):
        pairs = [
            (ours, theirs)
            for one, other in zip(made_up.split(split), mini.split(split), strict=True)
            for ours, theirs in zip(one.utterances, other.utterances, strict=True)
        ]
        assert all((ours.speaker, ours.text) == (theirs.speaker, theirs.text) for ours, theirs in pairs)
        assert all(ours.emotion == LABELS[theirs.emotion] for ours, theirs in pairs)
        assert {*iemocap} <= Counter(ours.emotion for ours, _ in pairs).keys()


def _labels(name: str) -> list[str]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        return list(compose("train", [f"data={name}_org"]).benchmark.labels)
