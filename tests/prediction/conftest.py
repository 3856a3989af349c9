import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig
from tests.classifiers.variants import VARIANTS

WORDS = ["tea", "no", "really", "oh", "the", "train", "left", "again", "you", "did", "what", "fine", "my", "sister"]


@pytest.fixture(scope="session")
def labels() -> tuple[str, ...]:
    """Of the saved classifiers, in no sorted order."""
    return ("joy", "neutral", "anger", "fear")


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, labels: tuple[str, ...]) -> Callable[[str], Path]:
    """The folder of a saved classifier with random weights, by its kind."""
    torch.set_num_threads(1)
    made: dict[str, Path] = {}

    def save(kind: str) -> Path:
        if kind not in made:
            torch.manual_seed(3)
            tiny = open_backbone(BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 1, 2, 400)), WORDS)
            classifier = checkpoint.build(VARIANTS[kind].config, tiny, labels)
            for parameter in classifier.module.parameters():
                parameter.data.mul_(3.0)  # so that predictions differ clearly
            made[kind] = tmp_path_factory.mktemp("saved") / kind
            checkpoint.save(classifier, made[kind])
        return made[kind]

    return save


@pytest.fixture(scope="session")
def talk() -> Callable[..., list[list[tuple[str, str]]]]:
    """Random dialogues of three speakers."""

    def make(dialogues: int, turns: int, seed: int = 0) -> list[list[tuple[str, str]]]:
        draw = random.Random(seed)
        return [
            [(f"S{draw.randrange(3)}", " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))) for _ in range(turns)]
            for _ in range(dialogues)
        ]

    return make
