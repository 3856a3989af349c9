import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ercsatz.data.ngrams import containment, jaccard, ngrams, normalise, words

SETS = st.sets(st.integers(0, 9))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Oh my\tGod!\nSTOP -- now... ", "oh my god stop now"),
        ("Don't", "dont"),
        ("don\u2019t", "dont"),
        ("don\u00b4t", "dont"),
        ("\u2018Rock \u2019n\u2019 roll\u2019, \u201che said\u201d", "rock n roll he said"),
        ("he\u2014he's well-read", "he hes well read"),
        ("it's $5, 50%", "its 5 50"),
        ("nai\u0308ve CAF\u00c9", "na\u00efve caf\u00e9"),
        ("Stra\u00dfe", "strasse"),
        ("\uff28\uff29", "hi"),
        ("soft\u00adly, zero\u200bwidth", "softly zerowidth"),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u041c\u0438\u0440!",
            "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
        ),
        ("\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u4f60 \u597d \u4e16 \u754c"),
        ("\uc548\ub155 \uc5ec\ub7ec\ubd84!", "\uc548\ub155 \uc5ec\ub7ec\ubd84"),
        ("great\U0001f602\U0001f602 \u2764\ufe0f", "great \U0001f602 \U0001f602 \u2764"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        ("half a pair \ud83d", "half a pair"),
        ("?!...", ""),
    ],
)
def test_normal_form(text, normal):
    assert normalise(text) == normal


@given(st.text())
@example("\u0390 \u1e9e \u01c5")
def test_normal_form_is_plain_words(text):
    normal = normalise(text)
    assert normal == " ".join(normal.split())
    assert words(text) == normal.split()
    assert not set(normal) & set("\"'!?,.;:()-\u2019\u201c\u2026")


@given(st.lists(st.text("abcXYZ\u00e9\u043c", min_size=1), min_size=1))
def test_case_and_punctuation_make_no_difference(tokens):
    assert words(" ".join(tokens)) == words("...".join(tokens).upper() + "!") == [token.lower() for token in tokens]


def test_ngram_hashes_never_change():
    assert ngrams(["so", "it", "goes", "on"], 3) == [6347082349827324371, 16456167603684739216]
    assert ngrams(["so"], 2) == []


@given(st.lists(st.sampled_from(["a", "b", "ab", "\u00e9"]), max_size=12), st.integers(1, 4))
def test_ngrams_differ_as_runs_of_words_do(tokens, n):
    runs = [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
    hashes = ngrams(tokens, n)
    assert [hashes.index(value) for value in hashes] == [runs.index(run) for run in runs]
    assert all(0 <= value < 2**64 for value in hashes)


@given(SETS, SETS)
def test_overlap_counts_what_is_shared(a, b):
    shared = [value for value in a if value in b]
    assert jaccard(a, b) == (len(shared) / len({*a, *b}) if a or b else 1)
    assert containment(a, b) == (len(shared) / len(a) if a else 0)
