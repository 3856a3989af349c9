import shutil
import time
from collections import Counter
from random import Random

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.generation.personas import Inventories, Persona, Situation, read_background, read_situation
from ercsatz.generation.rejection import Reason
from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.resources import resource

INVENTORY = resource("prompts") / "persona" / "inventory"
PROSE = "They grew up by the sea. Their family kept a shop, and money was short."
SITUATION = "Situation: The last bus has gone, and it rains.\nRelation: They are cousins."


@pytest.fixture(scope="module")
def inventories():
    return Inventories(INVENTORY)


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(INVENTORY, tmp_path / "inventory")


def said(text, finish_reason=FinishReason.stop):
    return Answer(text, finish_reason)


def listed(name):
    return yaml.safe_load((INVENTORY / f"{name}.yaml").read_text(encoding="utf-8"))


def people(inventories, n=2000):
    return [inventories.base(Random(seed), "Maya", None) for seed in range(n)]


def test_occupations_go_with_ages(inventories):
    ages = {entry["text"]: entry["ages"] for entry in listed("occupations")}
    drawn = people(inventories)
    assert all(ages[person.occupation][0] <= person.age <= ages[person.occupation][1] for person in drawn)
    assert {person.age for person in drawn} == set(range(14, 91))


def test_draws_follow_the_weights(inventories):
    drawn = people(inventories, 4000)
    shares = Counter(person.gender for person in drawn)
    assert 0.46 < shares["female"] / 4000 < 0.52
    assert 0.01 < shares["non-binary"] / 4000 < 0.03
    assert 0.15 < sum(person.age in range(20, 30) for person in drawn) / 4000 < 0.21
    assert len({person.mbti for person in drawn}) == 16


def test_known_gender_is_kept_and_changes_nothing_else(inventories):
    free, given_ = (inventories.base(Random(5), "Maya", gender) for gender in (None, "female"))
    assert given_.gender == "female"
    assert (free.age, free.occupation, free.mbti) == (given_.age, given_.occupation, given_.mbti)


def test_draws_repeat_with_the_seed(inventories):
    def draw(seed):
        rng = Random(seed)
        person = inventories.base(rng, "Maya", None)
        return person.with_background(inventories.background(rng, person)), inventories.situation(rng, 3)

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(300)}) == 300


@pytest.mark.parametrize("age", [14, 17, 30, 90, None])
def test_background_has_a_fitting_sentence_of_each_part(inventories, age):
    parts = listed("backgrounds")
    for seed in range(200):
        text = inventories.background(Random(seed), Persona("Maya", age=age))
        regions = set()
        for entries in parts.values():
            (entry,) = [e for e in entries if text.startswith(e["text"])]
            text = text[len(entry["text"]) :].lstrip()
            regions |= {entry["region"]} if "region" in entry else set()
            low, high = entry.get("ages", (0, 100))
            assert low <= age <= high if age is not None else "ages" not in entry
        assert not text
        assert len(regions) <= 1


@pytest.mark.parametrize("n_speakers", [1, 2, 3, 4])
def test_relation_fits_the_number_of_speakers(inventories, n_speakers):
    sizes = {entry["text"]: entry["sizes"] for entry in listed("relations")}
    for seed in range(200):
        situation = inventories.situation(Random(seed), n_speakers)
        assert situation.relation is None if n_speakers == 1 else n_speakers in sizes[situation.relation]


def test_shipped_inventories_are_large_and_say_nothing_twice():
    parts = listed("backgrounds")
    assert len(parts) == 5
    sizes = {"occupations": 120, "situations": 100, "relations": 30, "mbti": 16} | dict.fromkeys(parts, 40)
    for name, least in sizes.items():
        texts = [e if isinstance(e, str) else e["text"] for e in parts.get(name) or listed(name)]
        assert len(set(texts)) == len(texts) >= least
        assert name in ("occupations", "relations", "mbti") or all(text.endswith(".") for text in texts)
    customs = {entry["region"] for entry in parts["customs"] if "region" in entry}
    assert customs == {entry["region"] for entry in parts["upbringing"] if "region" in entry}


def test_content_hash_follows_every_file(folder, inventories):
    hashes = {inventories.sha256}
    assert Inventories(folder).sha256 in hashes
    for file in sorted(folder.glob("*.yaml")):
        file.write_bytes(file.read_bytes() + b"# checked\n")
        hashes.add(Inventories(folder).sha256)
    assert len(hashes) == 8


