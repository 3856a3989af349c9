"""All measures of a synthetic data set beside those of the real one, each on samples of the same size."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ercsatz.assessment.record import Line, line
from ercsatz.config import Leakage
from ercsatz.dialogue import Dialogue
from ercsatz.quality.clusters import centres, clusters, common_counts
from ercsatz.quality.diversity import diversity
from ercsatz.quality.embed import Embedder
from ercsatz.quality.labels import label_quality
from ercsatz.quality.leakage import leakage
from ercsatz.quality.measure import Measure, draw_turns, same_words, shuffled
from ercsatz.quality.nearest import nearest
from ercsatz.quality.probes import embedding_probe, words_probe
from ercsatz.quality.realism import Size, common_size, real_against_real, realism
from ercsatz.quality.splits import same_distribution

Splits = Mapping[str, Sequence[Dialogue]]
Say = Callable[[str], None]
_MAPPED = 800  # turns of each data set on the map
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """See ``config.Assess``."""

    dialogues: int | None
    sample: int
    halves: int
    seed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured; see ``record.Assessment``."""

    compared: dict[str, int]
    lines: tuple[Line, ...]
    confusion: dict[str, Any]
    offenders: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    points: dict[str, list[Any]]
    examples: list[list[Any]]


def measure(
    real: Splits, own: Splits, labels: Sequence[str], embedder: Embedder, rules: Leakage, sizes: Sizes, say: Say
) -> Measured:
    """Measure a synthetic data set, and the real one as the mark.

    What depends on the draw is measured on several: each time the real training split is halved anew, one half is
    compared with the other, and the synthetic training split with the first half.

    Args:
        real: train, validation and test of the benchmark.
        own: the same of the synthetic data set; a split may be empty.
        labels: the benchmark's.
        embedder: of texts.
        rules: of leakage.
        sizes: how much is drawn.
        say: told which family of measures is at work.
    """
    draws = _Draws(real["train"], own["train"], embedder, sizes)
    lines = []
    for family in (draws.diversity, draws.clusters, draws.realism):
        say(family.__name__)
        lines += family()
    say("labels")
    found = label_quality(real, own, labels, [words_probe(), embedding_probe(embedder)], seed=sizes.seed)
    lines += _label_lines(found.measures)
    say("leakage")
    held_out = {split: real[split] for split in ("validation", "test")}
    leaks = leakage(own, held_out, rules)
    lines += _single(leaks.measures, leakage({"train": real["train"]}, held_out, rules).measures)
    lines += _nearest(real, own, embedder, rules, sizes)
    say("splits")
    tests = same_distribution(own, embedder, seed=sizes.seed)
    lines += _single(tests.measures, same_distribution(real, embedder, seed=sizes.seed).measures)
    return Measured(
        compared={"dialogues": draws.size.dialogues, "turns": draws.size.turns},
        lines=tuple(lines),
        confusion={
            key: {"labels": list(frame.columns), "counts": frame.to_numpy().tolist()}
            for key, frame in found.confusion.items()
        },
        offenders=_records(leaks.offenders),
        tests=_records(tests.table),
        points=_points(real["train"], own["train"], embedder, sizes.seed),
        examples=[_spoken(dialogue) for dialogue in shuffled(own["train"], sizes.seed)[:_EXAMPLES]],
    )


