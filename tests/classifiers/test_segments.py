from collections import Counter
from collections.abc import Callable, Sequence
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.classifiers.encoder.tokenization import TokenisedDialogue, Tokeniser
from ercsatz.classifiers.segments import DrawingSampler, TokenBudgetSampler, prefix_segments, whole_segments
from ercsatz.data.dialogue import Dialogue, Utterance

LABELS = ("neutral", "joy", "anger")


def characters(texts: Sequence[str], **_: object) -> dict[str, list[list[int]]]:
    """A tokenizer for which a character is a token."""
    return {"input_ids": [list(map(ord, text)) for text in texts]}


said = st.text("abc ?", min_size=1, max_size=12)
turns = st.builds(
    Utterance, st.sampled_from([f"speaker {i}" for i in range(14)]), said, st.none() | st.sampled_from(LABELS)
)
labelled = st.lists(turns, min_size=1, max_size=14).filter(lambda turns: any(turn.emotion for turn in turns))
dialogues = st.builds(Dialogue, st.text(), labelled.map(tuple))


def tokenised(*dialogues: Dialogue) -> list[TokenisedDialogue]:
    return Tokeniser(characters, characters).tokenise(dialogues, LABELS, None)


# Segments


@given(st.lists(dialogues, min_size=1, max_size=4), st.integers(2, 120), st.integers(1, 400))
def test_segments_hold_each_labelled_turn_once_and_no_other(corpus, max_tokens, budget):
    found = [(s.dialogue, turn) for s in prefix_segments(tokenised(*corpus), max_tokens, budget) for turn in s.targets]
    assert found == [
        (number, i)
        for number, d in enumerate(corpus)
        for i, turn in enumerate(d.utterances)
        if turn.emotion is not None
    ]


@given(st.lists(dialogues, min_size=1, max_size=4), st.integers(2, 120), st.integers(1, 400))
def test_a_segment_costs_its_context_tokens_and_keeps_the_budget(corpus, max_tokens, budget):
    for segment in prefix_segments(tokenised(*corpus), max_tokens, budget):
        contexts = [1 + len(segment.tokens.context(turn, max_tokens - 1)) for turn in segment.targets]
        assert segment.cost == sum(contexts)
        assert segment.cost <= budget or len(segment.targets) == 1


def test_an_ample_budget_keeps_a_dialogue_whole():
    dialogue = Dialogue("1", tuple(Utterance("Ann", "a", "joy") for _ in range(9)))
    (segment,) = prefix_segments(tokenised(dialogue), 512, 10_000)
    assert segment.targets == tuple(range(9))


@given(st.lists(dialogues, min_size=1, max_size=4), st.integers(1, 20))
def test_a_whole_segment_costs_its_turns(corpus, max_tokens):
    for segment, dialogue in zip(whole_segments(tokenised(*corpus), max_tokens), corpus, strict=True):
        assert segment.cost == sum(min(len(turn.text) + 1, max_tokens) for turn in dialogue.utterances)
        assert segment.targets == segment.tokens.targets


@given(st.lists(dialogues, min_size=1, max_size=4))
def test_at_a_budget_of_one_token_each_target_is_a_segment(corpus):
    cut = prefix_segments(tokenised(*corpus), 50, 1)
    assert {len(segment.targets) for segment in cut} == {1}


def test_a_turn_without_tokens_costs_its_class_token():
    dialogue = Dialogue("1", (Utterance("Ann", "", "joy"),))
    (segment,) = whole_segments(tokenised(dialogue), 10)
    assert segment.cost == 1


# Batches

costs = st.lists(st.integers(1, 500), min_size=1, max_size=80)


def epoch(costs: Sequence[int], budget: int, seed: int | None, number: int = 0) -> list[list[int]]:
    sampler = TokenBudgetSampler(costs, budget, seed)
    sampler.set_epoch(number)
    return list(sampler)


@given(costs, st.integers(1, 2000), st.none() | st.integers(0, 99), st.integers(0, 9))
def test_an_epoch_has_each_segment_once_in_batches_that_are_never_empty(costs, budget, seed, number):
    batches = epoch(costs, budget, seed, number)
    assert sorted(i for batch in batches for i in batch) == list(range(len(costs)))
    assert all(batches)


@given(costs, st.integers(1, 2000), st.integers(0, 99))
def test_every_epoch_has_as_many_batches_as_the_sampler_says(costs, budget, seed):
    sampler = TokenBudgetSampler(costs, budget, seed)
    lengths = set()
    for number in range(3):
        sampler.set_epoch(number)
        lengths.add(len(list(sampler)))
    assert lengths == {len(sampler)}


