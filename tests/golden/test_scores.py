"""Whether any score moved since it was kept, and whether what moved is named.

Where this fails, results that lie in people's caches are no longer what the code gives: it says which VERSION to raise.
"""

import json
from dataclasses import replace

import pytest
import torch

from ercsatz.classifiers.compm.classifier import CoMPM
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.training import graph
from ercsatz.training.losses import CrossEntropyConfig
from tests.golden import scores
from tests.golden.scores import COMMAND, Golden

COMPM, EMOONE, TODKAT = (f"src/ercsatz/classifiers/{name}/config.py" for name in ("compm", "emoone", "todkat"))
TRAINING, LOSSES = "src/ercsatz/training/graph.py", "src/ercsatz/training/losses.py"


@pytest.fixture(scope="module")
def kept() -> Golden:
    """The scores that are kept for what is installed here."""
    known, here = scores.read(), scores.environment()
    if here not in known:
        pytest.skip(f"no golden scores are kept for {here}; this writes them, on code that moved none: {COMMAND}")
    return known[here]


@pytest.fixture(scope="module")
def found() -> Golden:
    return scores.measure()


def test_no_score_moved(kept, found):
    advice = scores.advice(kept, found)
    assert advice is None, advice


def test_every_shipped_part_and_every_stage_has_scores(found):
    assert found.scores.keys() == found.versions.keys() - {"training"}
    losses = {name: found.scores[f"classifier {name}"]["losses"].keys() for name in ("compm", "emoone", "todkat")}
    assert losses == {"compm": {"original"}, "emoone": {"teacher", "original"}, "todkat": {"topic", "original"}}
    assert len(found.scores["loss cross_entropy"]) == 2


def test_a_change_of_a_loss_names_its_version(found, monkeypatch, remeasured):
    total = CrossEntropyConfig.total
    monkeypatch.setattr(CrossEntropyConfig, "total", lambda *given: 1.01 * total(*given))
    told = scores.advice(found, remeasured("loss cross_entropy"))
    assert (LOSSES in told, COMPM in told, TRAINING in told, COMMAND in told) == (True, False, False, True)
    assert "of: loss cross_entropy." in told


def test_a_change_of_a_classifier_names_its_version(found, monkeypatch, remeasured):
    forward = CoMPM.forward
    monkeypatch.setattr(CoMPM, "forward", lambda *given: 1.001 * forward(*given))
    told = scores.advice(found, remeasured("classifier compm"))
    assert (COMPM in told, EMOONE in told, LOSSES in told, TRAINING in told) == (True, False, False, False)
    assert "of: classifier compm." in told


@pytest.fixture
def faster(monkeypatch, remeasured) -> Golden:
    """The scores where the optimiser's learning rate is another than what was asked for."""
    made = torch.optim.AdamW
    monkeypatch.setattr("torch.optim.AdamW", lambda *given, lr, **more: made(*given, lr=1.05 * lr, **more))
    return remeasured("classifier compm", "classifier emoone", "classifier todkat")


def test_a_change_of_the_trainer_names_that_of_training(found, faster):
    told = scores.advice(found, faster)
    assert (TRAINING in told, COMPM in told, EMOONE in told, TODKAT in told) == (True, False, False, False)
    explained = replace(faster, versions=faster.versions | {"training": graph.VERSION + 1})
    assert scores.unexplained(found, explained) == []
    assert "Write them anew" in scores.advice(found, explained)


@pytest.fixture
def remeasured(found):
    """The scores with those of some parts measured again."""

    def measure(*names: str) -> Golden:
        measures = {"classifier": scores.classifier_scores, "loss": scores.loss_scores}
        again = {name: measures[name.split()[0]](name.split()[1]) for name in names}
        return Golden(scores.versions(), found.scores | again)

    return measure


@pytest.fixture
def written(found, monkeypatch, tmp_path):
    """A file of its own that keeps the scores, and another value of one of them."""
    monkeypatch.setattr(scores, "SCORES", tmp_path / "scores.json")
    scores.write({"elsewhere": found, scores.environment(): found})
    other = json.loads(json.dumps(found.scores["classifier compm"]))
    other["probabilities"][0][0] += 0.001
    monkeypatch.setattr(
        scores, "measure", lambda: Golden(scores.versions(), found.scores | {"classifier compm": other})
    )
    return tmp_path / "scores.json"


def test_moved_scores_are_not_written_without_a_raised_version(written, capsys):
    before = written.read_bytes()
    assert scores.main() == 1
    assert f"raise VERSION in {COMPM}, and write" in capsys.readouterr().err
    assert written.read_bytes() == before


def test_with_a_raised_version_they_are_written_and_others_stay(written, found, monkeypatch):
    monkeypatch.setattr(CoMPMConfig, "VERSION", CoMPMConfig.VERSION + 1)
    assert scores.main() == 0
    assert scores.read()["elsewhere"] == found
    here = scores.read()[scores.environment()]
    assert here.versions["classifier compm"] == CoMPMConfig.VERSION
    assert scores.advice(here, scores.measure()) is None
    assert "Write them anew" in scores.advice(found, scores.measure())


def test_a_version_that_is_raised_for_no_reason_is_written_too(found):
    raised = replace(found, versions=found.versions | {"loss cross_entropy": 99})
    assert "of other VERSIONs" in scores.advice(found, raised)
    lowered = replace(found, versions=found.versions | {"training": 0})
    assert "of other VERSIONs" in scores.advice(found, lowered)


def test_the_loss_that_classifiers_are_measured_with_is_the_shipped_one():
    logits, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, -100, 2, 2])
    theirs = scores.Textbook().total(logits, labels)
    assert theirs.item() == pytest.approx(CrossEntropyConfig("cross_entropy").total(logits, labels).item(), rel=1e-6)
