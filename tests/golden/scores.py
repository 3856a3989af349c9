"""Golden scores: what each classifier and each loss gives in a few fixed steps, and what to do where one has moved.

As a script it writes the scores of the code as it is: python tests/golden/scores.py.
"""

import json
import platform
import random
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ercsatz import config
from ercsatz.classifiers.segments import DrawingSampler
from ercsatz.config import LossConfig, SamplerConfig, TrainConfig, registry
from ercsatz.data.dialogue import SPLITS, Corpus, Dialogue, Knowledge, Utterance
from ercsatz.resources import resource
from ercsatz.training import graph
from ercsatz.training.corpora import JobData
from ercsatz.training.run import StageRunner

SCORES = Path(__file__).with_name("scores.json")
COMMAND = "python tests/golden/scores.py"
RELATIVE, ABSOLUTE = 1e-4, 2e-6  # probabilities are kept with six digits
LABELS = ["neutral", "joy", "anger"]
OPTIONS = [
    "backbone.size={hidden: 16, layers: 1, heads: 2, vocabulary: 300}",
    "classifier.max_tokens=64",
    "data=mini_org",
    "phase=original",
    "training.epochs=2",
    "training.lr=3e-3",
    "training.batch_tokens=150",
    "trainer.accelerator=cpu",
    "wandb.mode=disabled",
    "sweep=golden",
    f"benchmark.labels={LABELS}",
]
LABEL_COUNTS = (40, 9, 3)  # of the training targets, for losses that read them
# Of losses, beside their YAML's own values.
LOSS_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {"cross_entropy": ({}, {"label_smoothing": 0.1})}


@dataclass
class Textbook(LossConfig):
    """Cross-entropy as it is written: the classifiers' scores do not move with the code of a shipped loss."""

    name: str = "textbook"

    def total(self, logits: Any, labels: Any) -> Any:
        """See ``LossConfig.total``."""
        there = labels >= 0
        return -logits[there].log_softmax(1).gather(1, labels[there].unsqueeze(1)).sum()


@dataclass(frozen=True)
class Golden:
    """Scores of the parts, and the VERSIONs of the code that gave them.

    Attributes:
        versions: of ``training``, ``classifier NAME``, ``loss NAME`` and ``sampler NAME``.
        scores: of each classifier, loss and sampler, by those names.
    """

    versions: Mapping[str, int]
    scores: Mapping[str, Any]


def parts(group: str) -> list[str]:
    """The shipped parts of a config group."""
    return sorted(registry.choices(group, [resource("conf")]))


def environment() -> str:
    """What else the scores depend on."""
    major = version("transformers").split(".")[0]
    return f"transformers {major}, torch {'.'.join(version('torch').split('.')[:2])}, {platform.machine()}"


def read() -> dict[str, Golden]:
    """The kept scores by environment."""
    kept = json.loads(SCORES.read_text(encoding="utf-8")) if SCORES.exists() else {}
    return {name: Golden(**golden) for name, golden in kept.items()}


def write(kept: Mapping[str, Golden]) -> None:
    """Keep scores."""
    text = json.dumps({name: asdict(golden) for name, golden in sorted(kept.items())}, indent=1)
    SCORES.write_text(text + "\n", encoding="utf-8")


def measure() -> Golden:
    """The scores of the code as it is."""
    scores = {f"classifier {name}": classifier_scores(name) for name in parts("classifier")}
    scores |= {f"loss {name}": loss_scores(name) for name in parts("loss")}
    return Golden(versions(), scores | {f"sampler {name}": sampler_scores(name) for name in parts("sampler")})


def versions() -> dict[str, int]:
    """The VERSIONs that the code declares."""
    named = [(group, name) for group in ("classifier", "loss", "sampler") for name in parts(group)]
    return {
        "training": graph.VERSION,
        **{" ".join(part): registry.options_class(*part[::-1]).VERSION for part in named},
    }


def dialogues(split: str, n: int) -> tuple[Dialogue, ...]:
    """Made dialogues of two speakers, with knowledge about some turns, and some turns that are context only."""
    draw = random.Random(split)
    words = ["tea", "no", "really", "oh", "the", "train", "left", "again", "you", "did", "what", "fine"]

    def turn(place: int) -> Utterance:
        text = " ".join(draw.choices(words, k=draw.randint(1, 6)))
        known = Knowledge(("to catch a train",), ("PersonX feels fine.",)) if draw.random() < 0.3 else None
        emotion = draw.choice(LABELS) if place == 0 or draw.random() < 0.9 else None
        return Utterance(draw.choice(["Ann", "Bo"]), f"{text}.", emotion, knowledge=known)

    return tuple(Dialogue(f"{split}{i}", tuple(map(turn, range(draw.randint(2, 5))))) for i in range(n))


def settings(classifier: str, cache: Path) -> TrainConfig:
    """Of a job that trains a shipped classifier in a few steps."""
    GlobalHydra.instance().clear()
    config.register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        line = [*OPTIONS, f"classifier={classifier}", f"paths.cache={cache}"]
        cfg = OmegaConf.to_object(compose("train", line))
    assert isinstance(cfg, TrainConfig)
    return replace(cfg, loss=Textbook(), benchmark=replace(cfg.benchmark, published={}, sentiments={}))


