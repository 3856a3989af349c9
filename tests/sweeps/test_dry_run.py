"""The tree of stages that ``dry_run=true`` shows."""

from collections.abc import Callable

import pytest

from ercsatz.artifacts.cache import locked
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.data.dialogue import SPLITS, Corpus, Dialogue, Utterance
from ercsatz.sweeps import dry_run
from ercsatz.training.graph import Stage
from ercsatz.training.stage_cache import StageCache

SETTINGS = {"seed": 0, "optimisation": {"schedule": "linear"}}
CLASSIFIER = CoMPMConfig("compm", 48)


def corpus(name: str, n: int) -> Corpus:
    dialogues = tuple(Dialogue(f"{name}{i}", (Utterance("Ann", "Hi.", "joy"),)) for i in range(n))
    return Corpus(name, ("joy",), dict.fromkeys(SPLITS, dialogues))


def job(variant: str) -> list[Stage]:
    """The stages of a job: the real ones are those of every variant."""
    real, synthetic = corpus("mini_org", 1200), corpus(f"mini_{variant}", 3)
    teacher = Stage("teacher", "org", real, CLASSIFIER, {**SETTINGS, "role": "teacher"})
    original = Stage("original", "org", real, CLASSIFIER, SETTINGS, before=teacher, scored=True)
    pretrain = Stage("pretrain", variant, synthetic, CLASSIFIER, SETTINGS)
    return [original, pretrain, Stage("finetune", variant, real, CLASSIFIER, SETTINGS, start=pretrain, scored=True)]


@pytest.fixture
def show(tmp_path, monkeypatch, capsys) -> Callable[..., str]:
    """What is shown of a job, in a process that has shown nothing yet."""
    monkeypatch.setattr(dry_run, "_shown", set())

    def run(stages: list[Stage], title: str = "") -> str:
        dry_run.show(stages, tmp_path, title)
        return capsys.readouterr().out

    return run


def test_a_stage_hangs_below_what_it_starts_from_or_needs_before(show):
    original, pretrain, finetune = stages = job("nat")
    assert show(stages) == (
        "the job\n"
        f"├── teacher ({original.before.key}): missing; 1,200 dialogues of mini_org; not scored\n"
        f"│   └── original ({original.key}): missing; 1,200 dialogues of mini_org\n"
        f"└── pretrain ({pretrain.key}): missing; 3 dialogues of mini_nat; not scored\n"
        f"    └── finetune ({finetune.key}): missing; 1,200 dialogues of mini_org\n"
    )


def test_what_is_cached_or_running_elsewhere_is_told(show, tmp_path):
    original, pretrain, _ = stages = job("nat")
    cache = StageCache(tmp_path)
    cache.resolve(original, lambda folder: {"validation_w_f1": 0.5})
    held = tmp_path / "stages" / pretrain.key
    held.with_name(f"{held.name}.partial").mkdir()
    with locked(held):
        shown = show(stages)
    assert f"original ({original.key}): cached;" in shown
    assert f"pretrain ({pretrain.key}): running elsewhere;" in shown
    assert f"pretrain ({pretrain.key}): missing;" in show(job("nat")).replace("an earlier job makes it", "missing")
    assert [entry.name for entry in (tmp_path / "stages").glob("*.lock")] == []


def test_the_jobs_of_a_sweep_share_what_an_earlier_one_makes(show):
    first, second = show(job("nat"), "data=mini_nat"), show(job("bal"), "data=mini_bal")
    assert (first.splitlines()[0], second.splitlines()[0]) == ("data=mini_nat", "data=mini_bal")
    assert "an earlier job" not in first
    told = {line.split(" (")[0].strip("│├└─ "): line for line in second.splitlines()[1:]}
    assert told.keys() == {"teacher", "original", "pretrain", "finetune"}
    assert {name for name, line in told.items() if "an earlier job makes it" in line} == {"teacher", "original"}


def test_a_title_with_control_characters_is_shown_plainly(show):
    assert "\x1b" not in show(job("nat"), "data=\x1b[31mred")
