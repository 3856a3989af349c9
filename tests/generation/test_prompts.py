import itertools
import re
import shutil
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, meta

from ercsatz.errors import UserError
from ercsatz.generation.personas import Persona, Situation
from ercsatz.llm.prompt import SENTENCES, Templates
from ercsatz.resources import resource

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
MODES = ("natural", "balanced", "persona")
CASTS = {"cast": ("Maya", "Tomas", "Priya"), "pair": ("M", "F")}
BASE = {"age": 34, "gender": "female", "occupation": "nurse", "mbti": "INFJ"}
BACKGROUND = "Grew up by the sea."
SITUATION = Situation("The bus is late.", "old friends")


def personas(speakers, base=True, background=True):
    text = BACKGROUND if background else None
    return [Persona(speaker, **known(speaker, base), background=text) for speaker in speakers]


def known(speaker, base):
    """What the plan knows of a speaker: of an unnamed one, the gender."""
    gender = {"M": "male", "F": "female"}.get(speaker)
    return BASE if base else {"gender": gender}


def variables(style="cast", speakers=None, n_turns=9, target="anger", unit="dialogue", **steps):
    speakers = speakers or CASTS[style][: 1 if unit == "text" else None]
    return {
        "style": style,
        "speakers": speakers,
        "labels": LABELS,
        "n_turns": n_turns,
        "target": target,
        "unit": unit,
        "personas": steps.pop("personas", None) or personas(speakers),
        "situation": SITUATION,
        **steps,
    }


def prompt(mode, **given):
    return Templates(mode).prompt(**variables(**given))


def common(first, second):
    return "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


ABLATIONS = list(itertools.product(CASTS, ("dialogue", "text"), (True, False), (True, False), (True, False)))


@pytest.mark.parametrize(("style", "unit", "base", "background", "situation"), ABLATIONS)
def test_persona_prompts_read_well_with_any_steps_off(style, unit, base, background, situation):
    speakers = CASTS[style][: 1 if unit == "text" else None]
    scene = Situation("The bus is late.", None if unit == "text" else "old friends") if situation else None
    given = variables(style, speakers, unit=unit, personas=personas(speakers, base, background), situation=scene)
    templates = Templates("persona")
    final = templates.prompt(**given)
    del given["situation"]
    told = templates.sentence("situation", **given)
    person = given.pop("personas")[0]
    del given["speakers"]
    asked = templates.sentence("background", **given, persona=Persona(person.speaker, **known(person.speaker, base)))

    for text in (final, told, asked):
        assert not re.search(r"None|[{}]|  |,,| [,.](?!\.)|[,:] *\n\n|\n\n\n", text), text
        assert text == text.strip()
    assert ("34 years old, female, nurse, personality type (MBTI) INFJ." in final) is base
    assert ("34 years old" in told) is ("34 years old" in asked) is base
    assert (BACKGROUND in final) is (BACKGROUND in told) is background
    assert ("Situation: The bus is late." in final) is situation
    assert ("Relation: old friends" in final) is (situation and unit == "dialogue")
    assert ("described there" in final) is (base or background or situation)
    assert all(f"- {speaker}" in final and f"- {speaker}" in told for speaker in speakers)
    assert 'the emotion "anger"' in final
    assert "Emotion: anger" in told
    assert ('"Relation: ..."' in told) is (unit == "dialogue")
    assert ("utterances" in final) is (unit == "dialogue")
    if not base:
        assert asked.endswith("Person: A man." if style == "pair" else "leave the gender open.")


def test_background_names_nobody():
    given = variables()
    del given["speakers"], given["personas"], given["situation"]
    text = Templates("persona").sentence("background", **given, persona=personas(["Maya"], background=False)[0])
    assert "Maya" not in text
    assert text.endswith("Person: 34 years old, female, nurse, personality type (MBTI) INFJ.")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", CASTS)
@pytest.mark.parametrize("guided", [True, False])
def test_every_mode_states_numbers_form_and_speakers(mode, style, guided):
    speakers = tuple("ABC"[: len(CASTS[style])]) if guided else CASTS[style]
    text = prompt(mode, style=style, speakers=speakers)
    numbers = ", ".join(f"{number} for {label}" for number, label in enumerate(LABELS, 1))
    assert f": {numbers}. " in text
    assert 'in the form "speaker: utterance (number)", and nothing else' in text
    assert "about 9 utterances" in text
    tail = text.split("nothing else", 1)[1]
    assert all(re.search(rf"\b{speaker}\b", tail) for speaker in speakers)
    man_and_woman = f"two unnamed speakers, a man ({speakers[0]}) and a woman ({speakers[1]})"
    assert (man_and_woman in text) is (style == "pair")


