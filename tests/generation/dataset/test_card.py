from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.generation.dataset.card import CardFacts, card
from ercsatz.generation.dataset.folder import new_folder
from ercsatz.generation.dataset.store import Shelf, SplitSummary
from ercsatz.generation.rejection import Funnel, Reason
from ercsatz.generators.language_model import TABLE_2, profile
from ercsatz.generators.offline.generator import PROFILE
from ercsatz.reporting.card import inert

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@dataclass(frozen=True)
class Report:
    checked: bool = True
    dialogues: int = 3
    by_kind: Mapping[str, int] = field(default_factory=lambda: {"utterance": 2, "containment": 1})


def facts(name="meld_bal", title="MELD", labels=("joy", "anger"), prompt="Write a dialogue.", **changes) -> CardFacts:
    funnel = Funnel()
    funnel.count("kept", None)
    funnel.count("answered", Reason.no_text)
    funnel.rejected[Reason.no_text] = 4
    own = {
        "sampling": {"temperature": 0.7},
        "dropped": {},
        "chat_template": "vicuna",
        "tokenizer": None,
        "grammar": "a" * 500,
    }
    return replace(
        CardFacts(
            settings={
                "data": name,
                "mode": "balanced",
                "targets": list(labels),
                "benchmark": {"title": title, "labels": list(labels)},
                "generator": {"name": "tgi", **own},
                "turns": [5, 14],
                "seed": 7,
                "templates_sha256": "0f" * 32,
                "plan": {"n_dialogues": 12000, "n_kept": None, "n_utterances": None, "attempts": 3},
                "split": {"validation": 0.1, "test": 0.1},
                "checks": {
                    "near_duplicate": 0.8,
                    "leakage": {"words": 6, "ngram": 8, "containment": 0.1, "dialogue": 0.5},
                },
            },
            splits={
                "train": SplitSummary(
                    8000, 80_000, Counter({labels[0]: 60_000, labels[1]: 20_000}), Counter({labels[0]: 5000})
                ),
                "validation": SplitSummary(1000, 10_000, Counter({labels[0]: 10_000})),
                "test": SplitSummary(1000, 10_000, Counter({labels[1]: 10_000})),
            },
            funnel=funnel,
            profile=profile(TABLE_2, guided=True),
            model="lmsys/vicuna-13b-v1.5@c8327bf",
            sent={"temperature": 0.7, "top_k": 10000},
            dropped={"typical_p": 0.995},
            seed_kept=True,
            shipped_prompts=True,
            example_prompt=prompt,
            tokens=(1_234_567, 7_654_321),
            benchmark_labels={labels[0]: 1743, labels[1]: 1109},
            leakage=Report(),
        ),
        **changes,
    )


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_card_says_what_a_reader_has_to_know():
    text = card(facts())
    for words in (
        "| generator | tgi |",
        "| model | lmsys/vicuna-13b-v1.5\\@c8327bf |",
        "| sampling parameters sent | temperature=0.7, top_k=10000 |",
        "| asked for, but not honoured and so not sent | typical_p=0.995 |",
        "| chat_template | vicuna |",
        "| tokenizer | none |",
        "| seed of a request | kept:",
        "| goal | 12,000 dialogues asked for, of 5 to 14 turns, each asked for 3 times at most |",
        "reconstruct those of Kaplan",
        "```text\nWrite a dialogue.\n```\n",
        "| asked | 2 | dialogues that the model was asked for |",
        "| kept | 1 | neither a repeat nor a leak: the data set |",
        "| no_text | 1 | 4 | a turn has no words |",
        "1,234,567 in prompts, 7,654,321 in answers",
        "| train | 8,000 | 80,000 | 10.0 |",
        "| joy | 60,000 | 10,000 | 0 | 70.0 | 1,743 | 61.1 | 5,000 |",
        "Balanced are the dialogues, by the one emotion that was wanted in each at least once (last column)",
        "![Utterances a label](labels.png)",
        "Jaccard similarity of 0.8 or more",
        "10 % of its word 8-grams",
        "Left out: 3; every hit is in `leakage.jsonl`",
        "| kind of hit | hits |",
        "| containment | 1 |",
        "no person has checked them",
        "the licence of the model says",
    ):
        assert words in text
    assert "a" * 200 not in text
    assert "may hold text of the real test set" not in text


def test_card_says_what_was_not_done():
    bare = facts(
        profile=PROFILE, sent={}, dropped={}, seed_kept=None, tokens=None, benchmark_labels={}, funnel=Funnel(),
        leakage=Report(checked=False, by_kind={}),
    )  # fmt: skip
    text = card(bare)
    for words in (
        "| sampling parameters sent | none |",
        "| seed of a request | not tried out |",
        "Tokens were not counted.",
        "No label counts of the benchmark are published.",
        "**not** compared with the real validation and test sets of MELD: the files of these were not there",
        "may hold text of the real test set",
        "No language model was asked",
    ):
        assert words in text
    assert "benchmark's train |" not in text


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"n_kept": 10, "n_utterances": None}, "10 dialogues kept, of 5 to 14 turns"),
        ({"n_kept": None, "n_utterances": 9989}, "9,989 utterances kept, in dialogues of 5 to 14 turns"),
    ],
)
def test_goal_is_told(plan, words):
    made = facts()
    plan |= {"n_dialogues": None, "attempts": 1}
    assert words in card(replace(made, settings={**made.settings, "plan": plan}))


