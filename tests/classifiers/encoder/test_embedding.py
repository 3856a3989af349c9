import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from ercsatz.classifiers.encoder.embedding import pretrained
from ercsatz.classifiers.encoder.pretrained import train_tokenizer
from ercsatz.errors import UserError

TEXTS = ["The train is late again.", "Late!", "My sister paints the house, and I do not.", "Late!"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = train_tokenizer(TEXTS, 300)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=40, pad_token_id=tokenizer.pad_token_id, **size
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_vectors_are_means_of_token_states_whatever_else_is_encoded(folder):
    encoder = pretrained(str(folder), "encoder")
    vectors = encoder.encode(TEXTS)
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert vectors.dtype == np.float32
    assert encoder.name == f"{folder.name} with mean pooling"


def test_equal_texts_have_equal_rows_also_far_apart(folder):
    vectors = pretrained(str(folder), "encoder").encode(["Late!", *(f"{n} trains" for n in range(600)), "Late!"])
    np.testing.assert_array_equal(vectors[0], vectors[-1])


def test_no_texts_make_no_rows(folder):
    assert pretrained(str(folder), "encoder").encode([]).shape == (0, 16)


def test_long_texts_are_cut_to_what_the_encoder_takes(folder):
    assert pretrained(str(folder), "encoder").encode(["late " * 200]).shape == (1, 16)


def test_a_missing_checkpoint_is_refused_with_its_key(tmp_path):
    with pytest.raises(UserError, match=r"some\.key=.*nowhere"):
        pretrained(str(tmp_path / "nowhere"), "some.key")


def test_a_real_sentence_encoder_knows_meaning(shared):
    encoder = pretrained(str(shared("models/all-MiniLM-L6-v2-fp16")), "encoder")
    vectors = encoder.encode(["I am so happy!", "This makes me really glad.", "The train leaves at nine."])
    close, far = vectors[1:] @ vectors[0]
    assert close > far + 0.2
