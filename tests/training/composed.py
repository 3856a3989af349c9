"""The configuration of a small job, composed as the command does it."""

from dataclasses import replace
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ercsatz import config
from ercsatz.config import TrainConfig
from ercsatz.resources import resource

LABELS = ["neutral", "joy", "anger"]
MICRO = [
    "backbone.size={hidden: 16, layers: 1, heads: 2, vocabulary: 300}",
    "classifier.max_tokens=64",
    "training.epochs=2",
    "training.batch_tokens=200",
    "trainer.accelerator=cpu",
    "wandb.mode=disabled",
    "sweep=test",
]


@cache
def train_config(*overrides: str) -> TrainConfig:
    """Of ``mini`` with three labels, and a backbone that trains in a moment."""
    GlobalHydra.instance().clear()
    config.register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        cfg = OmegaConf.to_object(compose("train", [*MICRO, f"benchmark.labels={LABELS}", *overrides]))
    assert isinstance(cfg, TrainConfig)
    return replace(cfg, benchmark=replace(cfg.benchmark, published={}, sentiments={}))
