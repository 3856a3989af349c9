"""The judge without a server."""

import json
from dataclasses import fields

import pytest
from omegaconf import OmegaConf

from ercsatz.config import JudgeConfig
from ercsatz.errors import UserError
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.language_model import OnUnsupported, SamplingConfig
from ercsatz.generators.offline.generator import OfflineConfig
from ercsatz.generators.transformers import TransformersConfig
from ercsatz.resources import resource

OFFLINE = OfflineConfig(name="offline", window=1)


def test_the_offline_generator_judges_nothing(run, settings, tmp_path):
    result = run(settings(), OFFLINE)
    assert result.not_judged.startswith("Not judged: generator=offline is no language model")
    assert {measure.value for measure in [*result.measures, *result.real]} == {None}
    assert all(measure.undefined.startswith("undefined because nothing was judged") for measure in result.measures)
    assert result.preference is None
    assert not result.rows.size
    assert len(result.templates_sha256) == 64
    assert result.funnel.wanted > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0}, r"judge\.n=0: must be 1 or more"),
        ({"repeats": 0}, r"judge\.repeats=0"),
        ({"attempts": 0}, r"judge\.attempts=0"),
        ({"turns": 0}, r"judge\.turns=0: must be from 1 to 999"),
        ({"turns": 1000}, r"judge\.turns=1000"),
        ({"minimum": 0}, r"judge\.minimum=0"),
        ({"n": 19, "minimum": 20}, r"judge\.n=19: must be 20 or more: of fewer than judge\.minimum there is no figure"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(change, words, run, settings):
    with pytest.raises(UserError, match=words):
        run(settings(**change), OFFLINE)


def test_more_is_better_but_labels_may_be_too_obvious(run, settings):
    better = {measure.name: measure.better for measure in run(settings(), OFFLINE).measures}
    assert better == {
        "naturalness": "higher",
        "coherence": "higher",
        "emotional_fit": "real",
        "called_more_natural": "higher",
    }


def test_the_shipped_settings_have_a_value_for_every_key():
    shipped = OmegaConf.load(resource("conf") / "judge" / "default.yaml")
    assert list(shipped) == [field.name for field in fields(JudgeConfig)]
    cfg = OmegaConf.merge(
        {"data": {"path": "data/mini_bal"}, "judge": OmegaConf.structured(JudgeConfig)}, {"judge": shipped}
    )
    assert OmegaConf.to_object(cfg.judge) == JudgeConfig(100, 2, 3, 20, 20, "data/mini_bal.judge.sqlite", False, False)


@pytest.fixture(scope="module")
def model(says, tmp_path_factory):
    """A tiny model with room for the rubric, which is long in its few hundred pieces of words."""
    folder = says.load("transformers_serve").tiny_llama(tmp_path_factory.mktemp("tiny") / "llama")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "max_position_embeddings": 8192}))
    return folder


def in_process(model):
    sampling = SamplingConfig(
        temperature=0.7, top_p=1.0, top_k=10000, repetition_penalty=1.0, typical_p=0.995, max_new_tokens=12
    )
    return TransformersConfig(
        name="transformers",
        window=8,
        sampling=sampling,
        on_unsupported=OnUnsupported.error,
        chat_template=ChatTemplate.model,
        model=str(model),
        device="cpu",
        dtype="auto",
        batch_size=8,
    )


def test_random_weights_in_this_process_judge_nothing(run, settings, model, gibberish, synthetic):
    wanted = settings(n=2, minimum=2, repeats=1, attempts=2, turns=3)
    result = run(wanted, in_process(model), synthetic)
    gibberish(result, wanted, run)
    assert run(wanted, in_process(model), synthetic).rows.equals(result.rows)


def test_without_a_real_dialogue_of_its_length_nothing_is_judged(run, settings, model):
    result = run(settings(), in_process(model), [])
    assert result.not_judged.startswith("Not judged: none of 0 synthetic dialogues has a real one of about its length")
    assert result.funnel.pairs == 0
