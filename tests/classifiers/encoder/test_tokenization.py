import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.classifiers.encoder.pretrained import train_tokenizer
from ercsatz.classifiers.encoder.tokenization import REGISTERED, TokenisedDialogue, Tokeniser
from ercsatz.classifiers.speaker_tags import SpeakerTags
from ercsatz.data.dialogue import Dialogue, Knowledge, Utterance

LABELS = ("neutral", "joy", "anger")


def characters(texts: Sequence[str], **_: object) -> dict[str, list[list[int]]]:
    """A tokenizer for which a character is a token."""
    return {"input_ids": [list(map(ord, text)) for text in texts]}


def text_of(tokens: Sequence[int]) -> str:
    return "".join(map(chr, tokens))


said = st.text("abc ?", min_size=1, max_size=12)
knowledge = st.none() | st.builds(
    Knowledge, st.lists(said, max_size=3).map(tuple), st.lists(said, max_size=2).map(tuple)
)
turns = st.builds(
    Utterance,
    st.sampled_from([f"speaker {i}" for i in range(14)]),
    said,
    st.none() | st.sampled_from(LABELS),
    knowledge=knowledge,
)
labelled = st.lists(turns, min_size=1, max_size=14).filter(lambda turns: any(turn.emotion for turn in turns))
dialogues = st.builds(Dialogue, st.text(), labelled.map(tuple))


def tokenised(*dialogues: Dialogue, every_turn: bool = False) -> list[TokenisedDialogue]:
    return Tokeniser(characters, characters).tokenise(dialogues, LABELS, None, every_turn)


@given(dialogues)
def test_speakers_are_numbered_by_first_appearance(dialogue):
    (tokens,) = tokenised(dialogue)
    order = list(dict.fromkeys(turn.speaker for turn in dialogue.utterances))
    assert tokens.speakers == tuple(order.index(turn.speaker) for turn in dialogue.utterances)


@given(dialogues)
def test_the_whole_dialogue_is_its_turns_with_speaker_tags_and_spaces(dialogue):
    (tokens,) = tokenised(dialogue)
    order = list(dict.fromkeys(turn.speaker for turn in dialogue.utterances))
    assert [text_of(turn) for turn in tokens.turns] == [turn.text for turn in dialogue.utterances]
    assert text_of([token for turn in tokens.tagged for token in turn]) == " ".join(
        f"<s{order.index(turn.speaker) + 1}> {turn.text}" for turn in dialogue.utterances
    )


@given(dialogues)
def test_labels_are_indices_and_none_for_context(dialogue):
    (tokens,) = tokenised(dialogue)
    assert [None if i is None else LABELS[i] for i in tokens.labels] == [turn.emotion for turn in dialogue.utterances]


@given(dialogues, st.integers(1, 200), st.data())
def test_the_context_is_the_end_of_the_dialogue_up_to_the_turn(dialogue, max_tokens, data):
    (tokens,) = tokenised(dialogue)
    turn = data.draw(st.integers(0, len(dialogue.utterances) - 1))
    whole = [token for tagged in list(tokens.tagged)[: turn + 1] for token in tagged]
    assert tokens.context(turn, max_tokens).tolist() == whole[-max_tokens:]


@given(dialogues, st.data())
def test_earlier_turns_are_the_speakers_own_oldest_first(dialogue, data):
    (tokens,) = tokenised(dialogue)
    turn = data.draw(st.integers(0, len(dialogue.utterances) - 1))
    speakers = [turn.speaker for turn in dialogue.utterances]
    assert tokens.earlier_turns(turn) == [i for i, name in enumerate(speakers[:turn]) if name == speakers[turn]]


@given(st.lists(dialogues, min_size=1, max_size=3))
def test_statements_are_the_turns_retrieved_then_generated(corpus):
    for tokens, dialogue in zip(tokenised(*corpus), corpus, strict=True):
        found = [text_of(statement) for statement in tokens.statements]
        for turn, (retrieved, generated) in zip(dialogue.utterances, tokens.counts, strict=True):
            known = turn.knowledge or Knowledge()
            assert tuple(found[:retrieved]) == known.retrieved
            assert tuple(found[retrieved : retrieved + generated]) == known.generated
            found = found[retrieved + generated :]
        assert not found


@given(dialogues)
def test_targets_are_the_labelled_turns_or_all(dialogue):
    labelled = tuple(i for i, turn in enumerate(dialogue.utterances) if turn.emotion is not None)
    assert tokenised(dialogue)[0].targets == labelled
    assert tokenised(dialogue, every_turn=True)[0].targets == tuple(range(len(dialogue.utterances)))


def test_knowledge_that_came_as_vectors_is_kept_with_zeros_where_there_is_none():
    vectors = np.arange(6, dtype=np.float32)
    turns = (Utterance("Ann", "a", "joy"), Utterance("Bo", "b", None, knowledge=Knowledge(vectors=vectors.tobytes())))
    (tokens,) = tokenised(Dialogue("1", turns))
    assert tokens.given.tolist() == [[[0, 0]] * 3, [[0, 1], [2, 3], [4, 5]]]
    assert tokenised(Dialogue("1", turns[:1]))[0].given is None


