from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.config import Plan
from ercsatz.errors import UserError
from ercsatz.generation.plan import plan, request_seed


@settings(deadline=None, max_examples=30)
@given(short=st.integers(1, 20), more=st.integers(0, 20), seed=st.integers(0, 10**6))
def test_longer_plan_keeps_the_requests_of_the_shorter(config, short, more, seed):
    shorter = list(plan(config(n_dialogues=short, seed=seed)))
    assert list(plan(config(n_dialogues=short + more, seed=seed)))[:short] == shorter


def test_balanced_plan_asks_for_every_label_equally_often(config):
    targets = Counter(request.target for request in plan(config(n_dialogues=70)))
    assert targets == dict.fromkeys(config().benchmark.labels, 10)


def test_natural_plan_has_no_targets(config):
    assert {request.target for request in plan(config(variant="nat"))} == {None}


def test_seeds_differ_by_run_data_index_and_attempt():
    seeds = {request_seed(*key) for key in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1), (0, "a", 0, 1)]}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_is_the_same_in_every_version():
    assert request_seed(0, "mini_bal", 0) == 9092661286189430983


def test_prompt_states_speakers_numbers_and_target(config):
    request = list(plan(config(n_dialogues=3)))[2]
    first, second, third = request.prompt.split(". ", 2)
    assert all(speaker in first for speaker in request.speakers)
    assert first.endswith('at least one utterance expresses the emotion "surprise"')
    assert "3 for surprise" in second
    assert f"about {request.n_turns} utterances" in third


def test_natural_prompt_wants_no_emotion(config):
    assert all("at least one" not in request.prompt for request in plan(config(variant="nat")))


def test_pair_prompt_has_tags_instead_of_names(config):
    request = next(plan(config(benchmark="iemocap")))
    assert request.speakers == ("M", "F")
    assert "a man (M) and a woman (F)" in request.prompt


def test_speakers_of_the_cast_vary_in_number_and_kind(config):
    requests = list(plan(config(n_dialogues=200)))
    assert {len(request.speakers) for request in requests} == {2, 3, 4}
    assert {speaker for request in requests for speaker in request.speakers} == set(config().benchmark.speakers)


@pytest.mark.parametrize(("variant", "word"), [("org", "nothing to generate"), ("per", "not available yet")])
def test_variants_that_cannot_be_written_are_refused(config, variant, word):
    with pytest.raises(UserError, match=word):
        plan(config(variant=variant))


@pytest.mark.parametrize(
    ("counts", "key"), [((0, 5, 9), "n_dialogues"), ((5, 9, 5), "max_turns"), ((5, 1, 5), "min_turns")]
)
def test_senseless_counts_are_refused(config, counts, key):
    with pytest.raises(UserError, match=key):
        plan(replace(config(), plan=Plan(*counts)))


def test_few_turns_leave_room_for_every_speaker(config):
    requests = plan(replace(config(), plan=Plan(50, 2, 2)))
    assert all(len(request.speakers) == request.n_turns == 2 for request in requests)