class _Draws:
    """Families of measures that are taken on several draws."""

    def __init__(self, real: Sequence[Dialogue], own: Sequence[Dialogue], embedder: Embedder, sizes: Sizes) -> None:
        self._real, self._own, self._embedder, self._sample = real, own, embedder, sizes.sample
        self._seeds = range(sizes.seed, sizes.seed + sizes.halves)
        every = [common_size(real, [own], turns=sizes.sample, seed=seed) for seed in self._seeds]
        dialogues = every[0].dialogues if sizes.dialogues is None else min(every[0].dialogues, sizes.dialogues)
        self.size = Size(dialogues, min(size.turns for size in every))

    def diversity(self) -> list[Line]:
        """On as many words of each."""
        drawn = [
            (seed, same_words([self._part(self._own, seed), self._part(self._real, seed)], seed))
            for seed in self._seeds
        ]
        own, real = ([diversity(pair[which], self._embedder, sample=self._sample, seed=seed) for seed, pair in drawn]
                     for which in (0, 1))  # fmt: skip
        return _several(own, real)

    def clusters(self) -> list[Line]:
        """Groups found in one half of the real turns, and how the other half and the data set are spread over them."""
        own: list[list[Measure]] = []
        real: list[list[Measure]] = []
        for seed in self._seeds:
            mixed = shuffled(self._real, seed)
            half = len(mixed) // 2
            found = draw_turns(mixed[:half], self._sample, seed)
            if not found.texts:
                continue
            groups = centres(self._embedder.encode(found.texts), seed=seed)
            drawn = [draw_turns(self._part(each, seed), self.size.turns, seed) for each in (self._own, mixed[half:])]
            most = common_counts([turns.emotions for turns in drawn])
            for turns, measures in zip(drawn, (own, real), strict=True):
                measures.append(clusters(self._embedder.encode(turns.texts), turns.emotions, groups, most))
        return _several(own, real)

    def realism(self) -> list[Line]:
        """Of the data set and half of the real one, beside its two halves."""
        own = [realism(self._real, self._own, self._embedder, self.size, seed) for seed in self._seeds]
        real = [real_against_real(self._real, self._embedder, self.size, seed) for seed in self._seeds]
        return _several(own, real)

    def _part(self, dialogues: Sequence[Dialogue], seed: int) -> list[Dialogue]:
        return shuffled(dialogues, seed)[: self.size.dialogues]


def _key(measure: Measure) -> tuple[str, str | None]:
    return measure.name, measure.emotion


def _several(own: Sequence[Sequence[Measure]], real: Sequence[Sequence[Measure]]) -> list[Line]:
    """A line per measure that the data set has, from the same measure of every draw."""
    marks = [{_key(measure): measure for measure in each} for each in real]
    values = [{_key(measure): measure for measure in each} for each in own]
    keys = dict.fromkeys(_key(measure) for each in own for measure in each)
    return [
        line([each[key] for each in values if key in each], [each[key] for each in marks if key in each])
        for key in keys
    ]


def _single(own: Sequence[Measure], real: Sequence[Measure]) -> list[Line]:
    return _several([own], [real])


def _label_lines(measures: Sequence[Measure]) -> list[Line]:
    """The probes' scores on the data set; what they reach on the real test set is the mark."""
    found = {_key(measure): measure for measure in measures}

    def mark(measure: Measure) -> list[Measure]:
        what, _, rest = measure.name.partition("_")
        return [found[key]] if (key := (f"real_{rest}", measure.emotion)) in found and what != "real" else []

    return [line([measure], mark(measure)) for measure in measures if not measure.name.startswith("real_")]


def _nearest(real: Splits, own: Splits, embedder: Embedder, rules: Leakage, sizes: Sizes) -> list[Line]:
    """The mark: one half of the real training split, held against the other half and the held-out splits."""
    held_out, train = [*real["validation"], *real["test"]], shuffled(real["train"], sizes.seed)
    half = len(train) // 2
    drawn = {"turns": sizes.sample, "least": rules.words, "seed": sizes.seed}
    everything = [dialogue for dialogues in own.values() for dialogue in dialogues]
    measured = nearest(everything, held_out, train, embedder, **drawn)
    marks = nearest(train[:half], held_out, train[half:], embedder, **drawn)
    return _single(measured.measures, marks.measures)


def _points(real: Sequence[Dialogue], own: Sequence[Dialogue], embedder: Embedder, seed: int) -> dict[str, list[Any]]:
    """The two main axes of the real turns, and where turns of both lie on them."""
    turns = {"real": draw_turns(real, _MAPPED, seed), "own": draw_turns(own, _MAPPED, seed)}
    vectors = {key: embedder.encode(each.texts) for key, each in turns.items()}
    centre = vectors["real"].mean(axis=0)
    _, _, axes = np.linalg.svd(vectors["real"] - centre, full_matrices=False)
    signs = np.sign(axes[:2].sum(axis=1, keepdims=True))  # an axis has no direction of its own
    flat = {key: (each - centre) @ (axes[:2] * np.where(signs == 0, 1, signs)).T for key, each in vectors.items()}
    return {
        key: [[*place, emotion] for place, emotion in zip(flat[key].round(4).tolist(), each.emotions, strict=True)]
        for key, each in turns.items()
    }


def _spoken(dialogue: Dialogue) -> list[list[str | None]]:
    return [[turn.speaker, turn.text, turn.emotion] for turn in dialogue.utterances]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON values: what is missing is null."""
    rows: Iterable[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()} for row in rows]
