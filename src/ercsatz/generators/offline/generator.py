"""``generator=offline``: a seeded grammar that answers the prompt in the prompt's own format, without any model.

It has the flaws that language models have, at low rates, so that everything behind it is exercised. It goes by the
request's speakers, labels and target; what a prompt says about persons and situations it does not read.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ercsatz.config import GeneratorConfig, Profile, PromptStyle
from ercsatz.generators.interface import Answer, FinishReason, Generator, Identity, Request, Step
from ercsatz.generators.offline.dynamics import EmotionChain
from ercsatz.generators.offline.grammar import Writer
from ercsatz.generators.offline.lexicon import phrases, phrases_sha256

VERSION = 1
"""Of the grammar. One more when the same request gets another answer; phrases are known by their content."""

PROFILE = Profile(
    honours=frozenset({"seed"}),
    licence="apache-2.0",
    rights="The text is put together from phrases that ercsatz ships under the Apache License 2.0.",
    limits=(
        "No language model was asked: a seeded grammar puts the dialogues together from a fixed stock of phrases. "
        "It is for demos and tests, and the control that a language model has to beat.",
        "The labels are those that the grammar meant, not anyone's judgement, and the vocabulary is small.",
        "The grammar reads neither personas nor situations: in persona mode they stand beside the dialogues only.",
    ),
    language_model=False,
)

# Shares of answers with a flaw: dialogues, and the steps of a persona
FLAWS = {"missing_number": 0.010, "unknown_number": 0.006, "stray_prose": 0.012, "cut_off": 0.012}
STEP_FLAWS = {"stray_prose": 0.015, "cut_off": 0.010, "missing_relation": 0.010}

_BEFORE = ("Sure! Here is the conversation:", "Here's a natural conversation as requested.", "Conversation:")
_AFTER = (
    "I hope this helps!",
    "Let me know if you would like another one.",
    "(End of the conversation.)",
    "Note: the numbers show the emotion of each utterance.",
)


@dataclass
class OfflineConfig(GeneratorConfig):
    """The grammar; it has no options of its own."""

    @property
    def profile(self) -> Profile:
        """Seeds alone."""
        return PROFILE

    def build(self, grammar: str | None = None) -> Generator:
        """One place that answers at once."""
        settings = {"version": VERSION, "phrases_sha256": phrases_sha256()}
        return Generator("offline", PROFILE, settings, (OfflineServer(),), window=self.window)


class OfflineServer:
    """Answers depend on the request and on the grammar as it is shipped."""

    name = "offline"

    async def identify(self) -> Identity:
        """It is always the same."""
        return Identity("offline")

    async def healthy(self) -> bool:
        """It always is."""
        return True

    async def close(self) -> None:
        """It holds nothing."""

    async def answer(self, request: Request) -> Answer:
        """Write what the request asks for.

        Raises:
            UserError: a label that the phrases do not cover.
        """
        rng = random.Random(request.seed)
        if request.step is not Step.dialogue:
            return _tell(rng, request)
        numbers = {label: number for number, label in enumerate(request.labels, 1)}
        lines = [f"{speaker}: {text} ({numbers[label]})" for speaker, text, label in write(rng, request)]
        return _flawed(rng, lines, len(numbers))


def write(rng: random.Random, request: Request) -> list[tuple[str, str, str]]:
    """Speaker, text and label of every turn, without flaws. All speakers speak; a target occurs at least once."""
    alone = len(request.speakers) == 1
    order = list(request.speakers) if alone else _order(rng, request.speakers, request.n_turns)
    chain = EmotionChain(rng, request.labels, request.target)
    times = min(rng.choices((1, 2, 3), (35, 45, 20))[0], len(order))
    planted = rng.sample(range(len(order)), times) if request.target is not None else []
    # A single text is addressed to nobody by name, and it is no farewell: the writer expects more to come.
    writer = Writer(rng, PromptStyle.pair, order * 2) if alone else Writer(rng, request.style, order)
    turns = []
    for place, speaker in enumerate(order):
        label = request.target if request.target is not None and place in planted else chain.draw(speaker)
        chain.spoken(speaker, label)
        turns.append((speaker, writer.turn(place, label), label))
    return turns


def _order(rng: random.Random, speakers: Sequence[str], n_turns: int) -> list[str]:
    """Who speaks when: mostly answers back and forth, and nobody stays silent."""
    order: list[str] = []
    for turn in range(n_turns):
        silent = [speaker for speaker in speakers if speaker not in order]
        if order and len(silent) >= n_turns - turn:
            order.append(rng.choice(silent))
            continue
        others = [speaker for speaker in speakers if not order or speaker != order[-1]]
        weights = [3 if order[-2:-1] == [speaker] else 1 for speaker in others]
        order.append(order[-1] if order and rng.random() < 0.05 else rng.choices(others, weights)[0])
    return order


def _tell(rng: random.Random, request: Request) -> Answer:
    """A background or a situation from the stock, now and then with one of the flaws."""
    stock = phrases("persona")
    if request.step is Step.background:
        lines = [" ".join(rng.choice(stock[part]) for part in ("upbringing", "place", "family", "customs"))]
    else:
        lines = [f"Situation: {rng.choice(stock['situation'])}"]
        if len(request.speakers) > 1:
            lines.append(f"Relation: {rng.choice(stock['relation'])}")
    (flaw,) = rng.choices([*STEP_FLAWS, ""], [*STEP_FLAWS.values(), 1 - sum(STEP_FLAWS.values())])
    match flaw:
        case "stray_prose":
            lines = [rng.choice(stock["before"]), "", *lines]
        case "cut_off":
            text = "\n".join(lines)
            return Answer(text[: rng.randrange(len(text) // 2, len(text))], FinishReason.length)
        case "missing_relation":
            lines = lines[:1]
    return Answer("\n".join(lines), FinishReason.stop)


def _flawed(rng: random.Random, lines: list[str], n_labels: int) -> Answer:
    """The answer's text, now and then with one of the flaws."""
    (flaw,) = rng.choices([*FLAWS, ""], [*FLAWS.values(), 1 - sum(FLAWS.values())])
    place = rng.randrange(len(lines))
    words, _, _ = lines[place].rpartition(" (")
    match flaw:
        case "missing_number":
            lines[place] = words
        case "unknown_number":
            lines[place] = f"{words} ({n_labels + rng.randint(1, 3)})"
        case "stray_prose":
            lines = [rng.choice(_BEFORE), "", *lines] if rng.random() < 0.5 else [*lines, "", rng.choice(_AFTER)]
        case "cut_off":
            text = "\n".join(lines)
            return Answer(text[: rng.randrange(len(text) // 2, len(text))], FinishReason.length)
    return Answer("\n".join(lines), FinishReason.stop)
