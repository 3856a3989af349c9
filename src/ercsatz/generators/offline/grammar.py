"""Writes the words of a dialogue: one exchange after another, of something said and what the others make of it."""

import random
import re
from collections.abc import Sequence

from ercsatz.config import PromptStyle
from ercsatz.generators.offline.dynamics import BAD, GOOD
from ercsatz.generators.offline.lexicon import family, phrases, topics

# Whose phrases a turn may borrow, as people do not always sound the way they feel
CONFUSABLE = {
    "neutral": ("neutral",),
    "joy": ("excited", "neutral"),
    "excited": ("joy",),
    "peaceful": ("neutral", "joy"),
    "powerful": ("neutral", "joy"),
    "sadness": ("neutral", "frustrated"),
    "anger": ("frustrated",),
    "frustrated": ("anger", "neutral"),
    "fear": ("surprise", "sadness"),
    "surprise": ("neutral", "fear"),
    "disgust": ("anger", "frustrated"),
}
BORROWED = 0.06  # share of turns in the phrases of a confusable emotion
AMBIGUOUS = 0.10  # share of reactions that could express almost anything
NEXT_EXCHANGE = (0.0, 0.1, 0.45, 0.8)  # chance of a new exchange by the turns in the present one, 3 or more last
TALKATIVE = ("neutral", "sadness", "peaceful", "frustrated")  # emotions that take fillers

_SLOT = re.compile(r"\{(\w+)\}")
_LEADABLE = re.compile(r"(?!(?:Oh|Ha|Well|Hey|Wait|What|No|So|Okay|By|Before|Just|As|For)\b)(\{\w+\}|[A-Z][\w']*) ")
_KEPT_CAPITAL = re.compile(r"I\b")


