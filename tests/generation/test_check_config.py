import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ercsatz.config import PersonaStep, PromptStyle, SplitConfig
from ercsatz.errors import UserError
from ercsatz.generation.check_config import fewest_dialogues, validate
from ercsatz.generation.dataset.store import assign
from ercsatz.generation.duplicates import Duplicates
from ercsatz.generation.guided import PLACEHOLDERS
from ercsatz.generation.plan import GROUP_SIZES
from ercsatz.generation.run import run
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.language_model import SamplingConfig
from ercsatz.generators.openai import OpenAIConfig
from ercsatz.generators.openai_flavours import Flavour
from ercsatz.generators.tgi import TgiConfig
from ercsatz.generators.transformers import TransformersConfig

MODEL = {
    "window": 1,
    "sampling": SamplingConfig(temperature=0.7, top_p=1, top_k=0, repetition_penalty=1, typical_p=1, max_new_tokens=9),
    "chat_template": ChatTemplate.raw,
}
SERVED = {"url": "http://127.0.0.1:9", "timeout": 5, "tries": 1, "patience": 0}
GENERATORS = {
    "tgi": TgiConfig(name="tgi", **MODEL, **SERVED),
    "openai": OpenAIConfig(name="openai", flavour=Flavour.vllm, **MODEL, **SERVED),
    "transformers": TransformersConfig(
        name="transformers", model="none", device="cpu", dtype="float32", batch_size=1, **MODEL
    ),
}


@pytest.fixture
def changed(config, tmp_path):
    """A configuration for a data set in ``tmp_path`` with these values, by key."""

    def make(values, **how):
        cfg = OmegaConf.structured(config(path=str(tmp_path / "d"), **how))
        for key, value in values.items():
            OmegaConf.update(cfg, key, value)
        return OmegaConf.to_object(cfg)

    return make


def told(settings):
    with pytest.raises(UserError) as error:
        validate(settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"plan.n_dialogues": 0}, "plan.n_dialogues=0: must be 1 or more."),
        ({"plan.n_kept": 10}, "plan.n_dialogues=60 and plan.n_kept=10 given: give one of"),
        ({"plan.n_dialogues": None}, "None of them given: give one of"),
        ({"plan.n_dialogues": None, "plan.n_utterances": -1}, "plan.n_utterances=-1: must be 1 or more."),
        ({"plan.attempts": 0}, "plan.attempts=0: must be 1 or more."),
        ({"plan.min_turns": 1}, "plan.min_turns=1: must be 2 or more."),
        ({"plan.min_turns": 9, "plan.max_turns": 5}, "plan.max_turns=5: must be plan.min_turns=9 or more."),
        ({"persona.base": PersonaStep.write}, "persona.base=write: must be sample or off"),
        ({"generator.window": 0}, "generator.window=0: must be 1 or more."),
        ({"generator.window": -3}, "generator.window=-3: must be 1 or more."),
        ({"checks.near_duplicate": 0.49}, "checks.near_duplicate=0.49: must be from 0.5 to 1."),
        ({"checks.near_duplicate": 1.01}, "checks.near_duplicate=1.01: must be from 0.5 to 1."),
        ({"checks.near_duplicate": float("nan")}, "checks.near_duplicate=nan: must be from 0.5 to 1."),
        ({"checks.leakage.words": 0}, "checks.leakage.words=0: must be 1 or more."),
        ({"checks.leakage.ngram": 0}, "checks.leakage.ngram=0: must be 1 or more."),
        ({"checks.leakage.containment": 0.0}, "checks.leakage.containment=0.0: must be above 0 and at most 1."),
        ({"checks.leakage.containment": 1.5}, "checks.leakage.containment=1.5: must be above 0 and at most 1."),
        ({"checks.leakage.dialogue": -0.5}, "checks.leakage.dialogue=-0.5: must be above 0 and at most 1."),
        ({"checks.leakage.dialogue": float("nan")}, "checks.leakage.dialogue=nan: must be above 0 and at most 1."),
    ],
)
def test_value_that_makes_no_sense_is_refused(changed, values, message):
    assert told(changed(values)).startswith(message)


@pytest.mark.parametrize("key", ["split.validation", "split.test"])
@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, float("nan"), float("inf"), float("-inf")])
def test_share_that_is_none_is_refused(changed, key, share):
    assert told(changed({key: share})) == f"{key}={share}: must be above 0 and below 1."


