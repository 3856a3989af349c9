"""Personas and situations: sampled from the inventories, or read from what a language model has written."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from ercsatz.config.yaml_files import parse_yaml
from ercsatz.errors import UserError
from ercsatz.generation.rejection import Reason
from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.reporting.text import printable

SIZES = (2, 3, 4)  # group sizes that relations can be for
MIN_WORDS, MAX_WORDS = 4, 120  # of a background or situation; fewer or more is not what was asked for

# What an entry of each file may have besides a weight; backgrounds.yaml alone has several lists of entries.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "ages": ("ages",),
    "genders": ("text",),
    "mbti": ("text",),
    "occupations": ("text", "ages"),
    "backgrounds": ("text", "ages", "region"),
    "situations": ("text",),
    "relations": ("text", "sizes"),
}

_POLITE = re.compile(
    r"\A(?:(?:sure(?: thing)?|certainly|of course|absolutely|okay|great)\s?[!,.]\s*)?"
    r"(?:here(?:['\u2019]s| is| are)\b[^:.]{0,150}[:.](?:\s+|\Z))?",
    re.IGNORECASE,
)
_AFTERWORD = re.compile(r"\(?(?:i hope|let me know|feel free|would you like|please let|note:|\(end)", re.IGNORECASE)
_REFUSAL = re.compile(r"(?:i['\u2019]?m sorry|i am sorry|sorry|i can(?:no|['\u2019])t|as an ai)\b", re.IGNORECASE)
_LISTED = re.compile(r"[-*+\u2022]\s|[0-9]{1,2}[.)]\s|[\[{}|]")
_FIELD = re.compile(r"[\"A-Z][\w '\"/-]{0,40}:")
_BACKGROUND = re.compile(
    r"\A(?:the )?(?:person['\u2019]s )?(?:socio-?cultural )?background\s?(?::\s*|\Z)", re.IGNORECASE
)
_SITUATION = re.compile(
    r"(?:[-*+\u2022]\s|[0-9]{1,2}[.)]\s)?(situation|relation)(?:s|ship|ships)?\s?:\s*", re.IGNORECASE
)
_QUOTED = re.compile('["\u201c]([^"\u201c\u201d]+)["\u201d]')
_ENDS = ".!?\u2026\"\u201d')"


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a speaker is; what a step that is off would give is ``None``.

    Attributes:
        speaker: the name, or ``M`` or ``F``.
        age: in years.
        gender: a word, as in ``genders.yaml``.
        occupation: a few words.
        mbti: one of the 16 Myers-Briggs types.
        background: socio-cultural background, some sentences.
    """

    speaker: str
    age: int | None = None
    gender: str | None = None
    occupation: str | None = None
    mbti: str | None = None
    background: str | None = None

    def with_background(self, text: str) -> "Persona":
        """The same persona with that background."""
        return replace(self, background=text)


@dataclass(frozen=True, slots=True)
class Situation:
    """What is going on, and how the speakers are related (``None`` where there is only one)."""

    text: str
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    """One line of an inventory.

    Attributes:
        text: what a prompt says; empty in ``ages.yaml``.
        weight: how often it is drawn, relative to the others.
        ages: lowest and highest age that it goes with; ``None`` goes with any.
        region: entries of two regions do not go together; ``None`` goes with any.
        sizes: the numbers of speakers that it fits.
    """

    text: str = ""
    weight: float = 1.0
    ages: tuple[int, int] | None = None
    region: str | None = None
    sizes: tuple[int, ...] = SIZES

    def suits(self, age: int | None, region: str | None = None) -> bool:
        """Whether it goes with a person; ``None`` means unknown."""
        if self.ages is not None and (age is None or not self.ages[0] <= age <= self.ages[1]):
            return False
        return self.region is None or region is None or self.region == region


