"""Predicting the emotions of a user's own dialogues."""

from dataclasses import dataclass, field

from ercsatz.config.corpus import Paths
from ercsatz.config.training import Hardware


@dataclass
class PredictConfig:
    """What ``predict.py`` reads."""

    checkpoint: str | None = None
    dialogues: str | None = None
    output: str | None = None
    knowledge: str | None = None
    paths: Paths = field(default_factory=Paths)
    trainer: Hardware = field(default_factory=Hardware)
