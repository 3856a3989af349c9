"""What judgements come to: means of both sides, and how far repeats agree."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ercsatz.judging.ask import ORDERS, Judged, JudgedPair
from ercsatz.judging.pairs import Pair
from ercsatz.judging.read import CRITERIA, FIT, JudgedComparison, JudgementReason, PersonaFit, Rating
from ercsatz.quality.agreement import FAMILY, agreement, balanced
from ercsatz.quality.measure import Better, Measure, undefined

SIDES = ("synthetic", "real")
PERSONA = "persona_fit"
_BOTH = "pairs were judged in both orders"
Floats = NDArray[np.float64]


class Scores:
    """Judgements in arrays, NaN where there is none.

    Args:
        pairs: in their order.
        repeats: seeds for each order.

    Attributes:
        pairs: the same.
        choices: shape (pairs, 2 orders, repeats): 1 where the synthetic dialogue is called the more natural, else 0.
        criteria: by name, shape (pairs, 2 sides, 2 orders, repeats): 1 to 5.
        fits: by place of the pair, side and turn, shape (2 orders, repeats): 1 to 5.
        personas: by place of the pair, shape (repeats,): 1 to 5; of those whose synthetic dialogue has personas.
    """

    def __init__(self, pairs: Sequence[Pair], repeats: int) -> None:
        self.pairs = pairs
        self.choices = np.full((len(pairs), ORDERS, repeats), np.nan)
        self.criteria = {name: np.full((len(pairs), len(SIDES), ORDERS, repeats), np.nan) for name in CRITERIA}
        self.fits: dict[tuple[int, int, int], Floats] = defaultdict(lambda: np.full((ORDERS, repeats), np.nan))
        self.personas: dict[int, Floats] = defaultdict(lambda: np.full(repeats, np.nan))

    def add(self, unit: JudgedPair, result: Judged | JudgementReason) -> None:
        """Enter what was said. What could not be read leaves the place as it is."""
        place, at = unit.pair.index, (unit.order, unit.repeat)
        if unit.kind == "persona":
            self.personas[place][unit.repeat] = result.score if isinstance(result, PersonaFit) else np.nan
        if not isinstance(result, JudgedComparison):
            return
        self.choices[place][at] = chose_synthetic(unit, result)
        for side, rating in enumerate(by_side(unit, result)):
            for name in CRITERIA:
                self.criteria[name][place, side][at] = getattr(rating, name)
            for turn, score in rating.emotional_fit.items():
                self.fits[place, side, turn][at] = score

    @property
    def judged(self) -> int:
        """Pairs with a judgement in both orders."""
        return int((~np.isnan(balanced(self.choices))).sum())

    @property
    def one_order(self) -> int:
        """Pairs with judgements in one order only."""
        return int((~np.isnan(self.choices)).any(axis=(1, 2)).sum()) - self.judged


def by_side(unit: JudgedPair, said: JudgedComparison) -> tuple[Rating, Rating]:
    """The ratings of the synthetic and of the real dialogue."""
    return (said.second, said.first) if unit.order else (said.first, said.second)


def chose_synthetic(unit: JudgedPair, said: JudgedComparison) -> bool:
    """Whether the synthetic dialogue is called the more natural one."""
    return said.first_more_natural != bool(unit.order)


def means(scores: Scores, minimum: int, of: tuple[int, int]) -> tuple[list[Measure], list[Measure]]:
    """Means of the synthetic and of the real dialogues, in which each pair, and each order, weighs the same.

    Args:
        scores: what was said.
        minimum: judged pairs, dialogues with personas, or turns of an emotion, of fewer there is no figure.
        of: how many synthetic and real dialogues there are.
    """
    found: tuple[list[Measure], list[Measure]] = ([], [])
    for side, measures in enumerate(found):
        for name, values in scores.criteria.items():
            measures.append(_mean(name, balanced(values[:, side]), minimum, of[side], better="higher"))
        measures += _fits(scores, side, minimum, of[side])
    if scores.personas:
        given = [row[~np.isnan(row)] for row in scores.personas.values()]
        values = np.array([row.mean() if len(row) else np.nan for row in given])
        what = "dialogues with personas were judged"
        found[0].append(_mean(PERSONA, values, minimum, of[0], what, better="higher"))
    return found


def _fits(scores: Scores, side: int, minimum: int, of: int) -> list[Measure]:
    """``emotional_fit``: the mean over dialogues of their turns' mean, and for each emotion the mean over its turns."""
    by_dialogue: dict[int, list[float]] = defaultdict(list)
    by_emotion: dict[str, list[float]] = defaultdict(list)
    for (place, at, turn), ratings in scores.fits.items():
        mean = float(balanced(ratings))
        if at != side or np.isnan(mean):
            continue
        pair = scores.pairs[place]
        emotion = (pair.real if side else pair.synthetic).utterances[turn - 1].emotion
        by_dialogue[place].append(mean)
        by_emotion[str(emotion)].append(mean)
    measures = [_mean(FIT, np.array([np.mean(turns) for turns in by_dialogue.values()]), minimum, of)]
    for emotion, turns in sorted(by_emotion.items()):
        what = f"turns labelled {emotion} were judged in both orders"
        measures.append(_mean(FIT, np.array(turns), minimum, len(turns), what, emotion=emotion))
    return measures


def _mean(
    name: str,
    values: Floats,
    minimum: int,
    of: int,
    what: str = _BOTH,
    better: Better = "real",
    emotion: str | None = None,
) -> Measure:
    values = values[~np.isnan(values)]
    n = len(values)
    if n < minimum:
        return undefined(FAMILY, name, better, f"only {n} {what}, fewer than {minimum}", n, of, emotion)
    error = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return Measure(FAMILY, name, float(values.mean()), better, n, of, emotion=emotion, error=error)


def agreements(scores: Scores, minimum: int) -> list[Measure]:
    """Krippendorff's alpha between the repeats of a judgement, those of both orders together.

    Args:
        scores: what was said.
        minimum: pairs judged in both orders (of persona fit: dialogues judged twice), of fewer there is no figure.
    """
    width = scores.choices[0].size if len(scores.pairs) else ORDERS
    fits = [ratings.reshape(-1) for ratings in scores.fits.values()]
    rated = {name: values.reshape(-1, width) for name, values in scores.criteria.items()}
    rated[FIT] = np.stack(fits) if fits else np.empty((0, width))
    rated["choice"] = scores.choices.reshape(-1, width)
    enough = scores.judged >= minimum
    found = [
        agreement(name, ratings, 1, "nominal" if name == "choice" else "ordinal")
        if enough
        else _none(name, scores, minimum)
        for name, ratings in rated.items()
    ]
    if scores.personas:
        found.append(agreement(PERSONA, np.stack(list(scores.personas.values())), minimum))
    return found


def _none(name: str, scores: Scores, minimum: int) -> Measure:
    because = f"only {scores.judged} {_BOTH}, fewer than {minimum}"
    return undefined(FAMILY, f"alpha_{name}", "higher", because, scores.judged, len(scores.pairs))
