"""Which stages a job runs: what each trains on, and which one it starts from."""

from dataclasses import dataclass, field
from enum import StrEnum

from omegaconf import MISSING


class TrainOn(StrEnum):
    """Whose training dialogues a stage sees: the benchmark's, the generated ones, or both joined."""

    real = "real"
    synthetic = "synthetic"
    both = "both"


@dataclass
class StageConfig:
    """One training run of a phase.

    Attributes:
        train: whose dialogues; the best epoch is found on the real validation split where real ones are among them.
        real_share: share of the real training dialogues, above 0 to 1; null: the phase's.
        synthetic_share: of the synthetic ones; null: the phase's.
        start: the stage whose weights it starts from; null: the backbone's.
        scored: whether it is tested and written to the result; else it is there to be started from.
        epochs: its epochs; null: ``training.epochs``.
        lr: its highest learning rate; null: ``training.lr``.
    """

    train: TrainOn = MISSING
    real_share: float | None = None
    synthetic_share: float | None = None
    start: str | None = None
    scored: bool = True
    epochs: int | None = None
    lr: float | None = None


@dataclass
class PhaseConfig:
    """The stages of a job.

    Attributes:
        name: the YAML's own name.
        real_share: share of the real training dialogues that stages see, above 0 to 1, by dialogues, drawn by the seed.
        synthetic_share: of the synthetic ones.
        stages: by name, in the order in which they run.
        ranked: the stages whose scores are ranked, perhaps none.
    """

    name: str = MISSING
    real_share: float = 1.0
    synthetic_share: float = 1.0
    stages: dict[str, StageConfig] = field(default_factory=dict)
    ranked: list[str] = MISSING