def test_entries_are_texts_or_mappings(folder):
    (folder / "situations.yaml").write_text("- It rains.\n- {text: It pours., weight: 99}\n", encoding="utf-8")
    edited = Inventories(folder)
    drawn = Counter(edited.situation(Random(seed), 1).text for seed in range(300))
    assert drawn["It pours."] > 270


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("genders", "", r"genders\.yaml: must be a list"),
        ("genders", "{}", r"genders\.yaml: must be a list"),
        ("genders", "- [", r"genders\.yaml: not valid YAML: (?s:.*)line 2"),
        ("genders", "- {text: female, wieght: 3}", r"entry 1 .*female.*unknown key 'wieght'.*text, weight"),
        ("genders", "- female\n- {text: male, weight: 0}", r"entry 2 .*weight must be a number above 0"),
        ("genders", "- {text: female, weight: .nan}", "weight must be"),
        ("genders", "- {text: female, weight: yes}", "weight must be"),
        ("genders", "- {weight: 1}", "has no text"),
        ("mbti", "- no", r"mbti\.yaml, entry 1.*text must be a text; YAML reads yes, no"),
        ("mbti", '- "a\\ud800"', "text must be|not valid YAML"),
        ("ages", "- 20", "unknown key 'text'"),
        ("ages", "- {weight: 1}", "has no ages"),
        ("ages", "- {ages: [30, 20]}", r"ages must be the lowest and the highest age, as \[18, 65\]"),
        ("occupations", "- {text: nurse, ages: 30}", "ages must be"),
        ("occupations", "- {text: nurse, ages: [20, 66]}", r"occupations\.yaml: no occupation for age 14"),
        ("backgrounds", "- text", r"backgrounds\.yaml: must map"),
        ("backgrounds", "place: []", r"backgrounds\.yaml, place: must be a list"),
        ("backgrounds", "place: [{text: Here., ages: [20, 30]}]", "place: every entry has ages or a region"),
        ("backgrounds", "place: [{text: Here., region: 3}]", r"place, entry 1.*region must be a word"),
        ("relations", "- {text: cousins, sizes: [5]}", "sizes must be a list of numbers of speakers"),
        ("relations", "- {text: cousins, sizes: [2, 3]}", "no relation has 4"),
    ],
)
def test_senseless_entries_are_refused_with_their_place(folder, name, content, words):
    (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        Inventories(folder)


def test_missing_file_is_named(folder):
    (folder / "ages.yaml").unlink()
    with pytest.raises(UserError, match=r"ages\.yaml: No such file.*copy the shipped"):
        Inventories(folder)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        f"  {PROSE}\r\n",
        PROSE.replace(". Their", ".\n\nTheir"),
        f"Background: {PROSE}",
        f"**Background:**\n{PROSE}",
        f"## Socio-cultural background\n\n{PROSE}",
        f"Sure! Here is the background: {PROSE}",
        f"Sure!\n\nHere's a background of the person you described:\n\n{PROSE}",
        f"Here is the socio-cultural background of this person.\n{PROSE}\nI hope this helps!",
        f'"{PROSE}"',
        f"\u201c{PROSE}\u201d",
        f"*{PROSE}*",
        f"```text\n{PROSE}\n```",
        f"> {PROSE}\n\n---\nLet me know if you would like another one.",
        PROSE.replace(" grew", "\x00\u200b\ud800 grew"),
    ],
)
def test_background_is_read_as_one_paragraph(text):
    assert read_background(said(text)) == PROSE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.empty),
        (" \n\ud800\n---", Reason.empty),
        (PROSE[:-5], Reason.cut_off),
        ("Sure! Here is the background:", Reason.bad_background),
        ("Unknown person.", Reason.bad_background),
        ("word " * 121 + ".", Reason.bad_background),
        ("I'm sorry, but I can't write about real people.", Reason.bad_background),
        ("As an AI language model, I have no background at all.", Reason.bad_background),
        ("- They grew up by the sea.\n- Their family kept a shop.", Reason.bad_background),
        ("1. They grew up by the sea.\n2. Their family kept a shop.", Reason.bad_background),
        ("Family: They have two brothers.\nMeans: There was never much money.", Reason.bad_background),
        ('{"background": "They grew up by the sea in a house."}', Reason.bad_background),
        ('```json\n{"background":\n"They grew up by the sea in a house."}\n```', Reason.bad_background),
        (". . . . . . . .", Reason.bad_background),
    ],
)
def test_unusable_background_has_a_reason(text, reason):
    assert read_background(said(text)) is reason