class Inventories:
    """What personas and situations are sampled from: the files of a folder, which users may edit.

    Args:
        folder: holds ``ages.yaml``, ``genders.yaml``, ``mbti.yaml``, ``occupations.yaml``, ``backgrounds.yaml``,
            ``situations.yaml`` and ``relations.yaml``; see prompts/README.md.

    Attributes:
        sha256: SHA-256 (hex) of all the files.

    Raises:
        UserError: a file is missing or cannot be read, or an entry makes no sense.
    """

    def __init__(self, folder: Path) -> None:
        files = {name: folder / f"{name}.yaml" for name in _KEYS}
        contents = {name: _bytes(file) for name, file in files.items()}
        parts = [f"{name}\0{len(content)}\0".encode() + content for name, content in contents.items()]
        self.sha256 = hashlib.sha256(b"".join(parts)).hexdigest()
        raw = {name: parse_yaml(content, files[name]) for name, content in contents.items()}
        backgrounds = raw.pop("backgrounds")
        if not isinstance(backgrounds, dict) or not backgrounds:
            raise UserError(f"{files['backgrounds']}: must map each part of a background to a list of entries.")
        self._backgrounds = {
            part: _entries(f"{files['backgrounds']}, {part}", "backgrounds", entries)
            for part, entries in backgrounds.items()
        }
        lists = {name: _entries(str(files[name]), name, entries) for name, entries in raw.items()}
        self._ages, self._genders, self._types = lists["ages"], lists["genders"], lists["mbti"]
        self._occupations, self._situations = lists["occupations"], lists["situations"]
        self._relations = {size: [entry for entry in lists["relations"] if size in entry.sizes] for size in SIZES}
        self._check(folder)

    def base(self, rng: Random, speaker: str, gender: str | None) -> Persona:
        """A base persona.

        Args:
            rng: every choice comes from it.
            speaker: whose.
            gender: what is known of it; drawn where nothing is.
        """
        ages = _draw(rng, self._ages).ages
        assert ages is not None  # ages.yaml cannot do without
        age = rng.randint(*ages)
        occupation = _draw(rng, [entry for entry in self._occupations if entry.suits(age)]).text
        mbti = _draw(rng, self._types).text
        return Persona(speaker, age, gender or _draw(rng, self._genders).text, occupation, mbti)

    def background(self, rng: Random, persona: Persona) -> str:
        """A background: a sentence of each part, which go with the persona's age and with one region."""
        sentences, region = [], None
        for entries in self._backgrounds.values():
            entry = _draw(rng, [entry for entry in entries if entry.suits(persona.age, region)])
            region = region or entry.region
            sentences.append(entry.text)
        return " ".join(sentences)

    def situation(self, rng: Random, n_speakers: int) -> Situation:
        """A situation and, for two to four speakers, a relation."""
        text = _draw(rng, self._situations).text
        return Situation(text, None if n_speakers == 1 else _draw(rng, self._relations[n_speakers]).text)

    def _check(self, folder: Path) -> None:
        """What has to be there for every draw to find something."""
        for low, high in (entry.ages for entry in self._ages if entry.ages):
            for age in range(low, high + 1):
                if not any(entry.suits(age) for entry in self._occupations):
                    raise UserError(
                        f"{folder / 'occupations.yaml'}: no occupation for age {age}, which ages.yaml allows. "
                        f"Add one whose ages include {age}, or take {age} out of ages.yaml."
                    )
        for part, entries in self._backgrounds.items():
            if all(entry.ages or entry.region for entry in entries):
                raise UserError(
                    f"{folder / 'backgrounds.yaml'}, {part}: every entry has ages or a region, so some people would "
                    "get none. Add one that has neither."
                )
        for size, entries in self._relations.items():
            if not entries:
                raise UserError(f"{folder / 'relations.yaml'}: no relation has {size} in its sizes. Add one.")


def read_background(answer: Answer) -> str | Reason:
    """The background in an answer, as one paragraph: some sentences of plain prose, polite words around them aside."""
    lines = _lines(answer)
    if isinstance(lines, Reason):
        return lines
    lines = [_BACKGROUND.sub("", lines[0], count=1), *lines[1:]]
    listed = any(_LISTED.match(line) for line in lines) or (len(lines) > 1 and any(map(_FIELD.match, lines)))
    text = _unquote(" ".join(filter(None, lines)))
    if listed or not _is_told(text):
        return Reason.bad_background
    return text if text[-1] in _ENDS else Reason.cut_off


