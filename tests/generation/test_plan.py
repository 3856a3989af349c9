from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.config import PersonaStep, PersonaUnit, PlanConfig
from ercsatz.errors import UserError
from ercsatz.generation.personas import Inventories
from ercsatz.generation.plan import mode_of, plan, targets_of
from ercsatz.resources import resource

INVENTORIES = Inventories(resource("prompts") / "persona" / "inventory")


def planned(config):
    return list(islice(plan(config, INVENTORIES if config.data.variant == "per" else None), 1000))


@pytest.mark.parametrize("variant", ["nat", "bal", "per"])
@settings(deadline=None, max_examples=20)
@given(short=st.integers(1, 20), more=st.integers(0, 20), seed=st.integers(0, 10**6))
def test_longer_plan_keeps_the_units_of_the_shorter(config, variant, short, more, seed):
    shorter = planned(config(variant=variant, n_dialogues=short, seed=seed))
    assert planned(config(variant=variant, n_dialogues=short + more, seed=seed))[:short] == shorter


def test_plan_for_a_number_of_kept_dialogues_goes_on_and_on(config):
    wanted = replace(config().plan, n_dialogues=None, n_kept=5)
    assert planned(replace(config(), plan=wanted))[:60] == planned(config(n_dialogues=60))


@pytest.mark.parametrize("variant", ["bal", "per"])
def test_target_goes_round_all_labels_equally(config, variant):
    targets = Counter(unit.target for unit in planned(config(variant=variant, n_dialogues=70)))
    assert targets == dict.fromkeys(config().benchmark.labels, 10)


def test_a_list_of_targets_goes_round_in_its_order(config):
    few = config(variant="bal", n_dialogues=7)
    few.mode = replace(few.mode, targets=["sadness", "joy", "anger"])
    assert [unit.target for unit in planned(few)] == ["sadness", "joy", "anger"] * 2 + ["sadness"]
    assert targets_of(config(variant="nat")) == ()
    assert targets_of(config(variant="bal")) == tuple(config().benchmark.labels)


@pytest.mark.parametrize("targets", [[], ["glee"], ["joy", "joy"], "joy", 3, [["joy"]]])
def test_targets_that_are_none_are_refused(config, targets):
    wrong = config(variant="bal")
    wrong.mode = replace(wrong.mode, targets=targets)
    with pytest.raises(UserError, match=r"mode\.targets=.*: must be all, null, or a list of different labels"):
        targets_of(wrong)


def test_natural_plan_has_no_targets(config):
    assert {unit.target for unit in planned(config(variant="nat"))} == {None}


def test_speakers_of_the_cast_vary_in_number_and_kind(config):
    units = planned(config(n_dialogues=200))
    assert {len(unit.speakers) for unit in units} == {2, 3, 4}
    assert {speaker for unit in units for speaker in unit.speakers} == set(config().benchmark.speakers)


def test_every_speaker_of_a_persona_plan_has_a_persona(config):
    for unit in planned(config(variant="per")):
        assert tuple(persona.speaker for persona in unit.personas) == unit.speakers
        assert all(persona.age and persona.mbti and persona.background is None for persona in unit.personas)


def test_pair_has_a_man_and_a_woman(config):
    for unit in planned(config(benchmark="iemocap", variant="per", n_dialogues=20)):
        assert [persona.gender for persona in unit.personas] == ["male", "female"]


def test_switching_a_step_off_leaves_the_others_as_they_are(config):
    sampled = config(variant="per")
    sampled.persona.background = sampled.persona.situation = PersonaStep.sample
    without = config(variant="per")
    without.persona.background, without.persona.situation = PersonaStep.off, PersonaStep.sample
    for full, bare in zip(planned(sampled), planned(without), strict=True):
        assert full.situation == bare.situation
        assert [replace(persona, background=None) for persona in full.personas] == list(bare.personas)
        assert all(persona.background for persona in full.personas)


def test_single_texts_have_one_speaker_and_one_turn(config):
    texts = config(variant="per")
    texts.persona.unit = PersonaUnit.text
    assert {(len(unit.speakers), len(unit.personas), unit.n_turns) for unit in planned(texts)} == {(1, 1, 1)}


def test_benchmark_itself_is_not_generated(config):
    with pytest.raises(UserError, match="nothing to generate"):
        mode_of(config(variant="org"))


def test_few_turns_leave_room_for_every_speaker(config):
    shape = PlanConfig(n_dialogues=50, min_turns=2, max_turns=2, attempts=1)
    assert all(len(unit.speakers) == unit.n_turns == 2 for unit in planned(replace(config(), plan=shape)))
