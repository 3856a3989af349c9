import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, kl_divergence
from transformers import AlbertConfig, BertConfig, DebertaV2Config, DistilBertConfig, RobertaConfig

from ercsatz.classifiers.encoder.packing import pack
from ercsatz.classifiers.encoder.pretrained import Pretrained
from ercsatz.classifiers.encoder.tokenization import Pieces
from ercsatz.classifiers.segments import Segment
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.classifiers.todkat.topic import MASKED, Posterior, TopicEncoder, TopicModel, divergence, pack_with_topic
from ercsatz.config import Pooling
from ercsatz.errors import UserError

CONFIG = TODKATConfig("todkat", 48, True, 6, 1.0, KnowledgeSources.both, None, 1, 2, 32, 0.0, True)
LABELS = ("neutral", "joy", "anger")
SHAPE = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}


def random_sequences(lengths, seed=0):
    draw = np.random.default_rng(seed)
    return [np.r_[0, draw.integers(5, 60, length - 1)].astype(np.int32) for length in lengths]


# The packing with a place for the topic


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 100))
def test_every_sequence_is_followed_by_its_topic(lengths, worth):
    sequences = [np.full(length, number, np.int32) + 5 for number, length in enumerate(lengths)]
    topical = pack_with_topic(sequences, worth)
    topics = -1 - torch.argsort(topical.tokens.order)  # of sequence i: -1 - i
    merged = torch.cat([topical.tokens.ids, topics]).index_select(0, topical.merge)

    assert torch.equal(merged[topical.kept], topical.tokens.ids)
    assert torch.equal(topical.tokens.order, topical.longer.order)
    for number, sequence in enumerate(sequences):
        place = topical.longer.order[number]
        start, length = topical.longer.starts[place], topical.longer.lengths[place]
        assert merged[start : start + length].tolist() == [*sequence.tolist(), -1 - number]


# The encoder


def topic_encoder(config, pooling, seed=0) -> TopicEncoder:
    torch.manual_seed(seed)
    encoder = TopicEncoder(Pretrained(config, None, None, pooling).encoder(), 6)
    for weight in (p for p in encoder.parameters() if p.dim() == 2):
        nn.init.normal_(weight, std=0.4)  # so that everything tells
    return encoder.eval()


