from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from ercsatz.assessment import cache
from ercsatz.config import AssessConfig, MeasureConfig
from ercsatz.quality.embedder import Embedder


@pytest.fixture
def counted(monkeypatch, tmp_path, real, assess):
    """Measure with an embedder that is a folder; ``calls`` says how often that was done."""
    found, calls = assess(real), []
    config = AssessConfig()
    config.seed, config.assess.sample, config.assess.halves, config.assess.fix = 0, 100, 2, False
    config.paths.cache, config.benchmark.labels = str(tmp_path / "cache"), ["joy"]
    for key in ("words", "ngram", "containment", "dialogue"):
        setattr(config.checks.leakage, key, 1)

    def measure(*_):
        calls.append(1)
        return found

    monkeypatch.setattr(cache, "measure", measure)
    monkeypatch.setattr(cache, "pretrained", lambda checkpoint, _: Embedder(checkpoint, False, lambda texts: texts))

    def run(folder):
        config.assess.embedder = str(folder)
        return cache.measured(config, real, real, lambda _: None)

    return SimpleNamespace(run=run, calls=calls, config=config)


def test_an_embedder_is_called_what_this_run_calls_it(counted, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    counted.run(tmp_path / "one")
    assert counted.run(tmp_path / "two").embedder == "two with mean pooling"
    assert len(counted.calls) == 1, "the same weights"


@pytest.mark.parametrize("package", ["scikit-learn", "numpy", "scipy", "torch", "mauve-text"])
def test_another_version_of_a_package_measures_anew(counted, monkeypatch, package):
    counted.run("lexical")
    counted.run("lexical")
    assert len(counted.calls) == 1
    version = cache.version
    monkeypatch.setattr(cache, "version", lambda name: "99" if name == package else version(name))
    counted.run("lexical")
    assert len(counted.calls) == 2


def test_another_version_measures_anew(counted, monkeypatch):
    counted.run("lexical")
    monkeypatch.setattr(cache, "VERSION", 2)
    counted.run("lexical")
    assert len(counted.calls) == 2


@dataclass
class Turns(MeasureConfig):
    most: int = 9

    title = "turns"
    what = "of a dialogue"
    better = "real"

    def value(self, dialogues, reference):
        return min(self.most, sum(len(dialogue.utterances) for dialogue in dialogues) / len(dialogues))


def test_another_own_measure_option_or_version_measures_anew(counted, monkeypatch):
    def times(**measures):
        counted.config.measure = measures
        counted.run("lexical")
        return len(counted.calls)

    assert [times(), times(turns=Turns()), times(turns=Turns()), times(length=Turns())] == [1, 2, 2, 3]
    assert [times(turns=Turns(most=8)), times(turns=Turns(most=8))] == [4, 4]
    monkeypatch.setattr(Turns, "title", "length")
    assert times(turns=Turns()) == 5
    monkeypatch.setattr(Turns, "VERSION", 2)
    assert times(turns=Turns()) == 6
    assert times() == 6, "what has none of them is what it was"


def test_damaged_figures_are_measured_again(counted, tmp_path, damaged):
    first = counted.run("lexical")
    for _ in damaged(tmp_path / "cache" / "assessments"):
        assert counted.run("lexical") == first
    assert len(counted.calls) == 3
