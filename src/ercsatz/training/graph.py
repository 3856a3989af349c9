"""The stages of a job as a graph, made before anything runs; and what a stage's key is made of.

Imports nothing heavy: what is in the cache is found out with it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ercsatz.artifacts.cache import Artifact, Kind
from ercsatz.artifacts.keys import checkpoint_identity, flat
from ercsatz.artifacts.manifest import refuse_damaged
from ercsatz.config import ORG, Schedule, StageConfig, TrainConfig, TrainOn
from ercsatz.config.classifier import ClassifierConfig, Gives
from ercsatz.data.dialogue import Corpus, fingerprint
from ercsatz.data.text_files import read_json
from ercsatz.errors import UserError
from ercsatz.training.corpora import JobData, corpus_of, shares_of, without_knowledge

# Raised when the same data, options and seed give other weights than before, whatever the classifier: a change of the
# trainer, the batches, the encoder. tests/golden says when that was forgotten. Classifiers and losses have their own.
VERSION = 1

# What a description has that a recipe has not, or under another name.
_OF_A_RUN = ("seed", "start", "before", "training", "optimisation")
_OPTIMISATION = ("epochs", "lr", "warmup", "schedule", "weight_decay", "clip", "batch_tokens", "batch_targets")
_NEUTRAL = {"layer_decay": 1.0, "patience": None}  # left out while they are, so that stages of earlier versions count


@dataclass(frozen=True, eq=False)
class Stage:
    """One training run of a job.

    Attributes:
        name: as the phase has it; for what is trained before one of these, as its prerequisite says.
        variant: whose training dialogues it, or a stage before it, sees; ``org``: only the benchmark's.
        corpus: has the splits train and validation.
        classifier: options of what is trained.
        settings: all else that determines its weights; plain JSON values.
        start: the stage, or the saved classifier's folder, whose weights it starts from; None: the backbone.
        before: the stage of its prerequisite, trained on the same dialogues, or None.
        gives: what it takes from ``before``.
        scored: whether it is tested, and written to the result.
        ranked: whether its scores are ranked.
        shares: of the real and of the synthetic training dialogues; the seed draws what is less than all.
    """

    name: str
    variant: str
    corpus: Corpus
    classifier: ClassifierConfig
    settings: Mapping[str, Any]
    start: "Stage | Path | None" = None
    before: "Stage | None" = None
    gives: Gives | None = None
    scored: bool = False
    ranked: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def description(self) -> dict[str, Any]:
        """Everything that determines the stage's weights; its hash is the key."""
        start = checkpoint_identity(str(self.start)) if isinstance(self.start, Path) else self.start and self.start.key
        return {
            "labels": list(self.corpus.labels),
            "train": fingerprint(self.corpus.split("train")),
            "validation": fingerprint(self.corpus.split("validation")),
            "start": start,
            "before": self.before and self.before.key,
            **self.settings,
            "optimisation": self._optimisation,
        }

    @property
    def _optimisation(self) -> dict[str, Any]:
        """How it is optimised, in the words of earlier versions, whose stages and results count."""
        given: Mapping[str, Any] = self.settings["optimisation"]
        return {**given, "schedule": "steps"} if given["schedule"] == Schedule.linear else dict(given)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What determines the stage's weights beside the seed: scores are averaged only where all of it is the same.

        Values by dotted keys, those of ``training`` under the names that they have there; of dialogues the content,
        unless the seed draws them.
        """
        known = {key: value for key, value in self.description.items() if key not in _OF_A_RUN}
        if any(share < 1 for share in self.shares.values()):
            known |= {"train": self.corpus.name, **self.shares}
        nested = {"start": self.start, "before": self.before}
        parts = {name: stage.recipe for name, stage in nested.items() if isinstance(stage, Stage)}
        if isinstance(self.start, Path):
            parts["start"] = self.description["start"]
        return dict(flat({**known, "training": {"version": VERSION, **self._optimisation}, **parts}))

    @property
    def key(self) -> str:
        """16 hex digits that name the stage in the cache."""
        return self.artifact.key

    @cached_property
    def artifact(self) -> Artifact:
        """The stage in the artifact cache; what its loggers write is no part of it."""
        owner = f"{self.corpus.name} {self.classifier.name} {self.name} seed {self.settings['seed']}"
        return Artifact(Kind.stages, self.description, owner, logs=("logs", "wandb"))

    @property
    def needs(self) -> list["Stage"]:
        """The stages that must be done before it is trained."""
        return [stage for stage in (self.before, self.start) if isinstance(stage, Stage)]


def plan(cfg: TrainConfig, data: JobData) -> list[Stage]:
    """The stages of a job's phase, in its order; what they start from and need before hangs on them.

    Raises:
        UserError: ``training.checkpoint`` is no saved classifier, or has another backbone.
    """
    given = _Given(cfg, data, cache(checkpoint_identity), cfg.classifier.inputs(cfg.benchmark))
    made: dict[str, Stage] = {}
    for name, stage in stages_of(cfg).items():
        made[name] = _stage(given, name, stage, made)
    return list(made.values())


@dataclass(frozen=True)
class _Given:
    """What all stages of a job are made from; large files are read once for them all.

    Attributes:
        cfg: the job's configuration.
        data: its dialogues.
        identify: ``checkpoint_identity``, which remembers what it has read.
        inputs: of the classifier.
        shared: prerequisites by key: the teacher of finetune is that of original.
    """

    cfg: TrainConfig
    data: JobData
    identify: Callable[[str | None], str | None]
    inputs: Mapping[str, Any]
    shared: dict[str, Stage] = field(default_factory=dict)


def walk(stages: list[Stage]) -> Iterator[Stage]:
    """Every stage once, each after those that it needs."""
    seen: set[Stage] = set()

    def visit(stage: Stage) -> Iterator[Stage]:
        if stage not in seen:
            for needed in stage.needs:
                yield from visit(needed)
            seen.add(stage)
            yield stage

    for stage in stages:
        yield from visit(stage)


def stages_of(cfg: TrainConfig) -> dict[str, StageConfig]:
    """The stages of the phase that the data allow: without synthetic dialogues, those that need none.

    Raises:
        UserError: none is left.
    """
    chosen: dict[str, StageConfig] = {}
    for name, stage in cfg.phase.stages.items():
        real = stage.train == TrainOn.real and (stage.start is None or stage.start in chosen)
        if cfg.data.variant == ORG and not real:
            continue
        if cfg.training.checkpoint is not None and not stage.scored:
            continue  # the saved classifier stands in its place
        chosen[name] = stage
    if not any(stage.scored for stage in chosen.values()):
        raise UserError(
            f"phase={cfg.phase.name} needs synthetic data, but data={cfg.data.name} is the benchmark itself. "
            f"Take data={cfg.benchmark.name}_nat or _bal, or phase=original."
        )
    return chosen


def variants_of(cfg: TrainConfig) -> dict[str, str]:
    """The variant of each stage of ``stages_of``: ``org`` where it and what it starts from see real dialogues only."""
    variants: dict[str, str] = {}
    for name, stage in stages_of(cfg).items():
        real = stage.train == TrainOn.real and (stage.start is None or variants.get(stage.start) == ORG)
        variants[name] = ORG if real else str(cfg.data.variant)
    return variants


def _stage(given: _Given, name: str, own: StageConfig, made: Mapping[str, Stage]) -> Stage:
    cfg = given.cfg
    corpus = corpus_of(cfg, given.data, own)
    start: Stage | Path | None = made.get(own.start) if own.start else None
    if own.start and start is None:
        start = _saved(given)
    before, gives = _before(given, name, own, corpus, start)
    return Stage(
        name,
        variants_of(cfg)[name],
        corpus,
        cfg.classifier,
        _settings(given, cfg.classifier, optimisation(cfg, name), given.inputs),
        start,
        before,
        gives,
        own.scored,
        name in cfg.phase.ranked,
        shares_of(cfg, own),
    )


def _before(
    given: _Given, name: str, own: StageConfig, corpus: Corpus, start: Stage | Path | None
) -> tuple[Stage | None, Gives | None]:
    """The stage of the classifier's prerequisite, on the same dialogues, and what is taken from it."""
    cfg = given.cfg
    first = cfg.classifier.prerequisite()
    if first is None or (start is not None and not first.always):
        return None, None
    # What teaches is trained as if the stage started anew: fine-tuned or not, its pupil has the same teacher.
    fresh = {TrainOn.real: "original", TrainOn.synthetic: "pretrain"}.get(own.train, name)
    if not first.config.knowledge_sources:
        corpus = without_knowledge(corpus)
    trained_as = first.stage if first.gives == Gives.weights else fresh
    variant = ORG if own.train == TrainOn.real else str(cfg.data.variant)
    settings = _settings(given, first.config, optimisation(cfg, trained_as), {})
    stage = Stage(first.stage, variant, corpus, first.config, settings, shares=shares_of(cfg, own))
    return given.shared.setdefault(stage.key, stage), first.gives


