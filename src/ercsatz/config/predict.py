"""Predicting the emotions of a user's own dialogues."""

from dataclasses import dataclass, field

from ercsatz.config.corpus import BenchmarkConfig, PathsConfig
from ercsatz.config.training import HardwareConfig, WandbConfig


@dataclass
class PredictConfig:
    """What ``predict.py`` reads.

    Attributes:
        checkpoint: an exported classifier, a finished job (outputs/JOB, multirun/SWEEP/CELL), a sweep, whose best by
            validation is taken, or a saved classifier (cache/stages/KEY).
        stage: of a job or a sweep; null: its last.
        dialogues: a file in the layout of ``benchmark``, or else .jsonl, .csv, .tsv or .txt.
        benchmark: whose layout the dialogues have; null: one of docs/predict.md.
        split: of the benchmark, if no dialogues are given.
        output: a .jsonl or .csv file; null: tables on the terminal.
        knowledge: for todkat: a sidecar about the dialogues, as knowledge.py writes it.
        wandb: Weights & Biases.
        paths: folders.
        trainer: where it runs.
    """

    checkpoint: str | None = None
    stage: str | None = None
    dialogues: str | None = None
    benchmark: BenchmarkConfig | None = None
    split: str = "test"
    output: str | None = None
    knowledge: str | None = None
    wandb: WandbConfig = field(default_factory=WandbConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    trainer: HardwareConfig = field(default_factory=HardwareConfig)