@pytest.mark.parametrize("style", CASTS)
def test_natural_prompts_begin_alike(style):
    first = prompt("natural", style=style, n_turns=5)
    names = ("Leo", "Ingrid", "Sam", "Maya") if style == "cast" else CASTS["pair"]
    second = prompt("natural", style=style, n_turns=14, speakers=names)
    assert first != second
    assert len(common(first, second)) >= 0.7 * max(len(first), len(second))
    assert "at least one" not in first


@pytest.mark.parametrize("mode", ["balanced", "persona"])
def test_sentences_before_the_structure_do_not_vary(mode):
    templates = Templates(mode)
    for name in ("task", "labels"):
        given = [{"n_turns": 5}, {"n_turns": 14, "speakers": ("Leo", "Sam")}]
        assert len({templates.sentence(name, **variables(**changed)) for changed in given}) == 1


def test_persona_prompt_varies_after_all_instructions_only():
    first = prompt("persona", target="joy", speakers=("Leo", "Sam"))
    second = prompt("persona", target="anger", speakers=("Leo", "Maya"))
    assert common(first, second).endswith('at least one expresses the emotion "')


@pytest.mark.parametrize("style", CASTS)
def test_balanced_first_sentence_ends_on_the_emotion_without_its_number(style):
    task = Templates("balanced").sentence("task", **variables(style, target="surprise"))
    assert task.endswith('at least one utterance expresses the emotion "surprise".')
    assert "3" not in task
    assert prompt("balanced", style=style, target="surprise").startswith(task)
    assert prompt("balanced", style=style).split(". ", 1)[1] == prompt("natural", style=style).split(". ", 1)[1]


HOSTILE = ["{{ 7*7 }}", "{% raw %}", 'Ann "the {# Hammer', "O'Neil & <b>", "{{ labels.clear() }}"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", MODES)
def test_hostile_words_are_inert(mode, name):
    people = [Persona(name, 34, name, name, name, name), Persona("Sam", 34, name, name, name, name)]
    text = prompt(mode, speakers=(name, "Sam"), target=name, personas=people, situation=Situation(name, name))
    assert name in text
    assert "49" not in text
    assert text.replace(name, "Maya").count("Maya") == text.count(name)


@pytest.mark.parametrize("mode", MODES)
def test_templates_use_documented_variables_only(mode):
    folder = resource("prompts")
    environment = Environment(loader=FileSystemLoader(folder))
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for file in (folder / mode).glob("*.j2"):
        used = meta.find_undeclared_variables(environment.parse(file.read_text(encoding="utf-8")))
        assert all(f"| `{variable}` |" in readme for variable in used), (file, used)


def test_unknown_variable_is_an_error_that_names_the_file(tmp_path):
    for name in SENTENCES:
        (tmp_path / "natural").mkdir(exist_ok=True)
        (tmp_path / "natural" / f"{name}.j2").write_text("{{ weather }}", encoding="utf-8")
    with pytest.raises(UserError, match=r"task\.j2.*weather"):
        Templates("natural", tmp_path).prompt(**variables())


@pytest.mark.parametrize(("mode", "parts"), [("natural", 1), ("balanced", 2), ("persona", 2)])
def test_sum_covers_the_folder_and_those_that_it_uses(tmp_path, mode, parts):
    copy = Path(shutil.copytree(resource("prompts"), tmp_path / "copy"))
    before = Templates(mode).sha256
    assert Templates(mode, copy).sha256 == before
    assert Templates(mode, copy).shipped
    changed = set()
    for file in copy.glob("*/*.j2"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text + " ", encoding="utf-8")
        if Templates(mode, copy).sha256 != before:
            assert not Templates(mode, copy).shipped
            changed.add(file.parent.name)
        file.write_text(text, encoding="utf-8")
    assert changed == {mode, "natural"}
    assert len(changed) == parts


def own_templates(folder, **texts):
    (folder / "mine").mkdir()
    for name, text in texts.items():
        (folder / "mine" / f"{name}.j2").write_text(text, encoding="utf-8")
    return Templates("mine", folder, resource("prompts"))


def test_own_templates_use_the_shipped_ones(tmp_path):
    include = {name: f'{{% include "natural/{name}.j2" %}}' for name in ("labels", "structure")}
    templates = own_templates(tmp_path, task="Quarrel about {{ target }}.", **include)
    _, rest = prompt("natural").split(". ", 1)
    assert templates.prompt(**variables()) == f"Quarrel about anger. {rest}"
    before = templates.sha256
    (tmp_path / "natural").mkdir()
    (tmp_path / "natural" / "labels.j2").write_text("Label it.", encoding="utf-8")
    assert Templates("mine", tmp_path, resource("prompts")).sha256 != before, "the own one comes first"
    assert Templates("mine", tmp_path, resource("prompts")).sentence("labels", **variables()) == "Label it."


def test_a_damaged_template_is_named(tmp_path):
    templates = own_templates(tmp_path, task="{% if %}")
    with pytest.raises(UserError, match=r"mine/task\.j2: TemplateSyntaxError"):
        templates.sha256  # noqa: B018 - a property
