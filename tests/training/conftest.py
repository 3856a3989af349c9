import random
from collections.abc import Callable

import pytest
import torch

from ercsatz.data.dialogue import Dialogue, Utterance

LABELS = ("neutral", "joy", "anger")
WORDS = {"neutral": ["the train", "on monday"], "joy": ["how lovely", "great news"], "anger": ["stop that", "get out"]}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Threads only get into each other's way with tensors this small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_dialogues() -> Callable[..., tuple[Dialogue, ...]]:
    """Dialogues of two speakers whose words tell the emotion, most of the time."""

    def make(n: int, seed: int = 0) -> tuple[Dialogue, ...]:
        draw = random.Random(seed)

        def turn(speaker: str) -> Utterance:
            emotion = draw.choice(LABELS)
            words = [draw.choice(WORDS[draw.choice([emotion, emotion, "neutral"])]) for _ in range(draw.randint(1, 3))]
            return Utterance(speaker, f"{' '.join(words)}.", emotion)

        return tuple(
            Dialogue(f"{seed}-{i}", tuple(turn(draw.choice(["Ann", "Bo"])) for _ in range(draw.randint(2, 5))))
            for i in range(n)
        )

    return make
