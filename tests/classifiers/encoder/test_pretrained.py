import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    AlbertConfig,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.encoder import packed_layers
from ercsatz.classifiers.encoder.packing import MAX_PADDED_TOKENS, pack
from ercsatz.classifiers.encoder.pretrained import Pretrained, open_backbone, train_tokenizer
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig, registry
from ercsatz.errors import UserError

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "pad_token_id": 1,
}
FAMILIES = [
    RobertaConfig(**SMALL),
    XLMRobertaConfig(**SMALL),
    CamembertConfig(**SMALL),
    MPNetConfig(**SMALL),
    BertConfig(**SMALL),
    ElectraConfig(**SMALL, embedding_size=8),
    AlbertConfig(**SMALL, embedding_size=8),
    DebertaV2Config(**SMALL),
    DistilBertConfig(vocab_size=50, dim=16, hidden_dim=32, n_layers=1, n_heads=2, max_position_embeddings=24),
]


def backbone(folder: Path | str, pooling: Pooling = Pooling.mean) -> BackboneConfig:
    return BackboneConfig("local", str(folder), pooling, 1e-3)


def local(folder: Path | str) -> Pretrained:
    return open_backbone(backbone(folder), [])


def random_sequences(lengths: list[int], vocabulary: int = 50) -> list[np.ndarray]:
    draw = random.Random(0)
    return [np.array([draw.randrange(5, vocabulary) for _ in range(length)]) for length in lengths]


# Vectors


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_a_vector_is_what_transformers_computes_for_the_sequence_alone(config, pooling):
    torch.manual_seed(0)
    pretrained = Pretrained(config, None, None, pooling)
    encoder = pretrained.encoder().eval()
    longest = pretrained.max_length(10_000)
    sequences = random_sequences([3, longest, 1, 7, 2, longest, 12, 3])
    marks = torch.tensor([2, 0, 0, 6, 1, 5, 4, 0])
    with torch.no_grad():
        vectors, marked = encoder(pack(sequences)), encoder(pack(sequences), marks)
        together = encoder(pack(sequences, worth=MAX_PADDED_TOKENS))
        torch.testing.assert_close(vectors, together, atol=1e-5, rtol=0)
        for i, sequence in enumerate(sequences):
            states = encoder.model(input_ids=torch.from_numpy(sequence)[None]).last_hidden_state[0]
            alone = states[0] if pooling == Pooling.first else states.mean(0)
            torch.testing.assert_close(vectors[i], alone, atol=1e-5, rtol=0)
            at = states[marks[i]] if pooling == Pooling.first else states[marks[i] :].mean(0)
            torch.testing.assert_close(marked[i], at, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_gradients_are_those_of_the_sequences_alone(config, pooling):
    torch.manual_seed(0)
    encoder = Pretrained(config, None, None, pooling).encoder().eval()
    sequences = random_sequences([3, 9, 1, 7, 2, 9])
    weights = torch.randn(len(sequences), encoder.width)
    (encoder(pack(sequences, worth=9)) * weights).sum().backward()
    found = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    for sequence, weight in zip(sequences, weights, strict=True):
        states = encoder.model(input_ids=torch.from_numpy(sequence)[None]).last_hidden_state[0]
        ((states[0] if pooling == Pooling.first else states.mean(0)) * weight).sum().backward()
    expected = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    assert found.keys() >= expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4, msg=name)


def test_relative_positions_are_left_to_transformers():
    config = BertConfig(**SMALL)
    config.position_embedding_type = "relative_key"
    assert packed_layers.is_plain(Pretrained(BertConfig(**SMALL), None, None, Pooling.mean).encoder().model)
    assert not packed_layers.is_plain(SimpleNamespace(config=config))


def test_a_decoder_is_left_to_transformers():
    config = BertConfig(**SMALL, is_decoder=True)
    assert not packed_layers.is_plain(SimpleNamespace(config=config))


def test_dropout_is_drawn_in_training_and_not_in_evaluation(tiny):
    pretrained = tiny()
    pretrained.config.hidden_dropout_prob = pretrained.config.attention_probs_dropout_prob = 0.3
    encoder, sequences = pretrained.encoder(), pack(random_sequences([4, 9]))
    encoder.train()
    assert not torch.equal(encoder(sequences), encoder(sequences))
    encoder.eval()
    assert torch.equal(encoder(sequences), encoder(sequences))


def test_first_and_mean_pooling_differ(tiny):
    sequences = pack(random_sequences([4, 9]))
    vectors = []
    for pooling in Pooling:
        torch.manual_seed(0)
        vectors.append(tiny(pooling=pooling).encoder().eval()(sequences))
    assert (vectors[0] - vectors[1]).abs().min() > 0


@pytest.mark.parametrize(
    ("config", "wanted", "longest"),
    [(FAMILIES[0], 512, 22), (FAMILIES[4], 512, 24), (FAMILIES[0], 22, 22), (FAMILIES[0], 9, 9), (FAMILIES[4], 9, 9)],
)
def test_the_longest_input_is_what_has_positions(config, wanted, longest):
    assert Pretrained(config, None, None, Pooling.mean).max_length(wanted) == longest


# The tiny tokenizer

TEXTS = ["Where is my tea?", "I don't know; ask <s2>!", "naïve café 👍", "tea tea TEA"] * 3
TOKENIZER = train_tokenizer(TEXTS, 320)


@given(st.text())
def test_the_tiny_tokenizer_keeps_any_text(text):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == text


def test_the_tiny_tokenizer_knows_its_training_text_better_than_bytes():
    text = TEXTS[0]
    assert len(TOKENIZER(text, add_special_tokens=False)["input_ids"]) < len(text)
    assert len(TOKENIZER) <= 320