def test_shares_that_leave_nothing_for_training_are_refused(changed):
    message = told(changed({"split.validation": 0.5, "split.test": 0.5}))
    assert message == "split.validation + split.test=1.0: must be below 1, so that something is left for training."


shares = st.floats(0.001, 0.998).flatmap(lambda one: st.tuples(st.just(one), st.floats(0.001, 0.999 - one)))


@given(shares)
def test_fewest_dialogues_are_as_many_as_the_splitter_needs(pair):
    fewest = fewest_dialogues(SplitConfig(*pair))
    for n in (fewest, fewest + 1):
        assign(np.arange(n), np.arange(n) % 3, *pair, seed=0)
    with pytest.raises(UserError, match="would be empty"):
        assign(np.arange(fewest - 1), np.zeros(fewest - 1, np.int64), *pair, seed=0)


@pytest.mark.parametrize("key", ["n_dialogues", "n_kept"])
def test_too_few_dialogues_for_the_splits_are_refused_at_the_start(changed, key):
    def wanted(n):
        return changed({"plan.n_dialogues": None, f"plan.{key}": n})

    assert told(wanted(7)) == (
        f"plan.{key}=7: must be 8 or more: of fewer dialogues split.validation=0.1 and split.test=0.1 "
        "leave a split empty."
    )
    validate(wanted(8))


def test_shares_close_to_nothing_end_the_run_at_the_start(changed):
    assert told(changed({"split.validation": 5e-324, "split.test": 5e-324})).startswith("plan.n_dialogues=60: must be")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "benchmark.labels=[]: must be a list of one label at least."),
        (["joy", "Joy"], "benchmark.labels=['joy', 'Joy']: must be different from each other"),
        (["joy", ""], "benchmark.labels[1]='': must be text on one line"),
        (["joy", " "], "benchmark.labels[1]=' ': must be text on one line"),
        (["joy", "sad\n"], "benchmark.labels[1]='sad\\n': must be text on one line"),
        (["jo\x1b[31my"], "benchmark.labels[0]='jo\\x1b[31my': must be text on one line"),
        ([f"e{number}" for number in range(1000)], "benchmark.labels[999]='e999': must be one of the first 999"),
    ],
)
def test_labels_that_no_answer_can_give_are_refused(changed, labels, message):
    assert told(changed({"benchmark.labels": labels})).startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "Maya:", "a:b", " Maya", "Maya ", "Maya\t", "Ma\nya", "Ma  ya", "Ma\x00ya", "Ma\u200bya"),
        *("*Maya*", "**Maya**", "Ma**ya", "_Maya", "Maya_", "`Maya", "- Maya", "* Maya", "1. Maya", "2) Maya", "# M"),
        *("> Maya", "Maya (joy)", "Maya [1]", "Maya (2)", "Maya (99)", "Maya {anger}", "(1)", "M" * 61),
    ],
)
def test_name_that_no_answer_can_carry_is_refused(changed, name):
    message = told(changed({"benchmark.speakers": ["Tomas", name]}))
    assert message.startswith(f"benchmark.speakers[1]={name!r}: must be a name that an answer can carry")


@pytest.mark.parametrize(
    "name", ["M" * 60, "Dr. Who", "O'Neil-Smith", "Maya (Jr)", "1", "S1", "Zoë", "麻耶", "a_b", "Mr [X]"]
)
def test_name_that_an_answer_can_carry_is_taken(changed, name):
    validate(changed({"benchmark.speakers": ["Tomas", name]}))


@pytest.mark.parametrize(
    ("speakers", "message"),
    [
        ([], "benchmark.speakers=[]: must be a list of two speakers at least."),
        (["Maya"], "benchmark.speakers=['Maya']: must be a list of two speakers at least."),
        (["Maya", "Tomas", "Maya"], "benchmark.speakers=['Maya', 'Tomas', 'Maya']: must be different"),
        (["Maya", "MAYA"], "benchmark.speakers=['Maya', 'MAYA']: must be different"),
    ],
)
def test_cast_that_cannot_talk_is_refused(changed, speakers, message):
    assert told(changed({"benchmark.speakers": speakers})).startswith(message)


def test_pair_is_a_man_and_a_woman(changed):
    validate(changed({}, benchmark="iemocap"))
    message = told(changed({"benchmark.style": PromptStyle.pair}))
    assert message.endswith("must be [M, F], as benchmark.style is pair.")


