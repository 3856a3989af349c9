"""Shipped losses against torch, scikit-learn and their formulas written out."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional

from ercsatz.config.rules import enforce
from ercsatz.errors import UserError
from ercsatz.testing import loss_contract
from ercsatz.training.losses import (
    ClassWeightsConfig,
    CrossEntropyConfig,
    EffectiveNumberConfig,
    FocalConfig,
    LogitAdjustmentConfig,
)

TestCrossEntropy = loss_contract("cross_entropy")
TestLabelSmoothing = loss_contract("label_smoothing")
TestFocal = loss_contract("focal")
TestClassWeights = loss_contract("class_weights")
TestEffectiveNumber = loss_contract("effective_number")
TestLogitAdjustment = loss_contract("logit_adjustment")

K = 5
all_counts = st.lists(st.integers(0, 5000), min_size=K, max_size=K).filter(any)
seeds = st.integers(0, 2**20)


def drawn(seed: int, rows: int = 17) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels of which some are missing."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, K, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, K, (rows,), generator=generator)
    labels[::7] = -100
    return logits, labels


def loop(logits, labels, of_one) -> float:
    """A loss as the sum over targets of a function of probabilities and label, in plain Python."""
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label >= 0:
            highest = max(row)
            powers = [math.exp(value - highest) for value in row]
            total += of_one([value / sum(powers) for value in powers], label)
    return total


@given(seeds, st.floats(0, 0.99))
def test_label_smoothing_is_cross_entropy_with_a_mixture(seed, share):
    logits, labels = drawn(seed)
    expected = loop(
        logits,
        labels,
        lambda p, y: -sum(((1 - share) * (i == y) + share / K) * math.log(p[i]) for i in range(K)),
    )
    assert CrossEntropyConfig("x", share).total(logits, labels).item() == pytest.approx(expected, rel=1e-9)


@given(seeds, st.floats(0, 5))
def test_focal_is_its_formula(seed, gamma):
    logits, labels = drawn(seed)
    expected = loop(logits, labels, lambda p, y: -((1 - p[y]) ** gamma) * math.log(p[y]))
    assert FocalConfig("focal", gamma).total(logits, labels).item() == pytest.approx(expected, rel=1e-7, abs=1e-9)


@given(st.floats(0, 5), st.sampled_from([0.0, 1.0, 100.0, 1e4]))
def test_the_slope_of_focal_is_finite_whatever_the_exponent(gamma, scale):
    logits, labels = drawn(0)
    moved = (logits * scale).float().requires_grad_()
    FocalConfig("focal", gamma).total(moved, labels).backward()
    assert moved.grad.isfinite().all()


@given(seeds, all_counts)
def test_class_weights_are_scikit_learns(seed, counts):
    logits, labels = drawn(seed)
    y = np.repeat(np.arange(K), counts)
    present = np.unique(y)
    theirs = dict(zip(present, compute_class_weight("balanced", classes=present, y=y), strict=True))
    labels = torch.tensor([label if label in theirs else -100 for label in labels.tolist()])
    weights = torch.tensor([theirs.get(label, 0.0) for label in range(K)], dtype=torch.float64)
    expected = nn.CrossEntropyLoss(weight=weights, reduction="sum")(logits, labels)
    found = ClassWeightsConfig("class_weights").prepared(counts)(logits, labels)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@given(seeds, st.lists(st.integers(1, 5000), min_size=K, max_size=K), st.floats(0, 0.9999))
def test_effective_numbers_are_the_papers_but_for_a_constant(seed, counts, beta):
    logits, labels = drawn(seed)
    weights = [(1 - beta) / (1 - beta**count) for count in counts]
    mean = sum(w * n for w, n in zip(weights, counts, strict=True)) / sum(counts)
    expected = loop(logits, labels, lambda p, y: -weights[y] / mean * math.log(p[y]))
    found = EffectiveNumberConfig("effective_number", beta).prepared(counts)(logits, labels)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@given(seeds, st.lists(st.integers(1, 5000), min_size=K, max_size=K), st.floats(0, 3))
def test_logit_adjustment_is_the_papers_pairwise_form(seed, counts, tau):
    """log(1 + sum over other labels c of (pi_c / pi_y)^tau exp(f_c - f_y))."""
    logits, labels = drawn(seed)
    expected = 0.0
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        others = (((counts[c] / counts[y]) ** tau) * math.exp(row[c] - row[y]) for c in range(K) if c != y)
        expected += math.log1p(sum(others)) if y >= 0 else 0.0
    found = LogitAdjustmentConfig("logit_adjustment", tau).prepared(counts)(logits, labels)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "neutral",
    [
        CrossEntropyConfig("cross_entropy"),
        FocalConfig("focal", 0.0),
        EffectiveNumberConfig("effective_number", 0.0),
        LogitAdjustmentConfig("logit_adjustment", 0.0),
    ],
)
@given(seed=seeds, counts=all_counts)
def test_an_option_at_its_neutral_value_leaves_cross_entropy(neutral, seed, counts):
    logits, labels = drawn(seed)
    expected = functional.cross_entropy(logits, labels, reduction="sum")
    torch.testing.assert_close(neutral.prepared(counts)(logits, labels), expected, rtol=1e-9, atol=1e-12)


@given(seeds, st.integers(1, 400))
def test_equal_counts_leave_weighted_losses_cross_entropy_and_shift_no_label(seed, count):
    logits, labels = drawn(seed)
    expected = functional.cross_entropy(logits, labels, reduction="sum")
    for loss in (ClassWeightsConfig(), EffectiveNumberConfig(), LogitAdjustmentConfig()):
        torch.testing.assert_close(loss.prepared([count] * K)(logits, labels), expected, rtol=1e-9, atol=1e-12)


@given(seeds, all_counts)
def test_effective_numbers_go_to_class_weights_as_beta_goes_to_1(seed, counts):
    logits, labels = drawn(seed)
    near, limit = EffectiveNumberConfig("effective_number", 1 - 1e-12), ClassWeightsConfig("class_weights")
    expected = limit.prepared(counts)(logits, labels)
    torch.testing.assert_close(near.prepared(counts)(logits, labels), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", [ClassWeightsConfig(), EffectiveNumberConfig()])
@given(counts=all_counts)
def test_a_weight_is_1_in_the_mean_over_the_training_targets_and_larger_the_rarer_the_label(loss, counts):
    total = loss.prepared(counts)
    flat = torch.zeros(1, K, dtype=torch.float64)
    weights = [total(flat, torch.tensor([label])).item() / math.log(K) for label in range(K)]
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) == pytest.approx(sum(counts))
    order = np.argsort(counts, kind="stable")
    assert all(weights[a] >= weights[b] * (1 - 1e-12) for a, b in pairwise(order))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (CrossEntropyConfig("x", 1.0), r"loss\.label_smoothing=1\.0: must be from 0 to below 1"),
        (FocalConfig("x", -0.5), r"loss\.gamma=-0\.5: must be 0 or more"),
        (FocalConfig("x", math.inf), r"loss\.gamma=inf: must be 0 or more"),
        (EffectiveNumberConfig("x", 1.0), r"loss\.beta=1\.0: must be from 0 to below 1"),
        (LogitAdjustmentConfig("x", math.nan), r"loss\.tau=nan: must be 0 or more"),
    ],
)
def test_wrong_options_are_refused(loss, message):
    with pytest.raises(UserError, match=message):
        enforce(loss.problems())