@given(costs, st.integers(1, 2000), st.integers(0, 99))
def test_the_budget_is_met_on_average(costs, budget, seed):
    spent = [sum(costs[i] for i in batch) for batch in epoch(costs, budget, seed) if costs[batch[0]] <= budget]
    if len(spent) > 1:
        # As many batches as the tokens can fill, so less than a batch's worth is spread over all of them.
        assert budget <= mean(spent) < budget * (1 + 1 / len(spent))
    if spent:
        # The middle of a segment falls into its batch, so half a segment may stick out at either end.
        assert max(spent) <= mean(spent) + max(cost for cost in costs if cost <= budget)


@given(costs, st.integers(1, 600), st.none() | st.integers(0, 99), st.integers(0, 9))
def test_what_is_dearer_than_the_budget_is_a_batch_of_its_own_and_costs_the_others_nothing(costs, budget, seed, number):
    batches = epoch(costs, budget, seed, number)
    dear = [batch for batch in batches if any(costs[i] > budget for i in batch)]
    assert sorted(dear) == [[i] for i, cost in enumerate(costs) if cost > budget]
    cheap = [cost for cost in costs if cost <= budget]
    assert len(batches) - len(dear) == (len(epoch(cheap, budget, seed, number)) if cheap else 0)


def test_one_dear_segment_stands_where_its_turn_is():
    costs = [3, 9, 4, 1, 7] * 2 + [100] + [3, 9, 4, 1, 7] * 2 + [21]
    assert epoch(costs, 20, None) == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [11, 12, 13, 14, 15],  # in whose middle its turn was
        [10],
        [16, 17, 18, 19, 20],
        [21],
    ]


def test_without_a_dear_segment_the_batches_are_those_of_earlier_versions():
    expected = [[13, 10, 6, 14, 18, 17], [12, 5, 7, 8, 11, 3], [15, 16, 9, 19], [2, 4, 0, 1]]
    assert epoch([3, 9, 4, 1, 7] * 4, 20, 5, 2) == expected


def test_without_a_seed_the_order_is_kept():
    assert [i for batch in epoch([5] * 20, 10, None) for i in batch] == list(range(20))


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed: int, number: int) -> list[list[int]]:
        return epoch([3, 9, 4, 1, 7] * 8, 20, seed, number)

    assert order(1, 2) == order(1, 2)
    orders = [str(order(seed, number)) for seed in (0, 1) for number in (0, 1, 2)]
    assert len(set(orders)) == len(orders)


def test_the_order_of_an_epoch_is_the_same_after_others_and_whatever_torch_drew(seed_torch):
    costs = [3, 9, 4, 1, 7] * 8
    resumed = epoch(costs, 20, 5, 2)
    sampler = TokenBudgetSampler(costs, 20, 5)
    for number in range(3):
        seed_torch(number)
        sampler.set_epoch(number)
        last = list(sampler)
    assert last == resumed


@pytest.fixture
def seed_torch() -> Callable[[int], object]:
    import torch

    return torch.manual_seed


# Drawn batches

weighted = st.lists(st.tuples(st.integers(1, 300), st.floats(0, 10)), min_size=1, max_size=60).filter(
    lambda pairs: any(weight > 1e-6 for _, weight in pairs)
)


@given(weighted, st.integers(1, 400), st.integers(0, 99))
def test_every_epoch_has_the_same_number_of_drawn_batches_and_of_segments(pairs, budget, seed):
    costs, weights = zip(*pairs, strict=True)
    sampler = DrawingSampler(costs, budget, seed, weights)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(batches)
        assert sum(map(len, batches)) == len(costs)
        assert all(weights[i] > 0 for batch in batches for i in batch)


@given(weighted, st.integers(1, 400), st.integers(0, 99), st.integers(0, 5))
def test_what_is_drawn_depends_on_seed_and_epoch_alone(pairs, budget, seed, epoch):
    costs, weights = zip(*pairs, strict=True)
    fresh, used = (DrawingSampler(costs, budget, seed, weights) for _ in range(2))
    list(used)
    for sampler in (fresh, used):
        sampler.set_epoch(epoch)
    assert list(fresh) == list(used)


def test_segments_are_drawn_in_proportion_to_their_weights_and_fill_the_budget_on_average():
    costs, weights, budget = [10, 40, 90, 20] * 25, [1.0, 2.0, 4.0, 0.0] * 25, 200
    sampler, drawn = DrawingSampler(costs, budget, 5, weights), Counter()
    for epoch in range(200):
        sampler.set_epoch(epoch)
        drawn.update(i % 4 for batch in sampler for i in batch)
    assert [drawn[kind] / drawn.total() for kind in range(4)] == pytest.approx([1 / 7, 2 / 7, 4 / 7, 0], abs=0.01)
    spent = sum(costs[kind] * n for kind, n in drawn.items()) / (200 * len(sampler))
    assert spent == pytest.approx(budget, rel=0.03)
    assert len({tuple(map(tuple, [*sampler])) for sampler.epoch in range(4)}) == 4
