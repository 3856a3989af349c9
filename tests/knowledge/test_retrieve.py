import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.classifiers.encoder.embedding import TextEncoder
from ercsatz.errors import UserError
from ercsatz.knowledge import Inference, retrieve
from ercsatz.knowledge.atomic import Event, read_atomic
from ercsatz.knowledge.encoders import lexical
from ercsatz.knowledge.retrieve import Retriever

WORDS = ["train", "late", "house", "paint", "keys", "lose", "present", "kind", "sister", "joke", "game", "win"]


def test_rows_of_one_event_are_merged_and_none_is_dropped(write_atomic):
    path = write_atomic(
        ("PersonX wins the ___", {"xIntent": ["to be best"], "xReact": ["proud", "happy"], "oReact": ["none"]}),
        ("PersonX wins the ___", {"xReact": ["Happy."], "xNeed": ["to train"]}),
        ("PersonX  paints", {"xReact": ["none"], "xWant": ["to rest"]}),
        ("PersonX waits", {"oReact": ["bored"]}),
        ("PersonX wins the ___", {"xReact": ["happy"], "oReact": ["sad"]}),
    )
    assert read_atomic(path) == (
        Event("PersonX wins the ___", Inference(("to be best",), ("happy", "proud"), ("sad",))),
        Event("PersonX waits", Inference((), (), ("bored",))),
    )


def test_columns_are_found_by_name(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text('note,xReact,event,oReact,xIntent\nx,"[""sad""]",PersonX falls,[],[]\n')
    assert read_atomic(path) == (Event("PersonX falls", Inference((), ("sad",), ())),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event,xIntent,xReact\n", "line 1: the column 'oReact' is missing"),
        ("event,xIntent,xReact,oReact\nPersonX falls,[],sad,[]\n", "line 2, xReact: not a JSON list"),
        ("event,xIntent,xReact,oReact\nPersonX falls,[1],[],[]\n", "line 2, xIntent: must be a JSON list of strings"),
        ("event,xIntent,xReact,oReact\nPersonX falls,[],[]\n", "line 2: 3 fields"),
        ("event,xIntent,xReact,oReact\n ,[],[],[]\n", "line 2: the event is empty"),
        ('event,xIntent,xReact,oReact\nPersonX falls,"[""none""]",[],[]\n', "no event has a phrase"),
    ],
)
def test_a_file_of_another_layout_is_refused_with_its_place(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_atomic(path)


def events(*texts):
    return [Event(text, Inference(x_react=(text,))) for text in texts]


def search(known, text, top=3):
    (found,) = Retriever(known, lexical([event.text for event in known]), top).search([text])
    return [each.event for each in found]


def test_words_in_common_decide_and_rare_ones_count_more():
    known = events("PersonX paints the house", "PersonX sees the train", "PersonX sees the sea", "PersonX sees the dog")
    assert search(known, "Who painted? I see the train!")[0] == "PersonX sees the train"
    assert search(known, "PersonX, PersonY", top=3) == []
    assert search(known, "Bonjour !") == []


def test_found_events_carry_their_phrases_and_cosine():
    known = events("PersonX misses the train", "PersonX wins")
    (found,) = Retriever(known, lexical([event.text for event in known]), 3).search(["misses the train"])
    (only,) = found
    assert (only.event, only.score, only.inference) == (known[0].text, 1.0, known[0].inference)


sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@given(
    st.lists(sentences, min_size=1, max_size=25, unique=True),
    st.lists(sentences, min_size=1, max_size=9),
    st.integers(1, 5),
)
def test_chunks_find_what_a_plain_search_finds(texts, queries, top):
    known = events(*texts)
    encoder = lexical(texts)
    with pytest.MonkeyPatch.context() as patch:  # so small that there are several
        patch.setattr(retrieve, "TEXTS", 2)
        patch.setattr(retrieve, "EVENTS", 3)
        found = list(Retriever(known, encoder, top).search(queries))
    vectors = encoder.encode(texts).toarray()
    for query, row in zip(queries, found, strict=True):
        cosines = [round(float(cosine), 6) for cosine in vectors @ encoder.encode([query]).toarray()[0]]
        order = sorted(range(len(texts)), key=lambda place: (-cosines[place], place))
        expected = [(texts[place], cosines[place]) for place in order if cosines[place] > 0][:top]
        assert [(each.event, each.score) for each in row] == expected


def test_of_equals_the_first_event_is_found(monkeypatch):
    monkeypatch.setattr(retrieve, "EVENTS", 4)
    known = events(*(f"PersonX paints {n}" for n in range(30)))
    same = TextEncoder("same", lambda texts: np.ones((len(texts), 1), np.float32))
    (found,) = Retriever(known, same, 3).search(["anything"])
    assert [each.event for each in found] == [event.text for event in known[:3]]


def peak(n_texts, n_events):
    rng = random.Random(0)
    known = events(*(" ".join(rng.choices(WORDS, k=4)) + f" {n}" for n in range(n_events)))
    retriever = Retriever(known, lexical([event.text for event in known]), 3)
    texts = [" ".join(rng.choices(WORDS, k=4)) for _ in range(n_texts)]
    tracemalloc.start()
    assert sum(1 for _ in retriever.search(texts)) == n_texts
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def test_memory_does_not_grow_with_texts_times_events(monkeypatch):
    monkeypatch.setattr(retrieve, "TEXTS", 64)
    monkeypatch.setattr(retrieve, "EVENTS", 256)
    peak(64, 256)  # the first call of all imports and caches
    assert peak(1000, 2000) < 3 * peak(100, 300)