def test_genders_are_words_for_those_who_speak(config):
    settings = config(variant="per")
    for genders in ({}, {"Maya": "female", "Sam": "nonbinary"}):
        settings.benchmark.genders = genders
        validate(settings)
    settings.benchmark.genders = {"Maya": "female", "Joey": "male"}
    assert told(settings) == (
        "benchmark.genders.Joey=male: must be of one of benchmark.speakers; leave it out with ~benchmark.genders.Joey."
    )
    ours = config(variant="nat")
    ours.benchmark.genders = {"Joey": "male"}
    validate(ours)
    settings.benchmark.genders = {"Maya": " "}
    assert told(settings) == "benchmark.genders.Maya=' ': must be female, male or another word."


@pytest.mark.parametrize(
    ("name", "key", "value", "wanted"),
    [
        *(
            (name, key, value, wanted)
            for name in ("tgi", "openai")
            for key, value, wanted in (
                ("tries", 0, "1 or more"),
                ("timeout", 0.0, "above 0 and finite"),
                ("timeout", float("inf"), "above 0 and finite"),
                ("timeout", float("nan"), "above 0 and finite"),
                ("patience", -1.0, "0 or more"),
                ("patience", float("nan"), "0 or more"),
            )
        ),
        ("transformers", "batch_size", 0, "1 or more"),
        ("transformers", "window", 0, "1 or more"),
        ("openai", "sampling.temperature", float("inf"), "a finite number"),
        ("tgi", "sampling.repetition_penalty", float("inf"), "a finite number"),
    ],
)
def test_generator_that_could_never_answer_is_refused(config, name, key, value, wanted):
    cfg = OmegaConf.structured(config())
    cfg.generator = GENERATORS[name]
    validate(OmegaConf.to_object(cfg))
    OmegaConf.update(cfg.generator, key, value)
    assert told(OmegaConf.to_object(cfg)) == f"generator.{key}={value}: must be {wanted}."


def test_every_group_has_placeholders_for_guided_decoding():
    assert max(GROUP_SIZES) <= len(PLACEHOLDERS)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_threshold_is_one_that_the_search_takes(changed, tmp_path, threshold):
    validate(changed({"checks.near_duplicate": threshold}))
    Duplicates(tmp_path / "duplicates.sqlite", threshold).close()


@pytest.mark.parametrize("name", ["me/data", "some-org/mini_bal.v2"])
def test_possible_repository_is_taken(changed, name):
    validate(changed({"push_to_hub": name}))


@pytest.mark.parametrize("name", ["", "data", "me/", "/data", "me/you/data", "me/da ta", "me/data.git", "https://x/y"])
def test_impossible_repository_is_refused_before_the_work(changed, name):
    assert told(changed({"push_to_hub": name})).startswith(f"push_to_hub={name}: must be NAME/REPOSITORY")


@pytest.mark.parametrize(
    ("journal", "message"),
    [
        ("d", "must be a file outside"),
        ("d/journal.sqlite", "must be a file outside"),
        ("d/deep/../journal.sqlite", "must be a file outside"),
        (".", "must be a file outside"),
        ("folder", "must be a file, in a folder that can be made and written."),
        ("file/journal.sqlite", "must be a file, in a folder that can be made and written."),
        ("file/deep/journal.sqlite", "must be a file, in a folder that can be made and written."),
        ("x" * 300, "must be a file, in a folder that can be made and written."),
        ("locked/journal.sqlite", "must be a file, in a folder that can be made and written."),
    ],
)
def test_journal_that_cannot_be_kept_is_refused(changed, tmp_path, monkeypatch, journal, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "locked")  # root may write everywhere
    place = tmp_path / journal
    assert told(changed({"journal": str(place)})).startswith(f"journal={place}: {message}")


def test_journal_in_a_folder_to_be_made_is_taken(changed, tmp_path):
    validate(changed({"journal": str(tmp_path / "new" / "deep" / "journal.sqlite")}))
    assert not list(tmp_path.iterdir())


def test_run_refuses_before_it_writes(changed, tmp_path):
    with pytest.raises(UserError, match=r"checks\.near_duplicate=0\.1"):
        run(changed({"checks.near_duplicate": 0.1}))
    assert not list(tmp_path.iterdir())
