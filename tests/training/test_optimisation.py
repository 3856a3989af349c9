"""The learning rate over the steps, against transformers' schedules; over the layers, against tables by hand."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AlbertConfig, AlbertModel, DistilBertConfig, DistilBertModel

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.compm.config import CoMPMConfig, Memory
from ercsatz.classifiers.emoone.config import EmoOneConfig, Gray
from ercsatz.classifiers.encoder.pretrained import Encoder, open_backbone
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.config import BackboneConfig, ClassifierConfig, Pooling, Schedule, TinySizeConfig
from ercsatz.errors import UserError
from ercsatz.training.optimisation import Lengths, Optimisation, parameter_groups

ANY = Optimisation(epochs=4, lr=1e-3, warmup=0.1, schedule=Schedule.linear, weight_decay=0.0, clip=0.0, batch_tokens=1)
THEIRS = {
    Schedule.linear: transformers.get_linear_schedule_with_warmup,
    Schedule.cosine: transformers.get_cosine_schedule_with_warmup,
    Schedule.constant: lambda optimizer, warmup, total: transformers.get_constant_schedule_with_warmup(
        optimizer, warmup
    ),
}


def theirs(schedule: Schedule, warmup: int, total: int) -> list[float]:
    """The factors of steps 0 to ``total``."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    found = THEIRS[schedule](optimizer, warmup, total)
    return [found.lr_lambdas[0](step) for step in range(total + 1)]


@pytest.mark.parametrize("schedule", THEIRS)
@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 40), epochs=st.integers(1, 6), share=st.floats(0, 1))
def test_a_schedule_is_that_of_transformers_without_a_first_step_of_0(schedule, steps, epochs, share):
    total = steps * epochs
    warmup = max(1, round(share * total))
    factor = Lengths(steps, 1).factor(replace(ANY, epochs=epochs, schedule=schedule, warmup=share))
    expected = theirs(schedule, warmup, total)
    ours = [factor(step) for step in range(total)]
    # theirs is 0 at the first step, which trains nothing; ours begins with their second
    assert ours[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    assert ours[: warmup - 1] == pytest.approx(expected[1:warmup])
    assert ours[warmup:] == pytest.approx(expected[warmup:total], abs=1e-12)


def test_examples_is_linear_over_the_targets():
    factor = Lengths(3, 50).factor(replace(ANY, epochs=2, schedule=Schedule.examples))
    assert [factor(step) for step in range(101)] == pytest.approx(theirs(Schedule.linear, 10, 100))


# Layers

SIZE = TinySizeConfig(hidden=16, layers=3, heads=2, vocabulary=300)


def classifier(options: ClassifierConfig, **encoders: BackboneConfig) -> ErcClassifier:
    texts = ["so it goes", "and on and on"]
    opened = {name: open_backbone(each, texts) for name, each in encoders.items()}
    return checkpoint.build(options, open_backbone(tiny(SIZE), texts), ("joy", "anger"), opened)


def tiny(size: TinySizeConfig) -> BackboneConfig:
    return BackboneConfig("tiny", None, Pooling.mean, 1e-3, size)


def by_hand(name: str, layers: dict[str, int]) -> int:
    """The power of ``layer_decay`` of a parameter, read off its name; ``layers``: of each encoder, by its prefix."""
    for prefix, n in layers.items():
        if name.startswith(f"{prefix}.model."):
            if "model.embeddings." in name:
                return n + 1
            layer = re.search(r"\.model\.encoder\.layer\.(\d+)\.", name)
            assert layer, name
            return n - int(layer[1])
    return 0


def rates(module: nn.Module, decay: float, lr: float = 1e-3) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = parameter_groups(module, lr, decay)
    assert len({group["lr"] for group in groups}) == len({group["name"] for group in groups}) == len(groups)
    found = [(names[id(parameter)], group["lr"]) for group in groups for parameter in group["params"]]
    assert len(dict(found)) == len(found)
    return dict(found)


SMALL = TinySizeConfig(hidden=8, layers=1, heads=2, vocabulary=300)
OTHER = CoMPMConfig("compm", 64, memory_layers=1, memory_dropout=0.0)
EMOONE = EmoOneConfig("emoone", 64, gray=Gray.none, w1=1.0, w2=1.0, future_turns=0)
TODKAT = TODKATConfig("todkat", 64, True, 8, 1.0, KnowledgeSources.both, None, 1, 2, 16, 0.1, True)


@pytest.mark.parametrize(
    ("options", "encoders", "layers"),
    [
        (OTHER, {}, {"context": 3, "memory": 3}),
        (OTHER, {"memory": tiny(SMALL)}, {"context": 3, "memory": 1}),
        (EMOONE, {}, {"context": 3}),
        (TODKAT, {}, {"encoder.encoder": 3}),
        (replace(TODKAT, topic=False), {}, {"encoder": 3}),
    ],
)
def test_the_rate_of_every_parameter_is_that_of_its_layer(options, encoders, layers):
    module = classifier(options, **encoders).module
    found = rates(module, 0.5)
    assert found.keys() == {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    for name, rate in found.items():
        assert rate == pytest.approx(1e-3 * 0.5 ** by_hand(name, layers)), name
    assert found["head.weight"] == 1e-3
    (lowest,) = {rate for name, rate in found.items() if "model.embeddings.word_embeddings" in name} - {1e-3 / 4}
    assert lowest == min(found.values()) == 1e-3 / 16


def test_a_frozen_encoder_is_in_no_group():
    module = classifier(replace(OTHER, memory=Memory.frozen)).module
    assert not any(name.startswith("memory.") for name in rates(module, 0.9))


def test_without_decay_there_is_one_group_in_the_order_of_the_module():
    module = classifier(OTHER).module
    (group,) = parameter_groups(module, 1e-3, 1.0)
    assert group.keys() == {"params"}
    assert all(one is other for one, other in zip(group["params"], module.parameters(), strict=True))


class Over(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = Encoder(model, Pooling.first)


def test_the_layers_of_another_kind_of_encoder_are_found():
    model = DistilBertModel(DistilBertConfig(vocab_size=50, dim=8, n_layers=2, n_heads=2, hidden_dim=16))
    found = rates(Over(model), 0.5)
    assert found["encoder.model.embeddings.word_embeddings.weight"] == 1e-3 / 8
    assert found["encoder.model.transformer.layer.0.attention.q_lin.weight"] == 1e-3 / 4
    assert found["encoder.model.transformer.layer.1.ffn.lin1.bias"] == 1e-3 / 2


def test_layers_that_share_their_weights_have_no_rates_of_their_own():
    model = AlbertModel(
        AlbertConfig(
            vocab_size=50, embedding_size=8, hidden_size=8, num_hidden_layers=3, num_attention_heads=2,
            intermediate_size=16,
        )
    )  # fmt: skip
    assert parameter_groups(Over(model), 1e-3, 1.0)
    with pytest.raises(UserError, match="the 3 layers of albert cannot be told apart"):
        parameter_groups(Over(model), 1e-3, 0.9)


def test_decay_over_no_encoder_is_refused():
    with pytest.raises(UserError, match=r"training\.layer_decay=0\.9: Linear has no encoder"):
        parameter_groups(nn.Linear(2, 2), 1e-3, 0.9)
