from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from ercsatz.classifiers.encoder.pretrained import Pretrained, train_tokenizer
from ercsatz.classifiers.segments import Segment
from ercsatz.data.dialogue import Dialogue
from ercsatz.testing import classifiers, dialogues
from ercsatz.testing.dialogues import WORDS


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Threads only get into each other's way with tensors this small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_dialogues() -> Callable[..., list[Dialogue]]:
    """Random dialogues."""
    return dialogues.make_dialogues


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Pretrained]:
    """A tiny RoBERTa that is quick and has no dropout."""
    return dialogues.tiny


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
    """Dialogues as segments for a classifier."""
    return classifiers.cut


@pytest.fixture(scope="session")
def logits() -> Callable[..., dict[tuple[int, int], Tensor]]:
    """Logits in evaluation mode of batches of segments, by dialogue and turn."""
    return classifiers.logits
