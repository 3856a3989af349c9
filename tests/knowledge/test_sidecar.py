import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ercsatz.data.dialogue import Knowledge, fingerprint
from ercsatz.errors import UserError
from ercsatz.knowledge import Found, Inference, Sidecar, attach, find, text_hash
from ercsatz.knowledge import sidecar as sidecar_module
from ercsatz.knowledge.merge import adding
from ercsatz.knowledge.sidecar import SidecarEntry, paths, read_entries, write_entries
from ercsatz.knowledge.vectors import write_vectors

LATE = Found("PersonX is late", 0.75, Inference((), ("sorry",), ()))
HURRY = Inference(("to hurry",), ("nervous",), ("annoyed", "bored"))
KEYS, KIND, TRAIN = map(text_hash, ("I lost my keys again.", "Thank you, that is so kind.", "The train!"))
KNOWN = [
    SidecarEntry("train", "0", 0, KEYS, (LATE,), HURRY, {"retrieved": "a", "generated": "b"}),
    SidecarEntry("train", "1", 1, KIND, generated=HURRY),
    SidecarEntry("test", "a/b", 2, TRAIN, retrieved=(LATE,)),
]
LINE = {"split": "train", "dialogue": "0", "turn": 0, "text": KEYS}
RELATIONS = {"xIntent": [], "xReact": ["x"], "oReact": []}

words = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), max_size=2).map(tuple)
inferences = st.builds(Inference, words, words, words)
events = st.builds(Found, st.just("PersonX waits"), st.floats(-1, 1), inferences)
entries = st.builds(
    SidecarEntry,
    st.sampled_from(["train", "validation", "test"]),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(0, 99),
    st.text(st.characters(exclude_categories=["Cs"])).map(text_hash),
    st.lists(events, max_size=2).map(tuple),
    inferences,
)


@pytest.fixture
def sidecar(tmp_path):
    path, _ = paths(tmp_path, "mini_org")
    write_entries(path, KNOWN)
    found = find(tmp_path, "mini_org")
    assert found is not None
    return found


def knowledge(dialogues):
    return {(d.id, n): turn.knowledge for d in dialogues for n, turn in enumerate(d.utterances) if turn.knowledge}


def attach_one(splits, split, sidecar):
    return attach({split: splits[split]}, sidecar)[split]


def test_no_file_is_no_sidecar(tmp_path):
    assert find(tmp_path, "mini_org") is None


def test_attached_statements_are_those_of_the_split(sidecar, splits):
    both = ("PersonX wants to hurry.", "PersonX feels nervous.", "PersonY feels annoyed and bored.")
    attached = attach_one(splits, "train", sidecar)
    assert knowledge(attached) == {("0", 0): Knowledge(("PersonX feels sorry.",), both), ("1", 1): Knowledge((), both)}
    assert knowledge(attach_one(splits, "test", sidecar)) == {("a/b", 2): Knowledge(("PersonX feels sorry.",))}
    assert knowledge(attach_one(splits, "validation", sidecar)) == {}


def test_nothing_but_knowledge_is_changed(sidecar, splits):
    attached = attach_one(splits, "train", sidecar)
    bare = [replace(d, utterances=tuple(replace(u, knowledge=None) for u in d.utterances)) for d in attached]
    assert tuple(bare) == splits["train"]
    assert fingerprint(attached) != fingerprint(splits["train"])


def test_attaching_what_says_nothing_leaves_the_fingerprint(tmp_path, splits):
    path, _ = paths(tmp_path, "m")
    path.parent.mkdir()
    path.write_text(json.dumps({**LINE, "retrieved": [], "generated": {**RELATIONS, "xReact": []}}) + "\n")
    attached = attach_one(splits, "train", Sidecar("m", path, None))
    assert fingerprint(attached) == fingerprint(splits["train"])


