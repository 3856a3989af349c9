import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.encoder.pretrained import Pretrained, open_backbone, train_tokenizer
from ercsatz.classifiers.feature_cache import with_vectors
from ercsatz.classifiers.segments import Segment
from ercsatz.config import BackboneConfig, Pooling, TinySize
from ercsatz.data.dialogue import Dialogue, Utterance

WORDS = ["tea", "no", "really", "oh", "the", "train", "left", "again", "you", "did", "what", "fine", "my", "sister"]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Threads only get into each other's way with tensors this small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_dialogues() -> Callable[..., list[Dialogue]]:
    """Random dialogues of one to four speakers; about a fifth of the turns, never all, are context only."""

    def make(n: int, labels: Sequence[str], seed: int = 0, turns: tuple[int, int] = (1, 9)) -> list[Dialogue]:
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

    return make


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Pretrained]:
    """A tiny RoBERTa that is quick and has no dropout."""

    def make(texts: Iterable[str] = (), pooling: Pooling = Pooling.mean, hidden: int = 16) -> Pretrained:
        texts = [*texts, *WORDS, "<s1> <s2> <s3>"]
        pretrained = open_backbone(BackboneConfig("tiny", None, pooling, 1e-3, TinySize(hidden, 1, 2, 400)), texts)
        pretrained.config.hidden_dropout_prob = 0.0
        return pretrained

    return make


@pytest.fixture
def bert_folder(tmp_path: Path) -> Callable[..., Path]:
    """Save a small BERT with random weights, as users have checkpoints; ``change`` is done to the model before."""

    def make(change: Callable[[Any], Any] = lambda model: model, safe: bool = True) -> Path:
        folder = tmp_path / "bert"
        tokenizer = train_tokenizer(WORDS, 300)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=40,
            pad_token_id=tokenizer.pad_token_id,
        )
        torch.manual_seed(0)
        model = change(BertModel(config))
        tokenizer.save_pretrained(folder)
        config.save_pretrained(folder)
        if safe:
            model.save_pretrained(folder)
        else:
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
        return folder

    return make


@pytest.fixture(scope="session")
def cut() -> Callable[..., list[Segment]]:
    """Dialogues as segments for a classifier: a dialogue is one segment unless a budget is given."""

    def make(
        classifier: ErcClassifier, dialogues: Sequence[Dialogue], budget: int = 10**9, every_turn: bool = False
    ) -> list[Segment]:
        module = classifier.module
        tokenised = module.tokeniser.tokenise(dialogues, classifier.labels, None, every_turn)
        return module.segments(with_vectors(module, tokenised, torch.device("cpu"), None), budget)

    return make


@pytest.fixture(scope="session")
def logits() -> Callable[..., dict[tuple[int, int], Tensor]]:
    """Logits in evaluation mode of batches of segments, by dialogue and turn."""

    def compute(classifier: ErcClassifier, batches: Iterable[Sequence[Segment]]) -> dict[tuple[int, int], Tensor]:
        classifier.module.eval()
        result = {}
        with torch.no_grad():
            for batch in map(classifier.module.collate, batches):
                result |= dict(zip(batch.places, classifier.module(batch), strict=True))
        return result

    return compute