def one_by_one(encoder: TopicEncoder, sequences):
    """Without packing or stacking: transformers' layers, one sequence at a time, sums as loops."""
    model, vectors, topics = encoder.encoder.model, [], []
    layers = [*model.encoder.layer]

    def run(blocks, states):
        for block in blocks:
            out = block(states)
            states = out[0] if isinstance(out, tuple) else out
        return states

    for sequence in sequences:
        states = run(layers[: len(layers) // 2], model.embeddings(input_ids=torch.tensor(sequence[None]).long()))
        weights = [math.exp(encoder.score(torch.tanh(encoder.hidden(state))).item()) for state in states[0]]
        pooled = sum(w * state for w, state in zip(weights, states[0], strict=True)) / sum(weights)
        topic = encoder.posterior(pooled)[:6]
        states = run(layers[len(layers) // 2 :], torch.cat([states, encoder.token(topic)[None, None]], dim=1))
        read = states[0, :-1]
        vectors.append(read[0] if encoder.encoder.pooling == Pooling.first else sum(read) / len(read))
        topics.append(topic)
    return torch.stack(vectors), torch.stack(topics)


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("family", [RobertaConfig, BertConfig])
def test_a_topic_token_is_a_token_of_its_own_sequence_alone(family, layers, pooling):
    encoder = topic_encoder(family(**SHAPE, num_hidden_layers=layers), pooling)
    sequences = random_sequences([4, 30, 1, 9, 9, 2, 17])
    with torch.no_grad():
        vectors, topics = one_by_one(encoder, sequences)
        for worth in (0, 10_000):
            found = encoder(pack_with_topic(sequences, worth))
            torch.testing.assert_close(found[0], vectors, atol=1e-5, rtol=0)
            torch.testing.assert_close(found[1], topics, atol=1e-5, rtol=0)
        assert (vectors - encoder.encoder(pack(sequences))).abs().amax(1).min() > 1e-3


def test_the_states_are_those_that_the_vectors_are_made_of():
    encoder = topic_encoder(RobertaConfig(**SHAPE, num_hidden_layers=2), Pooling.first)
    topical = pack_with_topic(random_sequences([4, 11, 7]))
    with torch.no_grad():
        (vectors, topics), (states, posterior) = encoder(topical), encoder.states(topical, sample=False)
    starts = topical.tokens.starts[topical.tokens.order]
    torch.testing.assert_close(states[starts], vectors, atol=1e-5, rtol=0)
    assert torch.equal(posterior.topic, topics)
    assert torch.equal(posterior.mean, topics)


def test_a_drawn_topic_has_the_mean_and_variance_that_are_given():
    encoder = topic_encoder(RobertaConfig(**SHAPE, num_hidden_layers=2), Pooling.first)
    topical = pack_with_topic(random_sequences([5] * 400))
    torch.manual_seed(0)
    with torch.no_grad():
        _, posterior = encoder.states(topical, sample=True)
    noise = (posterior.topic - posterior.mean) / (0.5 * posterior.log_var).exp()
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "config",
    [
        AlbertConfig(vocab_size=60, hidden_size=16, num_attention_heads=2, intermediate_size=32, num_hidden_layers=2),
        DistilBertConfig(vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=32),
        DebertaV2Config(vocab_size=60, hidden_size=16, num_attention_heads=2, intermediate_size=32),
    ],
    ids=lambda config: config.model_type,
)
def test_an_encoder_of_another_kind_is_refused(config):
    with pytest.raises(UserError, match=rf"{config.model_type}.*bert, camembert, roberta.*classifier\.topic=false"):
        TopicEncoder(Pretrained(config, None, None, Pooling.first).encoder(), 6)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 3))
@settings(max_examples=30)
def test_the_divergence_is_that_of_pytorchs_distributions(seed, shift, scale):
    torch.manual_seed(seed)
    mean, log_var = torch.randn(4, 5, dtype=torch.float64) * scale + shift, torch.randn(4, 5, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, log_var.exp().sqrt()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(Posterior(mean, mean, log_var)), expected)


def test_the_divergence_of_the_standard_normal_is_zero():
    zeros = torch.zeros(2, 3)
    assert divergence(Posterior(zeros, zeros, zeros)).tolist() == [0.0, 0.0]


# The masked language model


@pytest.fixture
def model(tiny):
    def make(seed: int = 0, **options) -> TopicModel:
        pretrained = tiny(pooling=Pooling.first)
        pretrained.config.num_hidden_layers = 2
        torch.manual_seed(seed)
        return TopicModel(replace(CONFIG, **options), pretrained, len(LABELS))

    return make


def batch_of(model: TopicModel, dialogues):
    return model.collate(model.segments(model.tokeniser.tokenise(dialogues, LABELS, None), 10**9))


def read(model: TopicModel, batch):
    """What the encoder reads of a batch, and what the model makes of it."""
    seen = []
    embeddings = model.encoder.encoder.model.embeddings
    hook = embeddings.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["input_ids"][0]), with_kwargs=True
    )
    output = model(batch)
    hook.remove()
    return seen[0], output


@pytest.mark.parametrize("training", [True, False])
def test_fifteen_per_cent_are_masked_and_no_class_token(model, make_dialogues, training):
    module = model().train(training)
    batch = batch_of(module, make_dialogues(400, LABELS, turns=(4, 8)))
    ids, tokenizer = batch.utterances.tokens.ids, module.tokeniser.tokenizer
    torch.manual_seed(0)
    with torch.no_grad():
        given, guess = read(module, batch)

    text = ids != tokenizer.cls_token_id
    assert len(guess.wanted) == math.ceil(MASKED * text.sum())
    assert guess.counted.all()
    changed = given != ids
    assert not (changed & ~text).any()
    masked = (given == tokenizer.mask_token_id).sum().item()
    assert masked / len(guess.wanted) == pytest.approx(0.8, abs=0.03)
    # of 10 % that become any token, hardly any becomes the same
    assert (changed.sum().item() - masked) / len(guess.wanted) == pytest.approx(0.1, abs=0.03)
    assert guess.wanted.bincount(minlength=len(module.bias))[tokenizer.all_special_ids].sum() == 0


def test_the_logits_are_of_the_masked_tokens(model, make_dialogues):
    """By hand, from what the encoder was given."""
    module = model().eval()
    batch = batch_of(module, make_dialogues(3, LABELS))
    with torch.no_grad():
        given, guess = read(module, batch)
        tokens = replace(batch.utterances.tokens, ids=given)
        states, posterior = module.encoder.states(replace(batch.utterances, tokens=tokens), sample=False)
        logits = module.head(states) @ module.encoder.encoder.model.get_input_embeddings().weight.T + module.bias
        losses = nn.functional.cross_entropy(logits, batch.utterances.tokens.ids, reduction="none")
        alike = (guess.logits.unsqueeze(1) - logits).abs().amax(2) < 1e-5
        assert alike.any(1).all()
        places = alike.long().argmax(1)
        assert len(places.unique()) == len(places)
        expected = losses[places].mean() + divergence(posterior).mean()
        torch.testing.assert_close(module.loss(guess, batch), expected)
        module.kl_weight = 3.0
        torch.testing.assert_close(module.loss(guess, batch), expected + 2.0 * divergence(posterior).mean())


