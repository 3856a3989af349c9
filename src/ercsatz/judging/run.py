"""Have a language model judge a synthetic data set."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from rich.panel import Panel

from ercsatz import config
from ercsatz.config.rules import Rule, at_least_1, enforce
from ercsatz.data.dialogue import Dialogue, fingerprint
from ercsatz.generators.interface import Generator
from ercsatz.judging.ask import Judged, JudgedPair, JudgementAsker, request_settings, units
from ercsatz.judging.pairs import Drawn, draw
from ercsatz.judging.read import CRITERIA, FIT, JudgementReason, grammar
from ercsatz.judging.result import Judgement, JudgementFunnel, Record
from ercsatz.judging.rubric import VERSION, Rubric
from ercsatz.judging.scores import Scores, agreements, means
from ercsatz.llm.endpoint_pool import Window
from ercsatz.llm.inquiry import HopelessError, Outcome, Tally, inquire
from ercsatz.llm.journal import Journal
from ercsatz.llm.lane import Lane
from ercsatz.quality.agreement import FAMILY, PREFERENCE, position_bias, preference
from ercsatz.quality.measure import Better, Measure, undefined
from ercsatz.reporting.console import SafeConsole

_LOG = logging.getLogger(__name__)

HOPELESS = 100  # judgements, none of them with an answer that can be read, after which there is no use in going on
NODE = "judge."  # of the configuration
MOST_TURNS = 999  # the number of a turn has three digits at the most
CHARACTERS = 4  # of English text to a token, roughly


def check(settings: config.JudgeConfig, generator: config.GeneratorConfig) -> None:
    """Refuse what makes no sense, before anything is asked.

    Raises:
        UserError: names the key and what it must be.
    """
    enforce(_rules(settings, generator))


def judge(
    synthetic: Sequence[Dialogue],
    real: Sequence[Dialogue],
    settings: config.JudgeConfig,
    generator: config.GeneratorConfig,
    name: str,
    seed: int,
    console: SafeConsole,
) -> Judgement:
    """Have pairs of a synthetic and a real dialogue judged, blindly and in both orders.

    Answers are in the journal before they are used: the same call goes on where one was stopped and asks nothing twice.

    Args:
        synthetic: dialogues of the data set that is judged; personas are in their provenance, where there are any.
        real: dialogues of the real training split.
        settings: of the judge.
        generator: who judges. The offline generator judges nothing.
        name: of the data set.
        seed: of the draw and of all requests.
        console: told how far it is.

    Raises:
        UserError: the settings make no sense or are not those of the journal, or servers are not there or not right.
        KeyboardInterrupt: the user stopped it; what was answered is in the journal.
    """
    check(settings, generator)
    asker = JudgementAsker(settings, name, seed)
    drawn = draw(synthetic, real, settings.n, settings.turns, seed)
    planned = list(units(drawn.pairs, settings))
    counts = JudgementFunnel(len(synthetic), drawn.passed_over, len(drawn.pairs), len(planned))
    if settings.dry_run:
        _show(asker, planned, counts, settings, console)
        return unjudged("judge.dry_run=true asks nothing", counts)
    if not generator.profile.language_model:
        because = f"generator={generator.name} is no language model; choose generator=tgi, openai or transformers"
        return unjudged(because, counts)
    if not planned:
        because = f"none of {len(synthetic)} synthetic dialogues has a real one of about its length, of {len(real)}"
        return unjudged(because, counts)
    sizes = len(synthetic), len(real)
    data = {"name": name, "synthetic_sha256": fingerprint(synthetic), "real_sha256": fingerprint(real), "seed": seed}
    return _Session(settings, generator, asker, console).judge(drawn, planned, data, sizes)


class _Session:
    """One run with a language model."""

    def __init__(
        self, settings: config.JudgeConfig, chosen: config.GeneratorConfig, asker: JudgementAsker, console: SafeConsole
    ) -> None:
        self._settings, self._chosen, self._asker, self._console = settings, chosen, asker, console
        self._grammar = grammar(settings.turns) if chosen.held_to_grammar else None

    def judge(self, drawn: Drawn, planned: list[JudgedPair], data: dict[str, Any], sizes: tuple[int, int]) -> Judgement:
        generator, settings = self._chosen.build(self._grammar), self._settings
        self._asker.request(planned[0], 0)  # tries the templates before anything is asked
        record, tally = Record(Scores(drawn.pairs, settings.repeats)), Tally[JudgementReason]("judgements", HOPELESS)
        described = {"name": generator.name, **generator.settings}
        with closing(Journal(Path(settings.journal), NODE)) as journal:
            wanted = request_settings(settings, described, self._asker, VERSION, data)
            journal.begin(wanted, settings.overwrite)
            try:
                self._ask(generator, journal, planned, record, tally)
            except HopelessError as error:
                _LOG.warning("%s", error)
            model = journal.fact("model")
        funnel = record.funnel(sizes[0], drawn, len(planned), tally)
        self._console.print(funnel.table(f"{data['name']}: from dialogues to judgements"))
        return _judgement(f"{generator.name} {model}", self._asker, record, settings.minimum, sizes, funnel)

    def _ask(
        self,
        generator: Generator,
        journal: Journal,
        planned: list[JudgedPair],
        record: Record,
        tally: Tally[JudgementReason],
    ) -> None:
        grammar, overwrite = self._grammar, self._settings.overwrite

        async def probe_lane(window: Window, lane: Lane) -> None:
            made = json.loads(json.dumps([window.model, lane.server.name, generator.settings]))
            if grammar is not None and made not in (journal.fact("probed") or []):
                await self._asker.probe(planned[0], grammar, window, lane)
                journal.set_fact("probed", [*(journal.fact("probed") or []), made])

        async def probe(window: Window) -> None:
            await asyncio.gather(*(probe_lane(window, lane) for lane in window.lanes if lane.up))

        def begin(model: str) -> nullcontext[Callable[[Outcome[JudgedPair, Judged, JudgementReason]], None]]:
            record.source = (generator.name, model, VERSION, self._asker.rubric.sha256)
            return nullcontext(record.take)

        write, units = self._asker.write, iter(planned)
        inquire(generator, journal, overwrite, write, units, len(planned), tally, begin, probe)


def _judgement(
    by: str, asker: JudgementAsker, record: Record, minimum: int, sizes: tuple[int, int], funnel: JudgementFunnel
) -> Judgement:
    scores = record.scores
    synthetic, real = means(scores, minimum, sizes)
    preferred = preference(scores.choices, minimum)
    rows, turns = record.frames()
    return Judgement(
        not_judged="",
        by=by,
        rubric=VERSION,
        templates_sha256=asker.rubric.sha256,
        measures=[*synthetic, preferred.measure],
        real=real,
        preference=preferred,
        agreement=agreements(scores, minimum),
        bias=position_bias(scores.choices, minimum),
        funnel=funnel,
        rows=rows,
        turns=turns,
    )


def unjudged(because: str, funnel: JudgementFunnel) -> Judgement:
    """A judgement without any figure.

    Args:
        because: why, without a stop at its end.
        funnel: as far as it went.
    """
    rows, turns = Record(Scores((), 1)).frames()

    def none(name: str, better: Better) -> Measure:
        return undefined(FAMILY, name, better, f"nothing was judged: {because}", 0, funnel.dialogues)

    criteria = [*(none(name, "higher") for name in CRITERIA), none(FIT, "real")]
    return Judgement(
        not_judged=f"Not judged: {because}.",
        by="",
        rubric=VERSION,
        templates_sha256=Rubric().sha256,
        measures=[*criteria, none(PREFERENCE, "higher")],
        real=criteria,
        preference=None,
        agreement=[],
        bias=[],
        funnel=funnel,
        rows=rows,
        turns=turns,
    )


def _show(
    asker: JudgementAsker,
    planned: list[JudgedPair],
    counts: JudgementFunnel,
    settings: config.JudgeConfig,
    console: SafeConsole,
) -> None:
    """The first prompt of each kind, and how many requests there would be."""
    first = {unit.kind: unit for unit in reversed(planned)}
    for kind, unit in sorted(first.items()):
        prompt = asker.request(unit, 0).prompt
        console.print(Panel(prompt, title=f"{kind}, about {len(prompt) // CHARACTERS} tokens", title_align="left"))
    compared = sum(unit.kind == "pair" for unit in planned)
    console.print(
        f"{counts.pairs:,} pairs in both orders with {settings.repeats} seeds: {compared:,} requests, and "
        f"{counts.wanted - compared:,} about personas; what is asked for again not counted.",
        soft_wrap=True,
    )


def _rules(settings: config.JudgeConfig, generator: config.GeneratorConfig) -> Iterator[Rule]:
    for key in ("n", "repeats", "attempts", "minimum"):
        yield at_least_1(f"{NODE}{key}", getattr(settings, key))
    enough = f"{settings.minimum} or more: of fewer than judge.minimum there is no figure"
    yield f"{NODE}n", settings.n, settings.n >= settings.minimum, enough
    yield f"{NODE}turns", settings.turns, 1 <= settings.turns <= MOST_TURNS, f"from 1 to {MOST_TURNS}"
    yield from generator.problems()
