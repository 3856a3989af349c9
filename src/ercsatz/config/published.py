"""The tables of a publication: which of them a ranking has, and the scores that were published."""

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class SliceConfig:
    """Some blocks as a table of their own.

    Attributes:
        title: of the table.
        where: the values that its blocks have in columns of ``ranking.block``.
    """

    title: str = MISSING
    where: dict[str, str] = field(default_factory=dict)


@dataclass
class PublishedConfig:
    """Scores that somebody published.

    Attributes:
        scores: a table that the package has, by its name, or a file; null: none.
        name: what they are called in the tables.
        source: where they were published.
        note: a sentence on what is to be known of them.
    """

    scores: str | None = None
    name: str = ""
    source: str = ""
    note: str = ""