def test_front_matter_is_the_hubs():
    found = front_matter(card(facts()))
    assert found["pretty_name"] == "meld_bal"
    assert (found["license"], found["language"], found["size_categories"]) == ("other", ["en"], ["10K<n<100K"])
    assert found["configs"][0]["data_files"][1] == {"split": "validation", "path": "validation.parquet"}


hostile = st.one_of(
    st.sampled_from(
        [
            "a | b || c",
            "<script>alert(1)</script><!-- ",
            "x\n\n# Licence\n\n---\nlicense: mit\n---\n",
            "![x](http://e.vil/x.png) [y](javascript:1) <http://e.vil> http://e.vil www.e.vil me@e.vil",
            "**b** __i__ _i_ `c` ``` ~~~ ~~s~~ $x$ a_b_c",
            "\\| \\\\| \\` &lt;b&gt; &#124; \\",
            "- 1. > : {{x}} {% raw %}",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
).filter(lambda text: text.strip())


@settings(deadline=None, max_examples=40)
@given(hostile, hostile, hostile, hostile)
def test_hostile_names_are_shown_and_do_nothing(name, title, label, model):
    plain, odd = facts(), facts(name, title, (label, "anger"), model=model, sent={name: label})
    text = card(odd)
    assert front_matter(text) | {"pretty_name": ""} == front_matter(card(plain)) | {"pretty_name": ""}
    assert front_matter(text)["pretty_name"] == " ".join(name.split())
    assert structure(text) == structure(card(plain))
    shown = [shown_text(token.children) for token in tokens(text) if token.type == "inline"]
    assert shown[0] == " ".join(name.split())
    assert " ".join(model.split())[:150] in " ".join(shown)
    assert " ".join(label.split()) in shown


def body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def tokens(text: str) -> list:
    return MARKDOWN.parse(body(text))


def structure(text: str) -> list:
    """What is a heading, a table, a link and so on, without the words."""
    flat = []
    for token in tokens(text):
        flat += [
            token.type,
            *(child.type for child in token.children or () if child.type not in ("text", "text_special")),
        ]
    return flat


def shown_text(children) -> str:
    return "".join(child.content for child in children)


@settings(deadline=None, max_examples=40)
@given(st.one_of(hostile, st.text("`~\n a", max_size=40)))
def test_prompt_is_one_block_whatever_is_in_it(prompt):
    text = card(facts(prompt=f"A {prompt}"))
    (block,) = (token for token in tokens(text) if token.type == "fence")
    assert block.content == f"A {prompt}".replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"
    assert structure(text) == structure(card(facts()))


def test_plain_names_stay_readable():
    assert inert("meld_bal: top_k=10000, 0.7 (a-b)") == "meld_bal: top_k=10000, 0.7 (a-b)"


def test_folder_with_this_card_loads_with_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    turns = (Utterance("Maya", "You're early.", "joy"), Utterance("Tomas", "Hm.", None))
    persona = {"speaker": "Maya", "age": 31, "gender": None, "occupation": "nurse", "mbti": "INTJ", "background": None}
    provenance = {"seed": 2**63 - 1, "mode": "persona", "target": "joy", "personas": [persona], "situation": None}
    with new_folder(tmp_path / "d") as new, Shelf(tmp_path) as shelf:
        for index in range(40):
            shelf.add(Dialogue(f"{index:06d}", turns, {"index": index} | provenance))
        splits = shelf.write_splits(new, 0.1, 0.1, seed=0)
        (new / "README.md").write_text(card(facts(splits=splits)))
        (new / "leakage.jsonl").write_text('{"another": "schema"}\n')
    loaded = datasets.load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {"train": 32, "validation": 4, "test": 4}
    row = loaded["train"][0]
    assert row["utterances"] == [{"speaker": t.speaker, "text": t.text, "emotion": t.emotion} for t in turns]
    assert row["provenance"]["seed"] == 2**63 - 1
    assert row["provenance"]["personas"] == [persona]


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ([], None),
        (["neutral", "anger"], "Every label was the target of equally many requests"),
        (["anger"], "Each of anger was the target of equally many requests"),
    ],
)
def test_the_card_says_which_emotions_were_asked_for(targets, told):
    one = facts(labels=("neutral", "anger"))
    text = card(replace(one, settings={**one.settings, "targets": targets}))
    assert (told in text) if told else ("was the target" not in text)


def test_the_card_does_not_call_own_prompts_a_reconstruction():
    assert "The prompts reconstruct those of Kaplan" in card(facts())
    assert "The prompts are not those that ercsatz ships." in card(facts(shipped_prompts=False))