def classifier_scores(name: str) -> dict[str, Any]:
    """The training loss of every epoch of every stage, and the probabilities of the turns of some dialogues.

    Of a classifier with all that is trained before it, on one thread of the CPU in float32.
    """
    torch.set_num_threads(1)
    real = Corpus("golden", tuple(LABELS), {split: dialogues(split, 6) for split in SPLITS})
    data = JobData(real, None, {"org": real.split("test")}, {"org": "golden"})
    with tempfile.TemporaryDirectory() as folder:
        cfg = settings(name, Path(folder) / "cache")
        stages = graph.plan(cfg, data)
        runner = StageRunner(cfg, data, Path(folder) / "job")
        runner.run(stages)
        curves = {stage.name: runner.done[stage.key][1]["curve"] for stage in graph.walk(stages)}
        (predicted,) = (Path(folder) / "job" / "predictions").glob("*.jsonl")
        rows = [json.loads(line) for line in predicted.read_text(encoding="utf-8").splitlines()]
    losses = {stage: [point["loss"] for point in curve] for stage, curve in curves.items()}
    return {"losses": losses, "probabilities": [row["probabilities"] for row in rows]}


def loss_scores(name: str) -> dict[str, Any]:
    """The loss of fixed logits and its gradient, for each of a loss's options."""
    draw = random.Random(0)
    values = [[draw.gauss(0, 2) for _ in LABELS] for _ in range(4)]
    labels = torch.tensor([0, 2, -100, 1])
    scores = {}
    for options in LOSS_OPTIONS.get(name, ({},)):
        node = {**registry.read(registry.choices("loss")[name]), **options}
        logits = torch.tensor(values, requires_grad=True)
        total = registry.part(node, LossConfig, "loss").prepared(LABEL_COUNTS)(logits, labels)
        total.backward()
        assert logits.grad is not None
        scores[json.dumps(options)] = {"total": total.item(), "gradient": logits.grad.tolist()}
    return scores


def sampler_scores(name: str) -> dict[str, Any]:
    """The weights of some segments, and what an epoch draws by them."""
    segments = [[0, 0, 1], [2], [0], [1, 0], [0, 0, 0, 2]]
    sampler = registry.part(registry.read(registry.choices("sampler")[name]), SamplerConfig, "sampler")
    weights = [float(weight) for weight in sampler.weights(segments)]
    return {"weights": weights, "drawn": list(DrawingSampler([30, 10, 10, 20, 40], 50, 3, weights))}


def moved(kept: Golden, found: Golden) -> list[str]:
    """The parts whose scores are not those that were kept."""
    return [name for name in found.scores if name in kept.scores and not _close(kept.scores[name], found.scores[name])]


def _close(kept: Any, found: Any) -> bool:
    if isinstance(kept, dict) and isinstance(found, dict):
        return kept.keys() == found.keys() and all(_close(kept[key], found[key]) for key in kept)
    if isinstance(kept, list) and isinstance(found, list):
        return len(kept) == len(found) and all(map(_close, kept, found))
    return bool(abs(kept - found) <= ABSOLUTE + RELATIVE * abs(kept))


def unexplained(kept: Golden, found: Golden) -> list[str]:
    """What to raise the VERSION of: the scores moved, and no VERSION was raised that says so."""
    raised = {name for name, number in found.versions.items() if number > kept.versions.get(name, 0)}
    every = {name for name in found.scores if name.startswith("classifier ")}
    gone = moved(kept, found)
    silent = [name for name in gone if name not in raised and not (name in every and "training" in raised)]
    if every <= set(gone) and every & set(silent):
        return ["training", *(name for name in silent if name not in every)]
    return silent


def advice(kept: Golden, found: Golden) -> str | None:
    """What is wrong and what mends it; None where nothing moved and the VERSIONs are those of the kept scores."""
    wanted = unexplained(kept, found)
    if wanted:
        names = ", ".join(moved(kept, found))
        return (
            f"The golden scores moved of: {names}. Results in caches are of the code before. Where that is not meant, "
            f"mend it; where it is, raise VERSION in {' and in '.join(map(_file, wanted))}, and write the scores "
            f"anew: {COMMAND}"
        )
    if kept.versions != dict(found.versions) or kept.scores.keys() != found.scores.keys() or moved(kept, found):
        return f"The golden scores are of other VERSIONs than the code, or of other parts. Write them anew: {COMMAND}"
    return None


def _file(name: str) -> str:
    """The file that declares a VERSION."""
    group, _, part = name.partition(" ")
    module = registry.options_class(part, group).__module__ if part else graph.__name__
    return f"src/{module.replace('.', '/')}.py"


def main() -> int:
    """Write the scores, unless some moved whose VERSION was not raised; the exit status."""
    kept, here, found = read(), environment(), measure()
    if here in kept and unexplained(kept[here], found):
        print(advice(kept[here], found), file=sys.stderr)
        return 1
    write({**kept, here: found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
