"""One unit of the plan from its first request to its turns, or to the reason why it has none."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from ercsatz.config import GenerateConfig, PersonaStep, PromptStyle
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.generation.guided import PLACEHOLDERS, rename, rename_text
from ercsatz.generation.parse import parse
from ercsatz.generation.personas import Persona, Situation, read_background, read_situation
from ercsatz.generation.plan import PlannedDialogue, is_text, mode_of
from ercsatz.generation.rejection import Reason, check
from ercsatz.generators.interface import Answer, Request, Step
from ercsatz.llm.endpoint_pool import UnansweredError
from ercsatz.llm.inquiry import ask_until_read
from ercsatz.llm.prompt import Templates
from ercsatz.llm.scheduler import Ask
from ercsatz.llm.seeds import derive

T = TypeVar("T")


@dataclass(slots=True)
class WrittenDialogue:
    """What became of a unit.

    Attributes:
        unit: as planned.
        stage: how far it came in the funnel: ``asked``, ``answered``, ``parsed`` or ``accepted``.
        result: its turns when accepted, else the last reason why not.
        request: of the last answer to the dialogue's request; ``None`` where it did not get there.
        personas: with what the model wrote.
        situation: with what the model wrote.
        rejected: reasons of all answers that were rejected, the last one included.
        tokens: of prompts and answers, rejected ones included.
    """

    unit: PlannedDialogue
    stage: str = "asked"
    result: tuple[Utterance, ...] | Reason = Reason.unanswered
    request: Request | None = None
    personas: tuple[Persona, ...] = ()
    situation: Situation | None = None
    rejected: Counter[Reason] = field(default_factory=Counter)
    tokens: tuple[int, int] = (0, 0)


class _RejectedError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__()
        self.reason = reason


class DialogueWriter:
    """Writes units: asks, parses, checks, and asks again with the next seed.

    Args:
        config: of the run.
        templates: of its mode.
        guided: whether placeholders speak in the answers.
    """

    def __init__(self, config: GenerateConfig, templates: Templates, guided: bool) -> None:
        self._config, self._templates, self._guided = config, templates, guided
        self._mode, self._text = mode_of(config), is_text(config)
        plan = config.plan
        self._plan = replace(plan, min_turns=1, max_turns=1) if self._text else plan

    async def write(self, unit: PlannedDialogue, ask: Ask) -> WrittenDialogue:
        """All steps of a unit, one after the other."""
        outcome = WrittenDialogue(unit, personas=unit.personas, situation=unit.situation)
        try:
            if self._mode.personas:
                await self._write_persona(outcome, ask)
            request = partial(self.dialogue_request, outcome)
            outcome.result = await self._attempts(outcome, ask, request, self._judge(outcome))
        except _RejectedError as rejected:
            outcome.result = rejected.reason
        except UnansweredError as error:
            outcome.stage, outcome.result = "asked", Reason.refused if error.refused else Reason.unanswered
        return outcome

    def dialogue_request(self, outcome: WrittenDialogue, attempt: int) -> Request:
        """The request for the dialogue itself, of a unit whose persona steps are done."""
        unit = outcome.unit
        cast = self._cast(outcome)
        prompt = self._templates.prompt(**self._variables(unit), **cast, situation=outcome.situation)
        return self._request(unit, Step.dialogue, prompt, cast["speakers"], attempt)

    def background_request(self, unit: PlannedDialogue, place: int, attempt: int) -> Request:
        """The request for the background of one speaker."""
        prompt = self._templates.sentence("background", **self._variables(unit), persona=unit.personas[place])
        return self._request(unit, Step.background, prompt, (unit.speakers[place],), attempt, place)

    def situation_request(self, outcome: WrittenDialogue, attempt: int) -> Request:
        """The request for the situation, of a unit whose backgrounds are there."""
        unit, cast = outcome.unit, self._cast(outcome)
        prompt = self._templates.sentence("situation", **self._variables(unit), **cast)
        return self._request(unit, Step.situation, prompt, cast["speakers"], attempt)

    def dialogue(self, outcome: WrittenDialogue, generator: str, model: str) -> Dialogue:
        """An accepted outcome as data, with its provenance."""
        unit, request = outcome.unit, outcome.request
        assert request is not None
        assert not isinstance(outcome.result, Reason)
        provenance: dict[str, Any] = {
            "index": unit.index,
            "seed": request.seed,
            "attempt": request.attempt,
            "generator": generator,
            "model": model,
            "mode": self._mode.name,
            "target": unit.target,
            "prompt_sha256": request.prompt_sha256,
        }
        if self._mode.personas:
            provenance["personas"] = [asdict(persona) for persona in outcome.personas]
            provenance["situation"] = None if outcome.situation is None else self._told(outcome.situation, unit)
        return Dialogue(f"{unit.index:06d}", outcome.result, provenance)

    def _told(self, situation: Situation, unit: PlannedDialogue) -> dict[str, str | None]:
        told: dict[str, str | None] = asdict(situation)
        if not self._guided:
            return told
        return {key: text if text is None else rename_text(text, unit.speakers) for key, text in told.items()}

    async def _write_persona(self, outcome: WrittenDialogue, ask: Ask) -> None:
        steps, unit = self._config.persona, outcome.unit
        if steps.background is PersonaStep.write:
            personas = list(unit.personas)
            for place, persona in enumerate(personas):
                request = partial(self.background_request, unit, place)
                text = await self._attempts(outcome, ask, request, read_background)
                personas[place] = persona.with_background(text)
            outcome.personas = tuple(personas)
        if steps.situation is PersonaStep.write:
            read = partial(read_situation, wants_relation=not self._text)
            outcome.situation = await self._attempts(outcome, ask, partial(self.situation_request, outcome), read)

    async def _attempts(
        self,
        outcome: WrittenDialogue,
        ask: Ask,
        request: Callable[[int], Request],
        read: Callable[[Answer], T | Reason],
    ) -> T:
        """Ask with one seed after the other until an answer can be used."""

        async def counted(request: Request) -> Answer:
            answer = await ask(request)
            prompt_tokens, new_tokens = outcome.tokens
            outcome.tokens = (prompt_tokens + (answer.prompt_tokens or 0), new_tokens + (answer.new_tokens or 0))
            return answer

        result = await ask_until_read(outcome, counted, request, read, self._config.plan.attempts, Reason)
        if isinstance(result, Reason):
            raise _RejectedError(result)
        return result

    def _judge(self, outcome: WrittenDialogue) -> Callable[[Answer], tuple[Utterance, ...] | Reason]:
        labels = tuple(self._config.benchmark.labels)

        def judge(answer: Answer) -> tuple[Utterance, ...] | Reason:
            request = outcome.request
            assert request is not None
            turns = parse(answer, request.speakers, labels)
            outcome.stage = "answered"
            if isinstance(turns, Reason):
                return turns
            outcome.stage = "parsed"
            if reason := check(turns, request, self._plan):
                return reason
            outcome.stage = "accepted"
            named = self._config.benchmark.style is PromptStyle.cast
            return rename(turns, outcome.unit.speakers, in_texts=named) if self._guided else turns

        return judge

    def _cast(self, outcome: WrittenDialogue) -> dict[str, Any]:
        """Speakers and personas under the names that stand in prompt and answer."""
        speakers = outcome.unit.speakers
        names = PLACEHOLDERS[: len(speakers)] if self._guided else speakers
        spoken = dict(zip(speakers, names, strict=True))
        personas = [replace(persona, speaker=spoken[persona.speaker]) for persona in outcome.personas]
        return {"speakers": names, "personas": personas}

    def _variables(self, unit: PlannedDialogue) -> Mapping[str, Any]:
        return {
            "style": self._config.benchmark.style.value,
            "labels": list(self._config.benchmark.labels),
            "target": unit.target,
            "n_turns": unit.n_turns,
            "unit": self._config.persona.unit.value,
        }

    def _request(
        self, unit: PlannedDialogue, step: Step, prompt: str, speakers: Sequence[str], attempt: int, place: int = 0
    ) -> Request:
        name: tuple[str | int, ...] = () if step is Step.dialogue else (step.value, place)
        return Request(
            index=unit.index,
            seed=derive(self._config.seed, self._config.data.name, unit.index, *name, attempt),
            prompt=prompt,
            mode=self._mode.name,
            style=self._config.benchmark.style,
            speakers=tuple(speakers),
            labels=tuple(self._config.benchmark.labels),
            target=unit.target,
            n_turns=unit.n_turns,
            step=step,
            attempt=attempt,
        )