# The real thing

TOKENIZER = train_tokenizer(["Where is my tea?", "<s1> I don't know; ask <s2>!"] * 3, 320)


def real(tags: SpeakerTags = SpeakerTags.text) -> Tokeniser:
    tokenizer = copy.deepcopy(TOKENIZER)
    if tags == SpeakerTags.tokens:
        tokenizer.add_tokens([f"<s{n}>" for n in range(1, REGISTERED + 1)], special_tokens=True)
    return Tokeniser(tokenizer, tokenizer, tags)


DIALOGUE = Dialogue("1", tuple(Utterance(f"speaker {i % 40}", "Where is my tea?", "joy") for i in range(41)))


@pytest.mark.parametrize("tags", SpeakerTags)
def test_what_looks_like_a_special_token_in_a_text_is_text(tags):
    turns = tuple(Utterance("Ann", text, "joy") for text in ("</s> tea", "<s>", "<mask><pad> <s2>"))
    (tokens,) = real(tags).tokenise([Dialogue("1", turns)], LABELS, None)
    tokenizer = real(tags).tokenizer
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    assert not special & set(tokens.turns.ids.tolist())
    heads = [piece[0] for piece in tokens.tagged] if tags == SpeakerTags.tokens else []
    assert [i for i in tokens.tagged.ids.tolist() if i in special] == heads


def test_a_registered_tag_is_one_token_and_one_beyond_them_is_text():
    tokeniser = real(SpeakerTags.tokens)
    (tokens,) = tokeniser.tokenise([DIALOGUE], LABELS, None)
    (as_text,) = real().tokenise([DIALOGUE], LABELS, None)
    known = tokeniser.tokenizer.convert_tokens_to_ids([f"<s{n}>" for n in range(1, REGISTERED + 1)])
    assert [piece[0] for piece in tokens.tagged][:REGISTERED] == known
    assert tokens.tagged[REGISTERED].tolist() == as_text.tagged[REGISTERED].tolist()
    assert tokens.tagged[40].tolist() == [known[0], *real().tokenizer(" Where is my tea?")["input_ids"][1:-1]]


@pytest.mark.parametrize("tags", SpeakerTags)
def test_the_cache_gives_what_was_tokenised_and_is_used(tags, tmp_path, monkeypatch):
    know = replace(DIALOGUE.utterances[0], knowledge=Knowledge(("tea",), ("no tea", "ask")))
    corpus = [DIALOGUE, Dialogue("2", (know, Utterance("Bo", "ask", None)))]
    fresh, first = (real(tags).tokenise(corpus, LABELS, cache) for cache in (None, tmp_path))
    monkeypatch.setattr(Tokeniser, "_pieces", lambda *_: pytest.fail("tokenised again"))
    again = real(tags).tokenise(corpus, LABELS, tmp_path)
    for one, *others in zip(fresh, first, again, strict=True):
        for other in others:
            for name in ("tagged", "turns", "statements"):
                expected, found = getattr(one, name), getattr(other, name)
                assert list(map(list, expected)) == list(map(list, found))
            assert (one.counts, one.labels, one.targets) == (other.counts, other.labels, other.targets)
    assert isinstance(again[0].tagged.ids.base, np.memmap)
    assert not list((tmp_path / "tokens").glob(".*"))


def test_other_texts_tags_or_tokenizers_have_another_place_in_the_cache(tmp_path):
    other = replace(DIALOGUE, utterances=DIALOGUE.utterances[:3])
    for tags in SpeakerTags:
        for dialogue in (DIALOGUE, other):
            real(tags).tokenise([dialogue], LABELS, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == 4


def test_what_a_tokenizer_was_called_with_last_does_not_move_the_cache(tmp_path):
    tokeniser = real()
    tokeniser.tokenizer(["a", "b"], truncation=True, padding="max_length", max_length=5)
    tokeniser.tokenise([DIALOGUE], LABELS, tmp_path)
    tokeniser.tokenise([DIALOGUE], LABELS, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == 1


def test_another_version_has_another_place_in_the_cache(tmp_path, monkeypatch):
    real().tokenise([DIALOGUE], LABELS, tmp_path)
    monkeypatch.setattr("ercsatz.classifiers.encoder.tokenization.VERSION", 2)
    real().tokenise([DIALOGUE], LABELS, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == 2


def test_damaged_tokens_are_made_again(tmp_path, damaged):
    (fresh,) = real().tokenise([DIALOGUE], LABELS, None)
    real().tokenise([DIALOGUE], LABELS, tmp_path)
    for _ in damaged(tmp_path / "tokens"):
        (again,) = real().tokenise([DIALOGUE], LABELS, tmp_path)
        for name in ("tagged", "turns", "statements"):
            assert list(map(list, getattr(again, name))) == list(map(list, getattr(fresh, name)))
