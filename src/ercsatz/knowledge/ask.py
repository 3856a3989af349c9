"""Ask a language model about every utterance; as for dialogues, each answer is in a journal before it is used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ercsatz.config import KnowledgeConfig
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator, Request
from ercsatz.knowledge.answers import AnswerReason, read_answer
from ercsatz.knowledge.relations import Inference
from ercsatz.knowledge.sidecar import SidecarEntry
from ercsatz.llm.inquiry import Outcome, Tally, inquire, persist, templates_sha256
from ercsatz.llm.journal import Journal
from ercsatz.llm.prompt import Templates
from ercsatz.llm.scheduler import Ask
from ercsatz.llm.seeds import derive

HOPELESS = 100  # utterances, all without an answer that can be read, after which there is no use in going on
Begin = Callable[[str], AbstractContextManager[Callable[[SidecarEntry], None]]]


@dataclass(frozen=True, slots=True)
class KnowledgeUnit:
    """One utterance that is asked about; ``index`` counts all of a data set from 0."""

    index: int
    split: str
    dialogue: Dialogue
    turn: int


class KnowledgeAsker:
    """Asks about one utterance until an answer can be read.

    Args:
        config: of the run.

    Attributes:
        sha256: SHA-256 (hex) of the prompt's templates.
    """

    def __init__(self, config: KnowledgeConfig) -> None:
        self._config = config
        self._templates = Templates("knowledge", *([] if config.prompts is None else [Path(config.prompts)]))
        self.sha256 = templates_sha256(self._templates.folder / "knowledge")

    def request(self, unit: KnowledgeUnit, attempt: int) -> Request:
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

    async def write(self, unit: KnowledgeUnit, ask: Ask) -> Outcome[KnowledgeUnit, Inference, AnswerReason]:
        """Ask with one seed after the other until an answer can be read."""
        attempts = self._config.generate.attempts
        return await persist(unit, ask, partial(self.request, unit), read_answer, attempts, AnswerReason)


def units(splits: Mapping[str, Sequence[Dialogue]]) -> Iterator[KnowledgeUnit]:
    """All utterances of a data set, in order."""
    index = 0
    for split, dialogues in splits.items():
        for dialogue in dialogues:
            for turn in range(len(dialogue.utterances)):
                yield KnowledgeUnit(index, split, dialogue, turn)
                index += 1


def settings(config: KnowledgeConfig, generator: Generator, asker: KnowledgeAsker) -> dict[str, Any]:
    """All that the requests depend on besides the dialogues; the model that answers comes on top."""
    return {
        "data": config.data.name,
        "generate": {"turns": config.generate.turns},
        "generator": {"name": generator.name, **generator.settings},
        "seed": config.seed,
        "templates_sha256": asker.sha256,
    }


def ask_about_all(
    config: KnowledgeConfig,
    generator: Generator,
    asker: KnowledgeAsker,
    journal: Journal,
    splits: Mapping[str, Sequence[Dialogue]],
    begin: Begin,
) -> None:
    """Ask about all utterances of a data set and write what is answered, in their order.

    Args:
        config: of the run.
        generator: whom to ask.
        asker: how.
        journal: what was answered before, and will be.
        splits: the data set.
        begin: from where the answers are from to what they are given to; nothing is kept of a run that is stopped.

    Raises:
        UserError: the servers are not there or not right, nothing can be read, or the disk is full.
        KeyboardInterrupt: the user stopped it.
    """
    n = sum(len(dialogue.utterances) for dialogues in splits.values() for dialogue in dialogues)
    tally = Tally[AnswerReason]("utterances", HOPELESS)

    @contextmanager
    def writing(model: str) -> Iterator[Callable[[Outcome[KnowledgeUnit, Inference, AnswerReason]], None]]:
        with begin(f"{generator.name} {model}") as put:
            yield lambda outcome: put(_entry(outcome))
            if not tally.used:
                raise UserError(f"No answer can be read, so nothing was written. {tally.reasons}")

    inquire(generator, journal, config.overwrite, asker.write, units(splits), n, tally, writing)


def _entry(outcome: Outcome[KnowledgeUnit, Inference, AnswerReason]) -> SidecarEntry:
    unit = outcome.unit
    known = outcome.result if isinstance(outcome.result, Inference) else Inference()
    return SidecarEntry.about(unit.split, unit.dialogue, unit.turn, generated=known)


def _line(text: str) -> str:
    return " ".join(text.split())