def _saved(given: _Given) -> Path:
    """``training.checkpoint``, which must have the backbone that is recorded.

    Raises:
        UserError: it is no saved classifier or a damaged one, or its stage had another backbone.
    """
    folder = Path(str(given.cfg.training.checkpoint))
    if not (folder / "classifier.json").is_file():
        raise UserError(f"training.checkpoint={folder} is not a saved classifier: it has no classifier.json.")
    refuse_damaged(folder)
    if (record := folder / "stage.json").is_file():
        recorded = read_json(record, "Copy or train the classifier again.")
        try:
            there = recorded["description"]["backbone"]
        except (KeyError, TypeError):
            raise UserError(f"{record} is not what training wrote. Copy {folder} again, or delete that file.") from None
        if there != _backbone(given):
            raise UserError(f"training.checkpoint={folder} has another backbone, {there}. Give the same: backbone=...")
    return folder


def _settings(
    given: _Given, classifier: ClassifierConfig, optimised: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """What determines a stage's weights beside its dialogues and where it starts."""
    cfg, options = given.cfg, asdict(classifier.essential())
    encoders = {name: given.identify(each.checkpoint) for name, each in classifier.encoders().items()}
    loss = {**asdict(cfg.loss), "version": cfg.loss.VERSION} if classifier.reads_loss else None
    sampler = {**asdict(cfg.sampler), "version": cfg.sampler.VERSION}
    return {
        "classifier": {**options, "role": classifier.role, "version": classifier.VERSION},
        "training": VERSION,
        "backbone": _backbone(given),
        # What is not scored on labels, as a topic layer, is fitted for all its epochs.
        "optimisation": {key: optimised[key] for key in optimised if key != "patience" or classifier.predicts},
        "precision": cfg.trainer.precision,
        "seed": cfg.seed,
        **({"encoders": encoders} if encoders else {}),
        **({"loss": loss} if loss else {}),
        **({"sampler": sampler} if classifier.predicts and cfg.sampler.draws else {}),
        **({"callbacks": dict(cfg.callbacks)} if cfg.callbacks else {}),
        **inputs,
    }


def _backbone(given: _Given) -> dict[str, Any]:
    """The backbone by its content; its name and suggested learning rate determine nothing."""
    backbone = given.cfg.backbone
    options = {**asdict(backbone), "checkpoint": given.identify(backbone.checkpoint)}
    return {key: value for key, value in options.items() if key not in {"name", "lr"}}


def optimisation(cfg: TrainConfig, stage: str) -> dict[str, Any]:
    """How a stage is optimised: ``training``, with what the phase and ``training.<stage>`` say of this stage.

    Those of ``Optimisation``, but for what is neutral.
    """
    own: dict[str, Any] = {}
    for node in (cfg.phase.stages.get(stage), getattr(cfg.training, stage, None)):
        given = {"epochs": node.epochs, "lr": node.lr} if node else {}
        own |= {key: value for key, value in given.items() if value is not None}
    further = {key: getattr(cfg.training, key) for key in _NEUTRAL}
    further = {key: value for key, value in further.items() if value != _NEUTRAL[key]}
    return {key: getattr(cfg.training, key) for key in _OPTIMISATION} | further | own