class Writer:
    """Writes one dialogue turn by turn; says nothing twice in it."""

    def __init__(self, rng: random.Random, style: PromptStyle, order: Sequence[str]) -> None:
        """Choose what the dialogue is about.

        Args:
            rng: every choice comes from it.
            style: whether people may be called by name.
            order: the speaker of every turn.
        """
        self._rng, self._style, self._order = rng, style, order
        self._topic = rng.choice(topics())
        self._used: set[str] = set()  # phrases, and finished texts in small letters
        self._context = ""  # what a reaction has to deal with: good, bad, odd, fact, offer or blame
        self._matter = ""  # the emotion that the present exchange began with
        self._owner = ""  # who began it
        self._length = 0  # turns in it
        self._answers: Sequence[str] = ()  # to the question just asked
        self._partner = ""  # the first name of who is spoken to
        self._asks = False  # whether a question would be answered by someone else

    def turn(self, place: int, label: str) -> str:
        """The text of the turn at that place (from 0), which expresses the label."""
        speaker, emotion = self._order[place], family(label)
        before, after = self._order[max(place - 1, 0)], self._order[min(place + 1, len(self._order) - 1)]
        self._partner, self._asks = (before if before != speaker else after).split()[0], after != speaker
        voice = self._rng.choice(CONFUSABLE[emotion]) if self._rng.random() < BORROWED else emotion
        text = self._compose(place, voice)
        while text.casefold() in self._used:  # short turns alone can come up again
            text = f"{text} {self._pick(phrases(voice)['any'] + phrases(voice)['add'])}"
        self._used.add(text.casefold())
        return text[0].upper() + text[1:]

    def _compose(self, place: int, emotion: str) -> str:
        """Choose the kind of turn."""
        speaker, last = self._order[place], place == len(self._order) - 1
        if place == 0 and self._asks and self._rng.random() < 0.5:
            self._context = "greet"
            return self._pick(phrases(emotion)["greet"])
        greeted = self._context == "greet"
        self._context = "" if greeted else self._context
        if self._answers:
            return self._answer(speaker, emotion)
        if greeted:
            return self._pick(phrases(emotion)["greeted" if emotion == "neutral" else "greet"])
        if last and self._rng.random() < 0.6:
            return self._pick(phrases(emotion)["close"])
        chance = NEXT_EXCHANGE[min(self._length, 3)] * (not last)
        if not self._context or self._rng.random() < chance or self._jars(place, emotion):
            return self._begin(speaker, emotion)
        self._length += 1
        return self._add(emotion) if speaker == self._owner else self._react(speaker, emotion)

    def _jars(self, place: int, emotion: str) -> bool:
        """Whether an emotion would sound odd as the next word on the present matter."""
        speaker = self._order[place]
        if speaker == self._owner:
            return emotion not in ("neutral", self._matter) or self._context == "offer"
        if speaker == self._order[place - 1]:
            return True
        clash = (self._context == "bad" and emotion in GOOD) or (self._context == "good" and emotion in BAD)
        return clash and self._rng.random() < 0.75

    def _begin(self, speaker: str, emotion: str) -> str:
        """Bring up something: a question, a suggestion, a reproach, or news of the kind that the emotion goes with."""
        self._owner, self._matter, self._length = speaker, emotion, 1
        sections, chance = phrases(emotion), self._rng.random()
        if emotion == "neutral" and chance < 0.4 and self._asks:
            self._context = "fact"
            return self._led(emotion, (sections if self._rng.random() < 0.45 else self._topic)["ask"])
        if emotion == "neutral" and chance < 0.6:
            self._context = "offer"
            return self._led(emotion, sections["suggest"])
        if "accuse" in sections and self._asks and self._context and chance < 0.3:
            self._context = "blame"
            return self._named(self._led(emotion, sections["accuse"]))
        self._context = _context(emotion)
        return self._news(emotion)

    def _news(self, emotion: str) -> str:
        text = self._led(emotion, phrases(emotion)["tell"])
        return f"{text} {self._pick(phrases(emotion)['add'])}" if self._rng.random() < 0.35 else self._filled_out(text)

    def _answer(self, speaker: str, emotion: str) -> str:
        """Answer the question, and go on about the matter; with a strong feeling, pass over it now and then."""
        options, self._answers = self._answers, ()
        self._owner, self._length = speaker, self._length + 1
        sections, chance = phrases(emotion), self._rng.random()
        if emotion == "neutral":
            answer = self._pick(options)
            return f"{answer} {self._pick(sections['answer_tail'])}" if chance < 0.3 else answer
        if not self._context or (self._context == "fact" and chance < 0.45):
            opening = self._pick(phrases("shared")["dodge"] if chance < 0.2 else options)
            self._matter, self._context = emotion, _context(emotion)
            return f"{opening} {self._pick(sections['tell'])}"
        more = sections["add"] if emotion == self._matter else sections["any"]
        return f"{self._pick(options)} {self._pick(more)}"

    def _add(self, emotion: str) -> str:
        return self._filled_out(self._led(emotion, phrases(emotion)["add"]))

    def _react(self, speaker: str, emotion: str) -> str:
        sections, context = phrases(emotion), self._context
        self._context = "bad" if context == "blame" else context
        if self._rng.random() < AMBIGUOUS:
            return self._named(self._ambiguous(emotion))
        text = self._led(emotion, sections[context if self._rng.random() < 0.9 else "any"])
        if not self._answers and len(text) < 50 and self._rng.random() < 0.25:
            return f"{text} {self._begin(speaker, emotion) if emotion == 'neutral' else self._pick(sections['any'])}"
        return self._named(self._filled_out(text))

    def _ambiguous(self, emotion: str) -> str:
        text = self._pick(phrases("shared")["ambiguous"])
        if not text.endswith(".") or self._rng.random() < 0.5:
            return text
        return text[:-1] + {"anger": "!", "excited": "!", "surprise": "!", "sadness": "...", "fear": "..."}.get(
            emotion, "."
        )

    def _filled_out(self, text: str) -> str:
        """Now and then end a statement on a filler."""
        if self._voice_is_calm(text) and self._rng.random() < 0.1:
            return f"{text[:-1]}, {self._pick(phrases('shared')['filler'])}."
        return text

    @staticmethod
    def _voice_is_calm(text: str) -> bool:
        return text.endswith(".") and not set(text[:-1]) & set(".,!?:") and len(text) > 15

    def _named(self, text: str) -> str:
        """Now and then end a short turn on the name of the person spoken to."""
        short = 5 < len(text) < 45 and text[-2].isalpha() and "," not in text
        if self._style is PromptStyle.pair or not self._partner or not short or self._rng.random() > 0.15:
            return text
        return f"{text[:-1]}, {self._partner}{text[-1]}"

    def _led(self, emotion: str, options: Sequence[str]) -> str:
        """A phrase, now and then with an interjection before it; a question leaves its answers for the next turn."""
        phrase = self._choose(options)
        if _LEADABLE.match(phrase) and self._rng.random() < 0.25:
            keeps = _KEPT_CAPITAL.match(phrase)
            start = phrase[:2].lower() if phrase.startswith("{") else phrase[:1] if keeps else phrase[:1].lower()
            phrase = f"{self._rng.choice(phrases(emotion)['lead'])} {start}{phrase[len(start) :]}"
        return self._fill(phrase)

    def _pick(self, options: Sequence[str]) -> str:
        return self._fill(self._choose(options))

    def _choose(self, options: Sequence[str]) -> str:
        """A phrase that this dialogue has not used, if there is one left."""
        named = self._style is PromptStyle.cast and self._partner
        usable = [option for option in options if named or "{name}" not in option.lower()]
        phrase = self._rng.choice([option for option in usable if option not in self._used] or usable)
        self._used.add(phrase)
        return phrase

    def _fill(self, phrase: str) -> str:
        question, *answers = phrase.split(" | ")
        self._answers = answers if answers and self._asks else self._answers
        return _SLOT.sub(self._value, question)

    def _value(self, slot: re.Match[str]) -> str:
        name = slot[1].lower()
        if name == "name":
            return self._partner
        value = self._pick((self._topic if name in self._topic else phrases("shared"))[name])
        return value[0].upper() + value[1:] if slot[1][0].isupper() else value


def _context(emotion: str) -> str:
    """What news in an emotion is to those who hear it."""
    if emotion in GOOD:
        return "good"
    if emotion in BAD:
        return "bad"
    return "odd" if emotion == "surprise" else "fact"
