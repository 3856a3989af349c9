from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.resources import resource


def test_mini_needs_no_fetching_and_is_spoken_by_its_cast():
    benchmark = settings("mini", [resource("conf")])
    corpus = load(benchmark)

    turns = [turn for dialogues in corpus.splits.values() for d in dialogues for turn in d.utterances]
    assert {turn.speaker for turn in turns} == set(benchmark.speakers)
    assert {turn.emotion for turn in turns} == set(benchmark.labels)
    ids = [d.id for dialogues in corpus.splits.values() for d in dialogues]
    assert len(ids) == len(set(ids))
