import numpy as np
import pytest

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.quality.embedder import Embedder, lexical
from ercsatz.quality.nearest import nearest

pytestmark = pytest.mark.filterwarnings("error")

WORDS = [f"word{number}" for number in range(300)]


def dialogues(*texts):
    return [Dialogue(str(place), (Utterance("A", text, "joy"),)) for place, text in enumerate(texts)]


def sentences(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 8)) for _ in range(n)]


def values(found):
    return {measure.name: measure.value for measure in found.measures}


@pytest.fixture
def embedder():
    return lexical(sentences(400, 0), 64)


def test_distances_are_those_of_brute_force(embedder, monkeypatch):
    monkeypatch.setattr("ercsatz.quality.nearest._CELLS", 500)
    own, held, train = sentences(40, 1), sentences(30, 2), sentences(30, 3)
    found = nearest(dialogues(*own), dialogues(*held), dialogues(*train), embedder)

    def brute(real):
        return [min(1 - float(a @ b) for b in embedder.encode(real)) for a in embedder.encode(own)]

    expected = np.mean(np.array(brute(held)) < np.array(brute(train)))
    assert values(found)["closer_to_held_out"] == pytest.approx(expected)
    assert found.percentiles == pytest.approx(np.percentile(brute(held), range(101)), abs=1e-5)
    assert values(found)["nearest_median"] == pytest.approx(np.median(brute(held)), abs=1e-5)
    assert values(found)["nearest_percentile_1"] == pytest.approx(np.percentile(brute(held), 1), abs=1e-5)


def test_copies_of_the_held_out_set_are_nearer_and_copies_of_both_are_a_tie(embedder):
    held, train = sentences(60, 2), sentences(60, 3)
    copied = values(nearest(dialogues(*held), dialogues(*held), dialogues(*train), embedder))
    assert copied["closer_to_held_out"] == 1
    assert copied["nearest_median"] == copied["nearest_percentile_1"] == pytest.approx(0, abs=1e-5)
    assert values(nearest(dialogues(*held), dialogues(*held), dialogues(*held), embedder))["closer_to_held_out"] == 0.5
    own = sentences(200, 4)
    for planted, near in ((held[:6], True), (held[:1], False)):  # of 206, one per cent are the nearest two
        found = nearest(dialogues(*own, *planted), dialogues(*held), dialogues(*train), embedder)
        assert (values(found)["nearest_percentile_1"] < 1e-5) == near


def test_the_larger_of_the_real_sets_gives_no_more_texts_than_the_smaller(embedder):
    held = dialogues(*sentences(30, 2))
    for train in (sentences(300, 3), sentences(10, 3)):
        share = values(nearest(dialogues(*sentences(400, 1)), held, dialogues(*train), embedder))["closer_to_held_out"]
        assert 0.4 < share < 0.6


def test_everyday_turns_do_not_count_and_samples_say_so(embedder):
    own = dialogues(*sentences(50, 1), *["Yeah."] * 50)
    found = nearest(own, dialogues("Yeah.", *sentences(9, 2)), dialogues(*sentences(9, 3)), embedder, turns=60)
    assert {measure.of for measure in found.measures} == {50}
    (n,) = {measure.n for measure in found.measures}
    assert 15 < n < 45


def test_nothing_to_compare_is_said():
    plain = Embedder("ones", True, lambda texts: np.ones((len(texts), 1), np.float32))
    long, short = dialogues(*sentences(3, 1)), dialogues("Yeah.", "\U0001f602")
    for own, held in (([], long), (short, long), (long, []), (long, short)):
        found = nearest(own, held, long, plain)
        assert {measure.value for measure in found.measures} == {None}
        assert all("no turn of 6 words or more" in measure.undefined for measure in found.measures)
        assert found.percentiles == []
    assert values(nearest(long, long, short, plain)) == {
        "nearest_median": 0,
        "nearest_percentile_1": 0,
        "closer_to_held_out": None,
    }
    assert values(nearest(long, long, long, plain))["closer_to_held_out"] == 0.5
