"""Predicting the emotions of a user's own dialogues."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from ercsatz.config.corpus import Paths


@dataclass
class Hardware:
    """Where it runs; the same keys as of training."""

    accelerator: str = MISSING
    precision: str = MISSING


@dataclass
class PredictConfig:
    """What ``predict.py`` reads."""

    checkpoint: str | None = None
    dialogues: str | None = None
    output: str | None = None
    knowledge: str | None = None
    paths: Paths = field(default_factory=Paths)
    trainer: Hardware = field(default_factory=Hardware)
