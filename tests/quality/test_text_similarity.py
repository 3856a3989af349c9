import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.quality.text_similarity import Similar

pytestmark = pytest.mark.filterwarnings("error")

TEXTS = st.lists(st.text("ab \u4f60\u597d\U0001f602", max_size=8), max_size=6)


def grams(text):
    return {text[i : i + 3] for i in range(len(text) - 2)} or {text}


def jaccard(a, b):
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_agrees_with_brute_force(known, texts, least):
    found = Similar(known).best(texts, least)
    for text in texts:
        scores = [jaccard(text, other) for other in known]
        if scores and max(scores) >= least:
            assert found[text].score == pytest.approx(max(scores))
            assert found[text].place == scores.index(max(scores))
        else:
            assert text not in found


def test_blocks_make_no_difference(monkeypatch):
    texts = [f"number {number} of many texts" for number in range(50)]
    whole = Similar(texts[::2]).best(texts, 0.1)
    monkeypatch.setattr("ercsatz.quality.text_similarity._CELLS", 60)  # two rows at a time
    assert Similar(texts[::2]).best(texts, 0.1) == whole
    assert [whole[text].place for text in texts[::2]] == list(range(25))