def read_situation(answer: Answer, wants_relation: bool) -> Situation | Reason:
    """The situation in an answer, from its lines ``Situation: ...`` and ``Relation: ...``.

    Args:
        answer: what the generator gave.
        wants_relation: whether the second line was asked for; where it was not, the first may lack its name.
    """
    lines = _lines(answer)
    if isinstance(lines, Reason):
        return lines
    fields: dict[str, list[str]] = {}
    for line in lines:
        if match := _SITUATION.match(line):
            name = match[1].casefold()
            if name in fields:
                return Reason.bad_situation
            fields[name] = [line[match.end() :]]
        elif _LISTED.match(line) or (fields and _FIELD.match(line)):
            return Reason.bad_situation
        elif fields:
            fields[name].append(line)
    if not fields and not wants_relation and not any(map(_FIELD.match, lines)):
        fields = {"situation": lines}
    text, relation = (_unquote(" ".join(filter(None, fields.get(name, [])))) for name in ("situation", "relation"))
    if not _is_told(text) or (wants_relation and not 1 <= _n_words(relation) <= MAX_WORDS // 2):
        return Reason.bad_situation
    return Situation(text, relation if wants_relation else None)


def _lines(answer: Answer) -> list[str] | Reason:
    """The lines of an answer without markdown and polite words around them, at least one; or why there are none."""
    lines = [" ".join(line.replace("**", "").replace("__", "").split()) for line in printable(answer.text).split("\n")]
    lines = [line.strip("`#>= ") for line in lines if not line.startswith(("```", "~~~"))]
    lines = [_unquote(_unstar(line)) for line in lines if set(line) - set("-*_ ")]
    if not lines:
        return Reason.empty
    if answer.finish_reason is FinishReason.length:
        return Reason.cut_off
    lines[0] = _POLITE.sub("", lines[0], count=1)
    for _ in range(2):  # "Sure!" on a line of its own, and what follows it
        if len(lines) > 1 and (not lines[0] or (lines[0].endswith(":") and lines[0].count(" ") > 1)):
            lines = [_POLITE.sub("", lines[1], count=1), *lines[2:]]
    while len(lines) > 1 and _AFTERWORD.match(lines[-1]):
        lines.pop()
    return lines


def _unstar(line: str) -> str:
    """Drop the marks of italics around a whole line; a list's mark is followed by a space and stays."""
    return line if _LISTED.match(line) else line.strip("*_ ")


def _unquote(text: str) -> str:
    """Drop the quotation marks around a whole text."""
    match = _QUOTED.fullmatch(text)
    return match[1].strip() if match else text


def _is_told(text: str) -> bool:
    """Whether a text has as many words as it may, and does not refuse."""
    return MIN_WORDS <= _n_words(text) <= MAX_WORDS and not _REFUSAL.match(text)


def _n_words(text: str) -> int:
    return sum(any(map(str.isalpha, word)) for word in text.split())


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and " ".join(value.split()).isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _are_ages(value: Any) -> bool:
    return isinstance(value, list) and [type(age) for age in value] == [int, int] and 0 < value[0] <= value[1]


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(size) is int and size in SIZES for size in value)


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "a text; YAML reads yes, no and numbers as something else unless they are in quotes"),
    "weight": (_is_number, "a number above 0"),
    "ages": (_are_ages, "the lowest and the highest age, as [18, 65]"),
    "region": (_is_text, "a word"),
    "sizes": (_are_sizes, "a list of numbers of speakers from 2 to 4, as [2, 3]"),
}


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}. A prompts folder of your own needs all of persona/inventory; copy the shipped."
        ) from error


def _entries(where: str, name: str, raw: Any) -> list[InventoryEntry]:
    if not isinstance(raw, list) or not raw:
        raise UserError(f"{where}: must be a list with at least one entry.")
    keys = (*_KEYS[name], "weight")
    return [_entry(f"{where}, entry {number} ({value!r})", keys, value) for number, value in enumerate(raw, 1)]


def _entry(where: str, keys: Sequence[str], raw: Any) -> InventoryEntry:
    """An entry from a mapping, or from the text alone."""
    values = raw if isinstance(raw, dict) else {"text": raw}
    for key, value in values.items():
        if key not in keys:
            raise UserError(f"{where}: unknown key {key!r}. There are: {', '.join(keys)}.")
        holds, wanted = _RULES[key]
        if not holds(value):
            raise UserError(f"{where}: {key} must be {wanted}.")
    if keys[0] not in values:
        raise UserError(f"{where}: has no {keys[0]}.")
    return InventoryEntry(**{key: _clean(value) for key, value in values.items()})


def _clean(value: Any) -> Any:
    """Values that cannot change, and texts on one line."""
    return tuple(value) if isinstance(value, list) else " ".join(value.split()) if isinstance(value, str) else value


def _draw(rng: Random, entries: Sequence[InventoryEntry]) -> InventoryEntry:
    return rng.choices(entries, [entry.weight for entry in entries])[0]
