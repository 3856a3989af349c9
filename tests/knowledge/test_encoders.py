from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from ercsatz.classifiers.encoder.embedding import TextEncoder
from ercsatz.classifiers.encoder.pretrained import train_tokenizer
from ercsatz.errors import UserError
from ercsatz.knowledge import encoders
from ercsatz.knowledge.encoders import event_vectors, lexical, pretrained

EVENTS = ["PersonX paints the house", "PersonX is late", "PersonX wins"]


def save_encoder(folder: Path, seed: int) -> str:
    """A tiny sentence encoder."""
    tokenizer = train_tokenizer(EVENTS, 300)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=40, pad_token_id=tokenizer.pad_token_id, **size
    )
    torch.manual_seed(seed)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_missing_checkpoint_is_refused_with_its_key(tmp_path):
    with pytest.raises(UserError, match=r"retrieve\.encoder=.*nowhere"):
        pretrained(str(tmp_path / "nowhere"))


def test_lexical_vectors_depend_on_events_and_not_on_other_utterances():
    encoder = lexical(["PersonX paints the house", "PersonX is late"])
    alone = encoder.encode(["My house is late"]).toarray()
    among = encoder.encode(["late late late", "My house is late"]).toarray()[1:]
    np.testing.assert_array_equal(alone, among)
    assert np.linalg.norm(alone) == pytest.approx(1)
    assert "lexical" in encoder.name


def test_events_without_words_are_refused():
    with pytest.raises(UserError, match="Events without words"):
        lexical(["PersonX ___", "PersonY"])


def test_vectors_of_events_are_computed_once_whatever_happens_to_the_file(tmp_path, damaged):
    checkpoint = save_encoder(tmp_path / "encoder", 0)
    encoder = pretrained(checkpoint)
    fresh, cache = encoder.encode(EVENTS), tmp_path / "cache"
    np.testing.assert_array_equal(event_vectors(EVENTS, encoder, checkpoint, cache), fresh)
    idle = TextEncoder("idle", lambda _: pytest.fail("computed again"))
    again = event_vectors(EVENTS, idle, checkpoint, cache)
    np.testing.assert_array_equal(again, fresh)
    assert isinstance(again, np.memmap)
    for _ in damaged(cache / "knowledge"):
        np.testing.assert_array_equal(event_vectors(EVENTS, encoder, checkpoint, cache), fresh)


def test_other_events_weights_or_versions_have_another_place(tmp_path, monkeypatch):
    one, other = (save_encoder(tmp_path / str(seed), seed) for seed in (0, 1))
    event_vectors(EVENTS, pretrained(one), one, tmp_path)
    event_vectors(EVENTS[:2], pretrained(one), one, tmp_path)
    event_vectors(EVENTS, pretrained(other), other, tmp_path)
    monkeypatch.setattr(encoders, "VERSION", 2)
    event_vectors(EVENTS, pretrained(one), one, tmp_path)
    assert len(list((tmp_path / "knowledge").iterdir())) == 4
