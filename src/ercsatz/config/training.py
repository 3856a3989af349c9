"""Training and ranking."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.backbone import BackboneConfig
from ercsatz.config.classifier import ClassifierConfig
from ercsatz.config.cluster import ClusterConfig
from ercsatz.config.corpus import BenchmarkConfig, DataConfig, PathsConfig
from ercsatz.config.experiment import ExperimentConfig
from ercsatz.config.loss import LossConfig
from ercsatz.config.mode import ModeConfig
from ercsatz.config.phase import PhaseConfig
from ercsatz.config.published import PublishedConfig, SliceConfig
from ercsatz.config.registry import part
from ercsatz.config.sampler import SamplerConfig


class WandbMode(StrEnum):
    """``auto`` is online when logged in and offline otherwise."""

    auto = "auto"
    online = "online"
    offline = "offline"
    disabled = "disabled"


class Schedule(StrEnum):
    """The learning rate after its warm-up; ``examples`` is linear, counted as the released codes do."""

    linear = "linear"
    cosine = "cosine"
    constant = "constant"
    examples = "examples"


@dataclass
class StageOverridesConfig:
    """What one stage does differently.

    Attributes:
        epochs: its epochs; null: ``training.epochs``.
        lr: its highest learning rate; null: ``training.lr``.
    """

    epochs: int | None = None
    lr: float | None = None


@dataclass
class TrainingConfig:
    """How stages are optimised: AdamW, a warm-up, and a schedule after it.

    Attributes:
        epochs: epochs of a stage, of which the one with the best validation W-F1 is kept.
        lr: the highest learning rate, that at the end of the warm-up.
        warmup: share of the steps, from 0 to 1, over which the learning rate rises.
        schedule: the learning rate after its warm-up: linear or cosine down to 0, or constant; examples: linear,
            counted as the released codes do.
        layer_decay: each layer of an encoder has so much of the rate of the one above it, the head all of it,
            embeddings least; 1: no decay.
        patience: early stopping: a stage ends after so many epochs without a better validation W-F1; null: after its
            last epoch.
        weight_decay: weight decay of AdamW.
        clip: largest norm of the gradients; 0: none.
        batch_tokens: encoder tokens of an optimiser step, on average; what does not fit ``trainer.memory_tokens`` is
            accumulated.
        batch_targets: targets of a step, in the place of tokens; null: ``batch_tokens`` counts.
        checkpoint: a saved classifier, from which ``phase=finetune`` starts in the place of the pretrain stage.
        original: what the stage original does differently.
        pretrain: what the stage pretrain does differently.
        finetune: what the stage finetune does differently.
        topic: what the fitting of TODKAT's topic layer does differently.
    """

    epochs: int = MISSING
    lr: float = MISSING
    warmup: float = MISSING
    schedule: Schedule = Schedule.linear
    layer_decay: float = 1.0
    patience: int | None = None
    weight_decay: float = MISSING
    clip: float = MISSING
    batch_tokens: int = MISSING
    batch_targets: int | None = None
    checkpoint: str | None = None
    original: StageOverridesConfig = field(default_factory=StageOverridesConfig)
    pretrain: StageOverridesConfig = field(default_factory=StageOverridesConfig)
    finetune: StageOverridesConfig = field(default_factory=StageOverridesConfig)
    topic: StageOverridesConfig = field(default_factory=StageOverridesConfig)


@dataclass
class HardwareConfig:
    """Where a classifier runs.

    Attributes:
        accelerator: auto, cpu, gpu, cuda or mps.
        precision: auto (bf16-mixed on a GPU that has it, else 32-true), 32-true, bf16-mixed or 16-mixed.
        threads: of the CPU; auto: as OMP_NUM_THREADS says, else one for each core that the process may use; jobs of a
            sweep that share a machine share its cores.
    """

    accelerator: str = MISSING
    precision: str = MISSING
    threads: Any = "auto"


@dataclass
class TrainerConfig(HardwareConfig):
    """Where it is trained.

    A step of more than ``memory_tokens`` is accumulated, and several processes share each step out; dropout, and a
    topic layer's masks and topics, are then drawn anew for each part. Beside that, no key here changes what is computed
    beyond rounding.

    Attributes:
        devices: processes on each machine that train a stage together, each on a GPU of its own, or on a CPU.
        nodes: machines; several are started by Slurm's srun.
        strategy: how processes exchange gradients: auto or ddp, both DistributedDataParallel of Lightning and PyTorch.
        memory_tokens: encoder tokens that are run at once; gradients of a larger step are accumulated over its parts.
        workers: processes that make batches; 0: none.
        compile: torch.compile, for a GPU.
    """

    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    memory_tokens: int = 32768
    workers: int = 0
    compile: bool = False


@dataclass
class WandbConfig:
    """Weights & Biases, and what beside figures goes there.

    Attributes:
        mode: auto: online when logged in, else offline; disabled: nothing is written.
        project: name of the project there.
        entity: user or team; null: the default one.
        workspace: whether a saved view of a sweep, and a report on it, are made or updated at its end.
        log_text: whether tables of predictions have the turns' text; corpora have licences.
        log_data: whether the files of generated data sets are uploaded, not their checksums alone.
        log_model: whether the classifier of each stage is uploaded.
    """

    mode: WandbMode = WandbMode.auto
    project: str = "ercsatz"
    entity: str | None = None
    workspace: bool = False
    log_text: bool = False
    log_data: bool = False
    log_model: bool = False


class Missing(StrEnum):
    """What becomes of a block that lacks a score: it is left out, or nothing is ranked."""

    drop = "drop"
    refuse = "refuse"


class Repeats(StrEnum):
    """Which score counts where a cell has two for one seed."""

    refuse = "refuse"
    first = "first"
    last = "last"


@dataclass
class RankingConfig:
    """What is ranked over what, and what each is compared with.

    Attributes:
        treatment: columns of the scores whose values, joined, name what is ranked.
        block: columns whose values, joined, name what it is ranked over.
        stages: stages of a sweep whose scores count; null: as each job's phase says.
        metric: column of the scores; null: w_f1, or score in a table of somebody else's.
        baseline: the variant, or the treatment, that the others are compared with.
        comparisons: baseline: each treatment with its own; all: every pair; or [[treatment, baseline], ...].
        seed: column that tells repeated runs apart; they are averaged inside a cell.
        higher_is_better: null: as the metric's name says.
        rope: differences up to this, in the scores' unit, count as none; null: one point of a hundred, 0 if no share.
        missing: drop: a block with a gap is not ranked; refuse: nothing is.
        repeats: two scores of a cell for one seed: refused, or the first or the last counts.
        names: what parts of treatments and blocks are shown under.
        order: of these parts in the tables.
        p_digits: after which the corrected p below the scores is cut off; null: rounded.
        slices: parts of the table that are tables of their own.
        published: scores to put beside.
    """

    treatment: list[str] = MISSING
    block: list[str] = MISSING
    stages: list[str] | None = None
    metric: str | None = None
    baseline: str = MISSING
    comparisons: Any = "baseline"
    seed: str = "seed"
    higher_is_better: bool | None = None
    rope: float | None = None
    missing: Missing = Missing.drop
    repeats: Repeats = Repeats.refuse
    names: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    p_digits: int | None = None
    slices: dict[str, SliceConfig] = field(default_factory=dict)
    published: PublishedConfig = field(default_factory=PublishedConfig)


@dataclass
class TrainConfig:
    """What ``train.py`` reads.

    ``classifier``, ``backbone``, ``loss`` and ``sampler`` are parts: their YAML names the class of their options.
    ``callbacks`` and ``logger`` are Lightning's, by any name, each with a ``_target_`` and its arguments.

    Attributes:
        sweep: name of the sweep: its folder in multirun/, its group in Weights & Biases.
        seed: of weights, dropout, order and shares of dialogues; from 0 to 4294967295.
        phase: which stages a job runs.
        test_sets: variants whose test split is scored; null: org and every synthetic one that is there.
        paths: folders.
        benchmark: the real corpus; chosen by ``data``.
        data: a benchmark and a variant.
        mode: how a synthetic variant is written; chosen by ``data``.
        classifier: what labels utterances.
        backbone: the encoder under the classifier.
        loss: what is minimised.
        sampler: which dialogues an epoch goes through, and how often.
        callbacks: Lightning callbacks beside the project's own; several: callbacks=[a,b].
        logger: Lightning loggers beside CSV files and Weights & Biases.
        training: how stages are optimised.
        trainer: where, and how much at once.
        wandb: Weights & Biases.
        ranking: of the sweep, at its end.
        experiment: a whole sweep under a name.
        cluster: slurm: the jobs of a sweep run there; null: here, or as hydra/launcher says.
        objective: what a job gives back for a search, or a list: validation/w_f1, validation/macro_f1,
            validation/accuracy or seconds.
        dry_run: true: show the stages as a tree, what is cached and what would be trained, and stop.
    """

    sweep: str = MISSING
    seed: int = MISSING
    phase: PhaseConfig = field(default_factory=PhaseConfig)
    test_sets: list[str] | None = None
    paths: PathsConfig = field(default_factory=PathsConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    mode: ModeConfig | None = None
    classifier: Any = MISSING
    backbone: Any = MISSING
    loss: Any = MISSING
    sampler: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    ranking: RankingConfig = field(default_factory=RankingConfig)
    objective: Any = "validation/w_f1"
    experiment: ExperimentConfig | None = None
    cluster: ClusterConfig | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        self.classifier = part(self.classifier, ClassifierConfig, "classifier")
        self.backbone = part(self.backbone, BackboneConfig, "backbone", BackboneConfig)
        self.loss = part(self.loss, LossConfig, "loss")
        self.sampler = part(self.sampler, SamplerConfig, "sampler")


@dataclass
class RankConfig:
    """What ``rank.py`` reads: a table of scores, or finished sweeps.

    Attributes:
        scores: a table of scores: .csv, .tsv, .xlsx, .json, .jsonl or .parquet, long or wide.
        sweeps: folders of finished sweeps, whose results are ranked together.
        output: a folder for ranking.html, .md, .csv, .tex, .png and .svg; null: on the terminal only.
        wandb: Weights & Biases; a run of what ``output`` writes.
        ranking: what is ranked over what.
    """

    scores: str | None = None
    sweeps: list[str] = field(default_factory=list)
    output: str | None = None
    wandb: WandbConfig = field(default_factory=WandbConfig)
    ranking: RankingConfig = field(default_factory=RankingConfig)
