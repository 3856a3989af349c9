from dataclasses import replace

import numpy as np
import pytest
import torch

from ercsatz.classifiers import checkpoint, feature_cache
from ercsatz.classifiers.compm.config import CoMPMConfig, Memory
from ercsatz.classifiers.encoder.packing import pack
from ercsatz.classifiers.feature_cache import with_vectors
from ercsatz.errors import UserError

CPU = torch.device("cpu")
LABELS = ("neutral", "joy")
FROZEN = CoMPMConfig("compm", 48, memory=Memory.frozen, memory_layers=1, memory_dropout=0.0)


@pytest.fixture
def frozen(tiny):
    torch.manual_seed(0)
    return checkpoint.build(FROZEN, tiny(), LABELS).module


@pytest.fixture
def tokenised(frozen, make_dialogues):
    return frozen.tokeniser.tokenise(make_dialogues(5, LABELS, seed=1), LABELS, None)


def test_vectors_are_the_encoders_in_the_order_of_the_sequences(frozen, tokenised, monkeypatch):
    monkeypatch.setattr(feature_cache, "BATCH_TOKENS", 20)
    for dialogue in with_vectors(frozen, tokenised, CPU, None):
        with torch.no_grad():
            expected = frozen.memory(pack(frozen.frozen_sequences(dialogue)))
        assert len(dialogue.vectors) == len(dialogue.turns)
        np.testing.assert_allclose(dialogue.vectors, expected.numpy(), atol=1e-5)


def test_a_sequence_that_occurs_twice_is_encoded_once(frozen, tokenised, monkeypatch):
    read = []
    original = feature_cache.pack
    monkeypatch.setattr(
        feature_cache, "pack", lambda chunk, worth: (read.extend(map(bytes, chunk)), original(chunk, worth))[1]
    )
    with_vectors(frozen, [*tokenised, *tokenised], CPU, None)
    assert len(read) == len(set(read))


def test_kept_vectors_are_mapped_and_not_computed_again(frozen, tokenised, tmp_path, monkeypatch):
    first = with_vectors(frozen, tokenised, CPU, tmp_path)
    monkeypatch.setattr(feature_cache, "_encode", lambda *_: pytest.fail("computed again"))
    again = with_vectors(frozen, tokenised, CPU, tmp_path)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.vectors, other.vectors)
        assert isinstance(other.vectors, np.memmap)


def test_damaged_vectors_are_computed_again(frozen, tokenised, tmp_path, damaged):
    fresh = with_vectors(frozen, tokenised, CPU, None)
    with_vectors(frozen, tokenised, CPU, tmp_path)
    for _ in damaged(tmp_path / "vectors"):
        for one, other in zip(fresh, with_vectors(frozen, tokenised, CPU, tmp_path), strict=True):
            np.testing.assert_array_equal(one.vectors, other.vectors)


def test_another_version_has_another_place(frozen, tokenised, tmp_path, monkeypatch):
    with_vectors(frozen, tokenised, CPU, tmp_path)
    monkeypatch.setattr(feature_cache, "VERSION", 2)
    with_vectors(frozen, tokenised, CPU, tmp_path)
    assert len(list((tmp_path / "vectors").iterdir())) == 2


def test_other_weights_or_texts_have_another_file(frozen, tokenised, tmp_path):
    with_vectors(frozen, tokenised, CPU, tmp_path)
    with_vectors(frozen, tokenised[:2], CPU, tmp_path)
    next(frozen.memory.parameters()).data += 0.1
    with_vectors(frozen, tokenised, CPU, tmp_path)
    assert len(list((tmp_path / "vectors").iterdir())) == 3


def test_a_trained_memory_has_no_vectors(tiny, tokenised, tmp_path):
    trained = checkpoint.build(replace(FROZEN, memory=Memory.trained), tiny(), LABELS).module
    assert all(dialogue.vectors is None for dialogue in with_vectors(trained, tokenised, CPU, tmp_path))
    assert not list(tmp_path.iterdir())


def test_vectors_that_are_no_numbers_are_not_kept(frozen, tokenised, tmp_path):
    with torch.no_grad():
        next(frozen.memory.parameters()).fill_(torch.nan)
    for cache in (None, tmp_path):
        with pytest.raises(UserError, match="The frozen encoder's vectors: not all numbers are finite"):
            with_vectors(frozen, tokenised, CPU, cache)
    assert not list(tmp_path.rglob("manifest.json"))


def test_vectors_that_are_no_numbers_are_refused_where_an_earlier_version_kept_them(
    frozen, tokenised, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "_check", lambda *_: None)
        patch.setattr(feature_cache, "_encode", lambda encoder, rows, _: np.full((len(rows), 2), np.nan, np.float32))
        with_vectors(frozen, tokenised, CPU, tmp_path)
    with pytest.raises(UserError, match=r"vectors\.npy: not all numbers are finite .* Remove the folder"):
        with_vectors(frozen, tokenised, CPU, tmp_path)