def test_in_evaluation_the_loss_depends_on_the_weights_alone(model, make_dialogues):
    module = model()
    batch = batch_of(module, make_dialogues(4, LABELS))

    def losses(training: bool, *seeds: int) -> set[float]:
        module.train(training)
        result = set()
        for seed in seeds:
            torch.manual_seed(seed)
            result.add(module.loss(module(batch), batch).item())
        return result

    assert len(losses(False, 1, 2, 3)) == 1
    assert len(losses(True, 1, 2, 3)) == 3
    assert len(losses(True, 1, 1, 1)) == 1
    state = torch.get_rng_state()
    losses(False)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("training", [True, False])
def test_without_a_token_that_may_be_masked_the_loss_is_the_divergence(model, make_dialogues, training):
    module = model().train(training)
    (tokens,) = module.tokeniser.tokenise(make_dialogues(1, LABELS, turns=(3, 3)), LABELS, None)
    nothing = replace(tokens, turns=Pieces(tokens.turns.ids[:0], np.zeros(4, np.int64)))
    batch = module.collate([Segment(0, nothing, nothing.targets, 0)])
    given, guess = read(module, batch)
    loss = module.loss(guess, batch)
    loss.backward()

    assert torch.equal(given, batch.utterances.tokens.ids)
    torch.testing.assert_close(loss, divergence(guess.posterior).mean())
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
    assert module.encoder.posterior.weight.grad.abs().max() > 0


def test_a_long_turn_keeps_its_beginning(model, make_dialogues):
    module = model(max_tokens=4)
    dialogues = make_dialogues(3, LABELS)
    tokens = module.tokeniser.tokenise(dialogues, LABELS, None)
    sequences = batch_of(module, dialogues).utterances.tokens
    kept = [sequences.ids[s : s + n].tolist() for s, n in zip(sequences.starts, sequences.lengths, strict=True)]
    turns = [turn for dialogue in tokens for turn in dialogue.turns]
    first = module.tokeniser.tokenizer.cls_token_id
    assert [kept[i] for i in sequences.order] == [[first, *turn[:3].tolist()] for turn in turns]


def fitted(module: TopicModel, batch, steps: int) -> tuple[float, float]:
    """The loss in evaluation before and after."""

    def evaluate() -> float:
        module.eval()
        with torch.no_grad():
            return module.loss(module(batch), batch).item()

    before = evaluate()
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        module.loss(module(batch), batch).backward()
        optimizer.step()
    return before, evaluate()


def test_the_loss_falls(model, make_dialogues):
    module = model()
    before, after = fitted(module, batch_of(module, make_dialogues(8, LABELS)), 60)
    assert before > 5
    assert after < 0.7 * before


def test_every_part_is_fitted_and_a_seed_decides_it(model, make_dialogues):
    states = []
    for _ in range(2):
        module = model(seed=3)
        start = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        fitted(module, batch_of(module, make_dialogues(4, LABELS)), 3)
        states.append(module.state_dict())
        # a bias of keys cancels in a softmax; the scores' scale is only felt through it
        still = [n for n, t in states[-1].items() if torch.equal(t, start[n]) and not n.endswith("key.bias")]
        assert still == []
    assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())


def test_saved_weights_give_the_same_loss_and_are_not_saved_twice(model, make_dialogues):
    one, two = model(seed=1).eval(), model(seed=2).eval()
    batch = batch_of(one, make_dialogues(3, LABELS))
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert one.loss(one(batch), batch) == two.loss(two(batch), batch)
    storages = [tensor.data_ptr() for tensor in one.state_dict().values()]
    assert len(set(storages)) == len(storages)


@pytest.mark.parametrize("training", [True, False])
def test_it_runs_in_bfloat16(model, make_dialogues, training):
    module = model().train(training)
    batch = batch_of(module, make_dialogues(6, LABELS))
    torch.manual_seed(0)
    exact = module.loss(module(batch), batch)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = module.loss(module(batch), batch)
    rounded.backward()
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0)
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_all_is_on_one_device_and_no_tensor_is_asked_for_its_value(model, make_dialogues):
    """Which on a GPU would wait for it. Tensors on the meta device have none."""
    module = model()
    batch = batch_of(module, make_dialogues(4, LABELS)).to(torch.device("meta"))
    loss = module.to("meta").train().loss(module(batch), batch)
    loss.backward()
    assert (loss.device.type, loss.shape) == ("meta", ())


def test_a_tokenizer_without_a_mask_token_is_refused(tiny):
    pretrained = tiny()
    pretrained.tokenizer.mask_token = None
    with pytest.raises(UserError, match=r"no mask token.*classifier\.topic=false"):
        TopicModel(CONFIG, pretrained, len(LABELS))