@pytest.mark.parametrize(
    "text",
    [
        SITUATION,
        SITUATION.replace("\n", "\r\n\r\n"),
        f"Sure! Here is a situation:\n\n{SITUATION}\n\nI hope this helps!",
        "**Situation:** The last bus has gone, and it rains.\n**Relation:** They are cousins.",
        "1. Situation: The last bus has gone, and it rains.\n2. Relationship: They are cousins.",
        "- situation: The last bus has gone,\n  and it rains.\n- RELATION: They are cousins.",
        "Relation: They are cousins.\nSituation:\nThe last bus has gone, and it rains.",
        'Situation: "The last bus has gone, and it rains."\nRelation: "They are cousins."',
        '"Situation: The last bus has gone, and it rains."\n"Relation: They are cousins."',
    ],
)
def test_situation_is_read_from_its_two_lines(text):
    expected = Situation("The last bus has gone, and it rains.", "They are cousins.")
    assert read_situation(said(text), wants_relation=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        SITUATION,
        SITUATION.split("\n")[0],
        "The last bus has gone, and it rains.",
        f"Sure! Here it is:\n{SITUATION}",
    ],
)
def test_single_speaker_has_no_relation(text):
    expected = Situation("The last bus has gone, and it rains.", None)
    assert read_situation(said(text), wants_relation=False) == expected


@pytest.mark.parametrize(
    "text",
    [
        SITUATION.split("\n")[0],
        SITUATION.split("\n")[1],
        SITUATION.replace("They are cousins.", ""),
        "The last bus has gone, and it rains. They are cousins.",
        f"{SITUATION}\nMaya: Where is it? (1)\nTomas: Gone. (4)",
        f"{SITUATION}\n{SITUATION}",
        "Situation: " + "word " * 121 + "\nRelation: cousins",
        SITUATION + " word" * 61,
        '{"Situation": "The last bus has gone.", "Relation": "cousins"}',
        "{\nSituation: The last bus has gone, and it rains.\nRelation: They are cousins.\n}",
        "Situation: I'm sorry, but I can't help with that.\nRelation: none",
        "Situation:\n- The last bus has gone.\n- It rains.\nRelation: cousins",
    ],
)
def test_other_situations_are_rejected(text):
    assert read_situation(said(text), wants_relation=True) is Reason.bad_situation


@pytest.mark.parametrize("read", [read_background, lambda answer: read_situation(answer, True)])
def test_length_limit_means_cut_off_and_nothing_means_empty(read):
    assert read(said(PROSE, FinishReason.length)) is Reason.cut_off
    assert read(said("\n \n", FinishReason.length)) is Reason.empty


WORDS = ("Situation:", "Relation:", "Background:", "Sure! ", "Here is", "They grew up by the sea. ", "I'm sorry", ": ")
MARKS = (
    "\n",
    "\r",
    "- ",
    "1. ",
    "**",
    "__",
    "```",
    '"',
    "\u201c",
    "{",
    "|",
    "\ud800",
    "\x00",
    "\u2028",
    "\u202e",
    "\t",
)
PIECES = st.sampled_from(WORDS + MARKS)
ANYTHING = st.text(st.characters(codec=None, exclude_categories=())) | st.lists(PIECES, max_size=30).map("".join)


@settings(deadline=None, max_examples=300)
@given(text=ANYTHING, reason=st.sampled_from(FinishReason), wants_relation=st.booleans())
@example("Background:", FinishReason.stop, True)
def test_any_answer_is_read_or_has_a_reason(text, reason, wants_relation):
    background = read_background(said(text, reason))
    situation = read_situation(said(text, reason), wants_relation)
    words = [] if isinstance(background, Reason) else [background]
    if isinstance(situation, Situation):
        assert (situation.relation is None) is (not wants_relation)
        words += [situation.text, situation.relation or "none"]
    for word in words:
        word.encode()
        assert word == " ".join(word.split())
        assert word


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "Situation: a\n" * 20_000, "Here is " * 10**5, '"' * 10**6, "a:\n" * 20_000, "*_" * 10**5]
)
def test_long_answers_take_linear_time(text):
    start = time.perf_counter()
    read_background(said(text))
    read_situation(said(text), wants_relation=False)
    assert time.perf_counter() - start < 2