@given(st.lists(entries, max_size=4, unique_by=lambda entry: entry.key))
def test_what_is_written_is_read_again(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("sidecar") / "s.jsonl"
    write_entries(path, written)
    assert [entry for _, entry in read_entries(path)] == [each for each in written if each.retrieved or each.generated]


@pytest.mark.parametrize(("split", "dialogue", "turn"), [("train", "7", 0), ("train", "1", 2), ("test", "0", 0)])
def test_a_line_about_what_is_not_there_is_refused_with_its_place(tmp_path, splits, split, dialogue, turn):
    path, _ = paths(tmp_path, "m")
    write_entries(path, [KNOWN[0], SidecarEntry(split, dialogue, turn, KEYS, (LATE,))])
    with pytest.raises(UserError, match=r"m\.jsonl, line 2: .*another data set"):
        attach_one(splits, split, Sidecar("m", path, None))


def other_words(splits, split, dialogue, turn):
    """The same data set, but that one turn says something else."""
    changed = []
    for each in splits[split]:
        if each.id == dialogue:
            turns = list(each.utterances)
            turns[turn] = replace(turns[turn], text="Something else.")
            each = replace(each, utterances=tuple(turns))
        changed.append(each)
    return {**splits, split: tuple(changed)}


def test_a_line_about_another_text_is_refused_with_the_command_that_makes_the_file_again(sidecar, splits):
    """As after the data set was generated again: ids and numbers of turns are still the same."""
    later = other_words(splits, "train", "1", 1)
    told = r"mini_org\.jsonl, line 2: turn 1 of dialogue '1' \(train\) has another text, .*knowledge\.py data=mini_org"
    with pytest.raises(UserError, match=told):
        attach(later, sidecar)
    with (
        pytest.raises(UserError, match=told),
        adding(sidecar.statements, later, "generated", "c", overwrite=True),
    ):
        pass
    attach({"test": later["test"]}, sidecar)  # whose texts are those of before
    attach(other_words(splits, "train", "1", 0), sidecar)  # of which nothing is known


def test_white_space_is_no_other_text(sidecar, splits):
    spaced = [
        replace(d, utterances=tuple(replace(u, text=f" {u.text} ".replace(" ", "\t ")) for u in d.utterances))
        for d in splits["train"]
    ]
    assert knowledge(attach({"train": spaced}, sidecar)["train"]) == knowledge(attach_one(splits, "train", sidecar))


def test_all_splits_are_attached_in_one_reading(sidecar, splits, monkeypatch):
    read, original = [], sidecar_module.read_entries
    monkeypatch.setattr(sidecar_module, "read_entries", lambda path: (read.append(path), original(path))[1])
    attached = attach(splits, sidecar)
    assert read == [sidecar.statements]
    assert attached == {split: attach_one(splits, split, sidecar) for split in splits}


def test_lines_about_other_splits_are_passed_over(tmp_path, splits):
    path, _ = paths(tmp_path, "m")
    write_entries(path, [SidecarEntry("test", "unknown here", 0, KEYS, (LATE,)), KNOWN[1]])
    assert list(knowledge(attach_one(splits, "train", Sidecar("m", path, None)))) == [("1", 1)]


FOUND = {"event": "e", "score": 0.5, **RELATIONS}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ([], "expected an object"),
        ({"split": "train", "turn": 0}, "'dialogue' is missing"),
        ({**LINE, "texts": "x"}, "unknown key 'texts'"),
        ({**LINE, "text": "x"}, "'text' must be the 8 hex digits"),
        ({**LINE, "text": KEYS.upper()}, "'text'"),
        ({**LINE, "text": 12345678}, "'text'"),
        ({key: value for key, value in LINE.items() if key != "text"}, "'text' must be"),
        ({**LINE, "split": "dev"}, "'split'"),
        ({**LINE, "dialogue": 0}, "'dialogue'"),
        ({**LINE, "turn": -1}, "'turn'"),
        ({**LINE, "turn": True}, "'turn'"),
        ({**LINE, "turn": "0"}, "'turn'"),
        ({**LINE, "retrieved": {}}, "'retrieved' must be a list"),
        ({**LINE, "retrieved": [{**FOUND, "score": "high"}]}, "retrieved 1: 'score'"),
        ({**LINE, "retrieved": [FOUND, {**FOUND, "event": " "}]}, "retrieved 2: 'event'"),
        ({**LINE, "retrieved": [{**FOUND, "xReact": "sad"}]}, "'xReact' must be a list"),
        ({**LINE, "generated": {"xIntent": [], "xReact": []}}, "'oReact' is missing"),
        ({**LINE, "generated": {**RELATIONS, "xNeed": []}}, "unknown key 'xNeed'"),
        ({**LINE, "generated": {**RELATIONS, "xReact": [" "]}}, "'xReact' must be a list of phrases"),
        ({**LINE, "generated": {**RELATIONS, "xReact": ["\ud83d"]}}, "surrogate"),
        ({**LINE, "by": {"written": "x"}}, "'by'"),
        ({**LINE, "by": "me"}, "'by'"),
        ({**LINE, "turn": 1}, "a second line about train '0', turn 1"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(tmp_path, splits, line, words):
    path = tmp_path / "bad.jsonl"
    first = json.dumps({**LINE, "turn": 1, "text": text_hash("You're joking!"), "generated": RELATIONS})
    path.write_text(f"{first}\n{line if isinstance(line, str) else json.dumps(line)}\n")
    with pytest.raises(UserError, match=rf"bad\.jsonl, line 2.*{words}"):
        attach_one(splits, "train", Sidecar("bad", path, None))


def test_a_file_that_is_not_utf8_is_refused(tmp_path, splits):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(json.dumps(LINE).encode() + b"\n\xff\n")
    with pytest.raises(UserError, match="not UTF-8"):
        attach_one(splits, "train", Sidecar("bad", path, None))


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "s.jsonl"
    write_entries(path, KNOWN[:1])
    before = path.read_bytes()

    def breaks():
        yield KNOWN[1]
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        write_entries(path, breaks())
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"s.jsonl"}


def test_one_part_is_written_and_the_other_kept(tmp_path, splits):
    path = tmp_path / "s.jsonl"
    write_entries(path, KNOWN)
    new = Inference(x_react=("glad",))
    with adding(path, splits, "generated", "c", overwrite=True) as put:
        put(SidecarEntry.about("train", splits["train"][0], 0, generated=new))
        put(SidecarEntry.about("train", splits["train"][0], 1, generated=new))
    read = {entry.key: entry for _, entry in read_entries(path)}
    assert read["train", "0", 0] == SidecarEntry(
        "train", "0", 0, KEYS, (LATE,), new, {"retrieved": "a", "generated": "c"}
    )
    assert read["train", "0", 1] == SidecarEntry(
        "train", "0", 1, text_hash("You're joking!"), (), new, {"generated": "c"}
    )
    assert read["train", "1", 1] == KNOWN[1]
    assert read["test", "a/b", 2] == KNOWN[2]


def test_a_part_from_elsewhere_is_replaced_only_if_asked_for(tmp_path, splits):
    path = tmp_path / "s.jsonl"
    write_entries(path, KNOWN)
    before = path.read_bytes()
    with (
        pytest.raises(UserError, match=r"retrieved knowledge from a; an unnamed source.*overwrite=true"),
        adding(path, splits, "retrieved", "new", overwrite=False),
    ):
        pass
    assert path.read_bytes() == before


def test_nothing_new_is_an_error_and_changes_nothing(tmp_path, splits):
    path = tmp_path / "s.jsonl"
    write_entries(path, KNOWN[1:2])
    before = path.read_bytes()
    with (
        pytest.raises(UserError, match="Nothing is retrieved for any utterance"),
        adding(path, splits, "retrieved", "new", overwrite=False) as put,
    ):
        put(SidecarEntry.about("train", splits["train"][0], 0))
    assert path.read_bytes() == before


def test_adding_to_the_sidecar_of_another_data_set_is_refused(tmp_path, splits):
    path = tmp_path / "s.jsonl"
    write_entries(path, [SidecarEntry("train", "other", 0, KEYS, (LATE,))])
    with (
        pytest.raises(UserError, match="another data set"),
        adding(path, splits, "generated", "c", overwrite=True),
    ):
        pass


def vectors(splits, width=4, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"{split}/{d.id}": rng.standard_normal((len(d.utterances), 3, width)).astype(np.float32)
        for split, dialogues in splits.items()
        for d in dialogues
    }


def test_vectors_are_attached_turn_by_turn_beside_what_is_retrieved(tmp_path, splits):
    statements, place = paths(tmp_path, "m")
    tensors = vectors(splits)
    del tensors["train/1"]
    write_vectors(place, tensors, splits, "x")
    write_entries(statements, KNOWN[2:])
    sidecar = find(tmp_path, "m")
    for split, dialogues in splits.items():
        for dialogue in attach_one({split: dialogues}, split, sidecar):
            for n, turn in enumerate(dialogue.utterances):
                if f"{split}/{dialogue.id}" not in tensors:
                    assert turn.knowledge is None
                    continue
                turn_vectors = np.frombuffer(turn.knowledge.vectors, np.float32).reshape(3, 4)
                np.testing.assert_array_equal(turn_vectors, tensors[f"{split}/{dialogue.id}"][n])
                assert bool(turn.knowledge.retrieved) == (split == "test" and n == 2)


def test_generated_statements_beside_vectors_are_refused(tmp_path, splits):
    statements, place = paths(tmp_path, "m")
    write_vectors(place, vectors(splits), splits, "x")
    write_entries(statements, KNOWN[2:] + KNOWN[:1])
    with pytest.raises(UserError, match=r"m\.jsonl, line 2: 'generated' beside the vectors"):
        attach_one(splits, "validation", find(tmp_path, "m"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train/7": np.zeros((2, 3, 4), np.float32)}, "no dialogue '7'"),
        ({"train/0": np.zeros((5, 3, 4), np.float32)}, "dialogue '0' has 4 turns"),
        ({"train/0": np.zeros((3, 3, 4), np.float32)}, "3 turns, but there are 4"),
        ({"train/0": np.zeros((4, 3, 5), np.float32)}, "different widths"),
        ({"train/0": np.zeros((4, 2, 4), np.float32)}, "must be F32 of"),
        ({"train/0": np.zeros((4, 3, 4))}, "F64"),
        ({"dev/0": np.zeros((4, 3, 4), np.float32)}, "names are SPLIT/DIALOGUE"),
        ({"train/0": np.full((4, 3, 4), np.nan, np.float32)}, "train/0: a number is NaN or infinite"),
    ],
)
def test_bad_vectors_are_refused(tmp_path, splits, change, words):
    _, place = paths(tmp_path, "m")
    write_vectors(place, {**vectors(splits), **change}, splits, "x")
    with pytest.raises(UserError, match=words):
        attach_one(splits, "train", find(tmp_path, "m"))


def test_vectors_of_other_texts_are_refused(tmp_path, splits):
    _, place = paths(tmp_path, "m")
    write_vectors(place, vectors(splits), splits, "x")
    assert attach(splits, find(tmp_path, "m"))["test"][0].utterances[0].knowledge.vectors
    told = r"tensor train/0: dialogue '0' \(train\) has other texts.*knowledge\.py data=m"
    with pytest.raises(UserError, match=told):
        attach(other_words(splits, "train", "0", 3), find(tmp_path, "m"))


@pytest.mark.parametrize("metadata", [None, {"by": "x"}, {"texts": "{"}, {"texts": "[]"}])
def test_vectors_that_do_not_say_whose_they_are_are_refused(tmp_path, splits, metadata):
    _, place = paths(tmp_path, "m")
    place.parent.mkdir()
    save_file(vectors(splits), place, metadata)
    with pytest.raises(UserError, match=r"m\.safetensors: the metadata lack 'texts'"):
        attach(splits, find(tmp_path, "m"))
    save_file(vectors(splits), place, {"texts": "{}"})
    with pytest.raises(UserError, match="has other texts"):
        attach(splits, find(tmp_path, "m"))


def test_a_broken_vector_file_is_refused(tmp_path, splits):
    _, place = paths(tmp_path, "m")
    place.parent.mkdir()
    place.write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        attach_one(splits, "train", find(tmp_path, "m"))
