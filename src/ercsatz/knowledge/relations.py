"""The three relations of ATOMIC (Sap et al., AAAI 2019) that TODKAT uses, and the statements made of them.

In ATOMIC's words PersonX does something, here says the utterance, and PersonY is who it is done or said to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

RELATIONS = ("xIntent", "xReact", "oReact")
_SENTENCES = ("PersonX wants {}.", "PersonX feels {}.", "PersonY feels {}.")


@dataclass(frozen=True, slots=True)
class Inference:
    """What follows from an event or utterance; each relation has phrases, or none.

    Attributes:
        x_intent: what PersonX wants by it.
        x_react: how PersonX feels.
        o_react: how PersonY feels.
    """

    x_intent: tuple[str, ...] = ()
    x_react: tuple[str, ...] = ()
    o_react: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any phrase."""
        return any(astuple(self))

    def to_json(self) -> dict[str, list[str]]:
        """By the names of ``RELATIONS``."""
        return {name: list(phrases) for name, phrases in zip(RELATIONS, astuple(self), strict=True)}


NOTHING = Inference()


@dataclass(frozen=True, slots=True)
class Found:
    """An event of a knowledge base that is like an utterance; ``score`` is the cosine, above 0 and at most 1."""

    event: str
    score: float
    inference: Inference


def inference(phrases: Mapping[str, Iterable[str]]) -> Inference:
    """An inference from phrases by the names of ``RELATIONS``, tidied."""
    return Inference(*(tidy(phrases.get(name, ())) for name in RELATIONS))


def tidy(phrases: Iterable[str]) -> tuple[str, ...]:
    """The phrases on one line each and without a full stop; ``none``, empty and repeated ones are dropped.

    >>> tidy(["to be kind.", "None", " To  be kind", "fun"])
    ('to be kind', 'fun')
    """
    kept: dict[str, str] = {}
    for phrase in phrases:
        plain = " ".join(phrase.split()).rstrip(". ")
        kept.setdefault(plain.casefold(), plain)
    return tuple(phrase for form, phrase in kept.items() if form not in ("", "none"))


def statements(inference: Inference) -> tuple[str, ...]:
    """A sentence for each relation that has phrases.

    >>> statements(Inference(("to help", "to be kind"), (), ("glad",)))
    ('PersonX wants to help and to be kind.', 'PersonY feels glad.')
    """
    pairs = zip(_SENTENCES, astuple(inference), strict=True)
    return tuple(sentence.format(" and ".join(phrases)) for sentence, phrases in pairs if phrases)


def found_statements(found: Sequence[Found]) -> tuple[str, ...]:
    """The sentences of several events, in their order; repeated ones are dropped."""
    return tuple(dict.fromkeys(sentence for event in found for sentence in statements(event.inference)))
