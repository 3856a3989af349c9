"""Predicting the emotions of a user's own dialogues."""

from dataclasses import dataclass, field

from ercsatz.config.corpus import PathsConfig
from ercsatz.config.training import HardwareConfig


@dataclass
class PredictConfig:
    """What ``predict.py`` reads."""

    checkpoint: str | None = None
    dialogues: str | None = None
    output: str | None = None
    knowledge: str | None = None
    paths: PathsConfig = field(default_factory=PathsConfig)
    trainer: HardwareConfig = field(default_factory=HardwareConfig)
