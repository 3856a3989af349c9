"""How a speaker is told to an encoder: ``<s1>``, ``<s2>``, ... before each turn, in the order of their first turns."""

from enum import StrEnum

REGISTERED = 32  # tags that are one token each with speaker_tags=tokens; no dialogue of a benchmark has ten
REGISTERED_TAGS = tuple(f"<s{number}>" for number in range(1, REGISTERED + 1))


class SpeakerTags(StrEnum):
    """Whether a speaker's tag is ordinary text or one registered token."""

    text = "text"
    tokens = "tokens"
