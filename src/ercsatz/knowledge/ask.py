"""Ask a language model about every utterance; as for dialogues, each answer is in a journal before it is used."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ercsatz.config import KnowledgeConfig, Served
from ercsatz.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.generation.engine import REACH, Engine
from ercsatz.generation.journal import Journal
from ercsatz.generation.probe import identify
from ercsatz.generation.progress import State
from ercsatz.generation.prompt import Templates
from ercsatz.generation.seeds import derive
from ercsatz.generation.stopping import on_signal
from ercsatz.generation.window import Lane, UnansweredError, Window
from ercsatz.generation.write import Ask
from ercsatz.generators.interface import Generator, Request
from ercsatz.knowledge.answers import Reason, read_answer
from ercsatz.knowledge.relations import Inference
from ercsatz.knowledge.sidecar import Entry

LINE_EVERY = 30.0  # seconds between lines that say how far it is
HOPELESS = 100  # utterances, all without an answer that can be read, after which there is no use in going on
Begin = Callable[[str], AbstractContextManager[Callable[[Entry], None]]]


@dataclass(frozen=True, slots=True)
class Unit:
    """One utterance that is asked about; ``index`` counts all of a data set from 0."""

    index: int
    split: str
    dialogue: Dialogue
    turn: int


@dataclass(slots=True)
class Outcome:
    """What became of a unit, and why answers were rejected before."""

    unit: Unit
    result: Inference | Reason = Reason.unanswered
    rejected: Counter[Reason] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """Utterances done with, those of them that have an answer, and why the others have none."""

    taken: int = 0
    known: int = 0
    without: Counter[Reason] = field(default_factory=Counter)
    rejected: Counter[Reason] = field(default_factory=Counter)

    def count(self, outcome: Outcome) -> None:
        """Count one more.

        Raises:
            UserError: none of the first ``HOPELESS`` has an answer that can be read.
        """
        self.taken += 1
        self.rejected.update(outcome.rejected)
        if isinstance(outcome.result, Reason):
            self.without[outcome.result] += 1
        else:
            self.known += 1
        if not self.known and self.taken == HOPELESS:
            raise UserError(
                f"The first {HOPELESS} utterances have no answer that can be read, so the run stopped. "
                f"{_listed(self.without)}"
            )


class Asker:
    """Asks about one utterance until an answer can be read.

    Args:
        config: of the run.

    Attributes:
        sha256: SHA-256 (hex) of the prompt's templates.
    """

    def __init__(self, config: KnowledgeConfig) -> None:
        self._config = config
        self._templates = Templates("knowledge", Path(config.prompts) if config.prompts is not None else None)
        files = sorted((self._templates.folder / "knowledge").glob("*.j2"))
        self.sha256 = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()

    def request(self, unit: Unit, attempt: int) -> Request:
        """The request for one utterance: what it is, and at most ``generate.turns`` before it, never one after it."""
        config, spoken = self._config, unit.dialogue.utterances
        first = max(0, unit.turn - config.generate.turns)
        before = [{"speaker": turn.speaker, "text": _line(turn.text)} for turn in spoken[first : unit.turn]]
        last = spoken[unit.turn]
        seed = derive(config.seed, config.data.name, "knowledge", unit.split, unit.dialogue.id, unit.turn, attempt)
        return Request(
            index=unit.index,
            seed=seed,
            prompt=self._templates.sentence("relations", before=before, speaker=last.speaker, text=_line(last.text)),
            mode="knowledge",
            style=config.benchmark.style,
            speakers=(last.speaker,),
            labels=(),
            target=None,
            n_turns=1,
            attempt=attempt,
        )

    async def write(self, unit: Unit, ask: Ask) -> Outcome:
        """Ask with one seed after the other until an answer can be read."""
        outcome = Outcome(unit)
        try:
            for attempt in range(self._config.generate.attempts):
                outcome.result = read_answer(await ask(self.request(unit, attempt)))
                if isinstance(outcome.result, Inference):
                    return outcome
                outcome.rejected[outcome.result] += 1
        except UnansweredError as error:
            outcome.result = Reason.refused if error.refused else Reason.unanswered
        return outcome


def units(splits: Mapping[str, Sequence[Dialogue]]) -> Iterator[Unit]:
    """All utterances of a data set, in order."""
    index = 0
    for split, dialogues in splits.items():
        for dialogue in dialogues:
            for turn in range(len(dialogue.utterances)):
                yield Unit(index, split, dialogue, turn)
                index += 1


def settings(config: KnowledgeConfig, generator: Generator, asker: Asker) -> dict[str, Any]:
    """All that the requests depend on besides the dialogues; the model that answers comes on top."""
    return {
        "data": config.data.name,
        "generate": {"turns": config.generate.turns},
        "generator": {"name": generator.name, **generator.settings},
        "seed": config.seed,
        "templates_sha256": asker.sha256,
    }


class Inquiry:
    """One run over a data set.

    Args:
        config: of the run.
        generator: whom to ask.
        asker: how.
        journal: what was answered before, and will be.
    """

    def __init__(self, config: KnowledgeConfig, generator: Generator, asker: Asker, journal: Journal) -> None:
        self._config, self._generator, self._asker, self._journal = config, generator, asker, journal
        self._state = State(None, "utterances", ())
        chosen = config.generator
        lanes = [Lane(server, chosen.window) for server in generator.servers]
        tries, patience = (chosen.tries, chosen.patience) if isinstance(chosen, Served) else (1, 0.0)
        self._window = Window(lanes, tries, patience, journal.add_failure, self._state)

    async def run(self, splits: Mapping[str, Sequence[Dialogue]], begin: Begin, console: Console) -> None:
        """Ask about all utterances and write what is answered, in their order.

        Args:
            splits: the data set.
            begin: from where the answers are from to what they are given to; nothing is kept of a run that is stopped.
            console: told how far it is.

        Raises:
            UserError: the servers are not there or not right, nothing can be read, or the disk is full.
            KeyboardInterrupt: the user stopped it.
        """
        state, window, tally = self._state, self._window, Tally()
        n = sum(len(dialogue.utterances) for dialogues in splits.values() for dialogue in dialogues)
        try:
            model = await self._model()
            self._journal.answers_come_from(
                self._generator.settings, model, self._generator.sent, self._generator.dropped
            )
            engine = Engine(self._asker.write, self._journal, window, self._ready, lambda: REACH, state)
            async with on_signal(partial(_drain, window, state)):
                with begin(f"{self._generator.name} {model}") as put:
                    beat = asyncio.create_task(_tell_now_and_then(console, state, tally, n))
                    try:
                        async with aclosing(engine.outcomes(units(splits))) as outcomes:
                            async for outcome in outcomes:
                                tally.count(outcome)
                                put(_entry(outcome))
                    finally:
                        beat.cancel()
                        _tell(console, state, tally, n)
                    self._check_end(tally, n)
        finally:
            await window.close()
        console.print(state.summary())
        if tally.without:
            console.print(f"{tally.without.total()} utterances without: {_listed(tally.without)}", soft_wrap=True)
        if tally.without[Reason.unanswered]:
            console.print("The same command asks again for those that got no answer.")

    async def _model(self) -> str:
        """The model that the answers come from: the journal's, or the servers' where there is none yet."""
        before: str | None = self._journal.fact("model") if self._journal.n_answers else None
        if before is not None and not self._config.overwrite:
            return before
        model, details = await identify(self._window.lanes)
        self._journal.set_fact("model", model)
        self._journal.set_fact("servers", details)
        return model

    async def _ready(self) -> None:
        """Before the first request is sent: are the servers there, with the same model?"""
        model, _ = await identify(self._window.lanes)
        before = self._journal.fact("model")
        if model != before:
            raise UserError(
                f"The answers in {self._config.journal} come from {before}, but the server has {model}. "
                "Serve that one, begin another journal with journal=FILE, or ask all again with overwrite=true."
            )
        self._window.model = model
        for lane in self._window.lanes:
            if not lane.up:
                self._window.watch(lane)

    def _check_end(self, tally: Tally, n: int) -> None:
        goes_on = f"{self._journal.n_answers} answers are in the journal; the same command goes on from there."
        if self._window.error is not None:
            raise UserError(f"{self._window.error}\n{goes_on}") from self._window.error
        if tally.taken < n:
            raise KeyboardInterrupt(goes_on)
        if not tally.known:
            raise UserError(f"No answer can be read, so nothing was written. {_listed(tally.without)}")


def _entry(outcome: Outcome) -> Entry:
    unit = outcome.unit
    known = outcome.result if isinstance(outcome.result, Inference) else Inference()
    return Entry(unit.split, unit.dialogue.id, unit.turn, generated=known)


def _line(text: str) -> str:
    return " ".join(text.split())


def _listed(counts: Counter[Reason]) -> str:
    return "; ".join(f"{reason.name} {count} ({reason.value})" for reason, count in counts.most_common())


async def _tell_now_and_then(console: Console, state: State, tally: Tally, n: int) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY)
        _tell(console, state, tally, n)


def _tell(console: Console, state: State, tally: Tally, n: int) -> None:
    seconds = sum(state.waits.seconds().values())
    line = (
        f"{state.finished:,} of {n:,} utterances; {state.answered:,} answers ({state.answered / seconds:.1f}/s), "
        f"{state.replayed:,} more from the journal; {state.in_flight:,} in flight"
    )
    if tally.rejected:
        line += "; rejected: " + ", ".join(f"{reason.name} {count}" for reason, count in tally.rejected.most_common())
    if state.down:
        line += f"; down: {', '.join(state.down)}"
    with suppress(OSError):  # a run goes on when nobody listens any more
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _drain(window: Window, state: State) -> None:
    window.stop()
    state.note = f"stopping: waiting for {window.in_flight} answers; Ctrl-C again stops at once"
    print(state.note, flush=True)
