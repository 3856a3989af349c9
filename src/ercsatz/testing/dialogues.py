"""Small random dialogues and encoders to test with."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ercsatz.classifiers.encoder.pretrained import Pretrained, open_backbone
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig
from ercsatz.data.dialogue import Dialogue, Knowledge, Utterance

WORDS = ["tea", "no", "really", "oh", "the", "train", "left", "again", "you", "did", "what", "fine", "my", "sister"]


def make_dialogues(n: int, labels: Sequence[str], seed: int = 0, turns: tuple[int, int] = (1, 9)) -> list[Dialogue]:
    """Random dialogues of one to four speakers; about a fifth of the turns, never all, are context only.

    Args:
        n: how many.
        labels: to draw from.
        seed: decides everything.
        turns: how many a dialogue has, from and to.
    """
    draw = random.Random(seed)
    result = []
    for number in range(n):
        cast = ["Ann", "Bo", "Cy", "Di"][: draw.randint(1, 4)]
        spoken = [
            Utterance(
                draw.choice(cast),
                " ".join(draw.choices(WORDS, k=draw.randint(1, 7))) + draw.choice(".?!"),
                draw.choice(labels) if i == 0 or draw.random() < 0.8 else None,
            )
            for i in range(draw.randint(*turns))
        ]
        result.append(Dialogue(f"d{number}", tuple(spoken)))
    return result


def knowing(dialogues: Sequence[Dialogue], seed: int = 0) -> list[Dialogue]:
    """The same dialogues with commonsense statements about two of three turns."""
    draw = random.Random(seed)
    texts = ["ann did again", "bo feels fine", "my sister left", "you want tea"]

    def know(turn: Utterance) -> Utterance:
        retrieved, generated = (tuple(draw.sample(texts, draw.randint(0, 3))) for _ in range(2))
        return turn if draw.random() < 1 / 3 else replace(turn, knowledge=Knowledge(retrieved, generated))

    return [replace(d, utterances=tuple(map(know, d.utterances))) for d in dialogues]


def tiny(texts: Iterable[str] = (), pooling: Pooling = Pooling.mean, hidden: int = 16) -> Pretrained:
    """A tiny RoBERTa of random weights that is quick and has no dropout.

    Args:
        texts: what its tokenizer is trained on, beside the words of ``make_dialogues``.
        pooling: how token states become one vector.
        hidden: length of that vector.
    """
    return quick(BackboneConfig("tiny", None, pooling, 1e-3, TinySizeConfig(hidden, 1, 2, 400)), texts)


def quick(backbone: BackboneConfig, texts: Iterable[str] = ()) -> Pretrained:
    """An encoder without dropout; ``texts`` as in ``tiny``."""
    pretrained = open_backbone(backbone, [*texts, *WORDS, "<s1> <s2> <s3>"])
    pretrained.config.hidden_dropout_prob = 0.0
    return pretrained
