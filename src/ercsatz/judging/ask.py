"""What is asked of a judge: every pair in both orders with several seeds, and how people keep to their personas."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ercsatz import config
from ercsatz.config import PromptStyle
from ercsatz.generators.interface import Answer, Request
from ercsatz.judging.pairs import Pair
from ercsatz.judging.read import JudgedComparison, JudgementReason, PersonaFit, read_comparison, read_persona_fit
from ercsatz.judging.rubric import MODE, Rubric, Shown, personas_of, show
from ercsatz.llm.endpoint_pool import UnansweredError, Window
from ercsatz.llm.inquiry import Outcome, persist
from ercsatz.llm.lane import Lane
from ercsatz.llm.probe import check_grammar
from ercsatz.llm.scheduler import Ask
from ercsatz.llm.seeds import derive

ORDERS = 2
Judged = JudgedComparison | PersonaFit


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """One judgement that is asked for.

    Attributes:
        index: place among all, from 0.
        pair: what is judged; of a persona fit only the synthetic dialogue.
        kind: what is asked.
        order: 0 shows the synthetic dialogue first, 1 the real one.
        repeat: which seed, from 0.
    """

    index: int
    pair: Pair
    kind: Literal["pair", "persona"]
    order: int
    repeat: int


def units(pairs: Sequence[Pair], settings: config.JudgeConfig) -> Iterator[JudgedPair]:
    """All judgements, those of a pair together. Personas are asked about where there are any."""
    index = 0
    for pair in pairs:
        kinds: list[tuple[Literal["pair", "persona"], int]] = [("pair", order) for order in range(ORDERS)]
        if personas_of(pair.synthetic, settings.turns):
            kinds.append(("persona", 0))
        for kind, order in kinds:
            for repeat in range(settings.repeats):
                yield JudgedPair(index, pair, kind, order, repeat)
                index += 1


class JudgementAsker:
    """Asks for one judgement until it can be read.

    Args:
        settings: of the judge.
        name: of the data set.
        seed: of the run.
    """

    def __init__(self, settings: config.JudgeConfig, name: str, seed: int) -> None:
        self._settings, self._name, self._seed = settings, name, seed
        self.rubric = Rubric()

    def request(self, unit: JudgedPair, attempt: int) -> Request:
        """The request for one judgement. Its seed does not depend on how many pairs or repeats there are."""
        if unit.kind == "pair":
            prompt = self.rubric.comparison(*self._shown(unit))
        else:
            prompt = self.rubric.persona(unit.pair.synthetic, self._settings.turns)
        return Request(
            index=unit.pair.index,
            seed=derive(self._seed, self._name, MODE, unit.kind, unit.pair.index, unit.order, unit.repeat, attempt),
            prompt=prompt,
            mode=MODE,
            style=PromptStyle.cast,
            speakers=(),
            labels=(),
            target=None,
            n_turns=1,
            attempt=attempt,
        )

    async def write(self, unit: JudgedPair, ask: Ask) -> Outcome[JudgedPair, Judged, JudgementReason]:
        """Ask with one seed after the other until an answer can be read."""

        def read(answer: Answer) -> Judged | JudgementReason:
            if unit.kind == "persona":
                return read_persona_fit(answer)
            return read_comparison(answer, *(shown.labelled for shown in self._shown(unit)))

        return await persist(unit, ask, partial(self.request, unit), read, self._settings.attempts, JudgementReason)

    async def probe(self, unit: JudgedPair, grammar: str, window: Window, lane: Lane) -> None:
        """Make sure that a server keeps to the grammar.

        Raises:
            UserError: it does not.
        """
        try:
            await check_grammar(window, self.request(unit, 0), lane, grammar)
        except UnansweredError:  # what it is asked next will show why
            return

    def _shown(self, unit: JudgedPair) -> tuple[Shown, Shown]:
        both = [show(each.utterances[: self._settings.turns]) for each in (unit.pair.synthetic, unit.pair.real)]
        return (both[1], both[0]) if unit.order else (both[0], both[1])


def request_settings(
    settings: config.JudgeConfig, generator: dict[str, Any], asker: JudgementAsker, version: int, data: dict[str, Any]
) -> dict[str, Any]:
    """All that the requests depend on; the model that answers comes on top.

    How many pairs and repeats there are does not count: more of them begin with the same requests.
    """
    return {
        "data": data,
        "generator": generator,
        "judge": {"turns": settings.turns},
        "rubric": version,
        "templates_sha256": asker.rubric.sha256,
    }
