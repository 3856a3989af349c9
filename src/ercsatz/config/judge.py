"""A language model as judge of synthetic dialogues."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class Judge:
    """How a language model judges synthetic dialogues, each beside a real one.

    ``n`` pairs are shown in both orders with ``repeats`` seeds each, of a dialogue the first ``turns``. ``attempts`` is
    how often a judgement is asked for until it can be read; under ``minimum`` judged pairs there is no figure.
    """

    n: int = MISSING
    repeats: int = MISSING
    attempts: int = MISSING
    turns: int = MISSING
    minimum: int = MISSING
    journal: str = MISSING
    dry_run: bool = MISSING
    overwrite: bool = MISSING