def test_the_tiny_tokenizer_is_the_same_in_another_process():
    code = (
        "import hashlib, json, sys; from ercsatz.classifiers.encoder.pretrained import train_tokenizer\n"
        "t = train_tokenizer(json.loads(sys.argv[1]), 320)\n"
        "print(hashlib.sha256(t.backend_tokenizer.to_str().encode()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, json.dumps(TEXTS)], capture_output=True, text=True, check=True, timeout=120
    )
    assert other.stdout.strip() == hashlib.sha256(TOKENIZER.backend_tokenizer.to_str().encode()).hexdigest()


def test_two_encoders_of_one_backbone_share_no_parameters(tiny):
    pretrained = tiny()
    one, two = pretrained.encoder(), pretrained.encoder()
    assert not {id(p) for p in one.parameters()} & {id(p) for p in two.parameters()}


# Checkpoint folders


def test_a_local_checkpoint_opens_with_its_weights(bert_folder):
    folder = bert_folder()
    pretrained = local(folder)
    saved = load_file(folder / "model.safetensors")
    encoder = pretrained.encoder()
    state = encoder.model.state_dict()
    assert {name for name in saved if not name.startswith("pooler")} == state.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in state.items())
    assert (pretrained.max_length(512), encoder.width) == (40, 16)


def test_a_half_precision_checkpoint_is_trained_and_saved_in_float32(bert_folder, tmp_path):
    pretrained = local(bert_folder(lambda model: model.half()))
    classifier = checkpoint.build(CoMPMConfig("compm", 32, memory_layers=1, memory_dropout=0.0), pretrained, ["a", "b"])
    checkpoint.save(classifier, tmp_path / "saved")
    for module in (classifier.module, checkpoint.load(tmp_path / "saved").module):
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_a_published_half_precision_checkpoint_opens_as_float32(shared):
    pretrained = local(shared("models/all-MiniLM-L6-v2-fp16"))
    encoder = pretrained.encoder().eval()
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    texts = ["I am so happy today!", "What a happy day this is.", "The train leaves at nine."]
    with torch.no_grad():
        vectors = encoder(pack([np.array(ids) for ids in pretrained.tokenizer(texts)["input_ids"]]))
    near, far = torch.cosine_similarity(vectors[0], vectors[1:])
    assert near > 0.5 > 0.2 > far


def without(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).unlink()
    return folder


BAD_FOLDERS = {
    "absent": lambda folder: folder / "absent",
    "empty": lambda folder: without(folder, *(file.name for file in folder.iterdir())),
    "without config.json": lambda folder: without(folder, "config.json"),
    "without a tokenizer": lambda folder: without(folder, "tokenizer.json"),
    "without weights": lambda folder: without(folder, "model.safetensors"),
}


@pytest.mark.parametrize("what", BAD_FOLDERS)
def test_a_folder_that_is_no_checkpoint_is_refused(bert_folder, what):
    folder = BAD_FOLDERS[what](bert_folder())
    with pytest.raises(UserError) as error:
        local(folder).encoder()
    assert str(folder) in str(error.value)
    assert "safetensors" in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"{", b"\x00" * 40], ids=["cut off", "zeros"])
def test_a_broken_file_of_a_checkpoint_is_refused(bert_folder, name, content):
    folder = bert_folder()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=str(folder)):
        local(folder).encoder()


def test_weights_of_another_model_are_refused(bert_folder):
    folder = bert_folder()
    weights = load_file(folder / "model.safetensors")
    save_file(
        {f"other.{name}": tensor for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(UserError, match=r"weights lack embeddings"):
        local(folder).encoder()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers_are_refused(bert_folder, value):
    folder = bert_folder()
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.weight"][3, 5] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"Backbone {folder}: the weight \S+output.dense.weight is not finite"):
        local(folder).encoder()


def test_a_folder_with_pickled_weights_only_is_refused(bert_folder):
    folder = bert_folder(safe=False)
    assert (folder / "pytorch_model.bin").is_file()
    with pytest.raises(UserError, match="Pickled weights are never loaded"):
        local(folder).encoder()


def test_a_tokenizer_that_is_not_fast_is_refused(bert_folder, monkeypatch):
    folder = bert_folder()
    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.is_fast", False)
    with pytest.raises(UserError, match="no fast tokenizer"):
        local(folder)


def test_code_of_a_folder_is_never_run(bert_folder, monkeypatch, tmp_path):
    folder = bert_folder()
    evil = {"model_type": "x", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps(evil))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UserError, match=str(folder)):
        local(folder)
    assert not (tmp_path / "ran").exists()


def test_a_decoder_without_a_classification_token_is_refused(bert_folder):
    folder = bert_folder()
    tokenizer = train_tokenizer(TEXTS, 300)
    tokenizer.cls_token = None
    shutil.rmtree(folder)
    tokenizer.save_pretrained(folder)
    BertConfig(**SMALL).save_pretrained(folder)
    with pytest.raises(UserError, match="no class or padding token"):
        local(folder)


@dataclass
class OwnBackboneConfig(BackboneConfig):
    """A backbone of one's own, which opens itself."""

    words: int = 300

    def open(self, texts: Sequence[str]) -> Pretrained:
        return open_backbone(BackboneConfig("", None, Pooling.mean, 1e-3, TinySizeConfig(24, 1, 2, self.words)), texts)


def test_a_backbone_of_ones_own_opens_itself():
    options = {"_target_": f"{__name__}.OwnBackboneConfig", "name": "own", "lr": 1e-3, "words": 280}
    own = registry.part(options, BackboneConfig, "backbone", BackboneConfig)
    opened = open_backbone(own, ["the train left", "on monday"])
    assert (opened.encoder().width, len(opened.tokenizer) <= 280, opened.pooling) == (24, True, Pooling.mean)
