"""A job: the stages of its phase, each scored on every test set of the benchmark."""

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz.artifacts.keys import checkpoint_identity
from ercsatz.classifiers.prerequisites import Prior, essential, prior
from ercsatz.config import (
    ORG,
    TODKAT,
    Classifier,
    CoMPM,
    EmoOne,
    Gray,
    Phase,
    StageOverrides,
    TrainConfig,
    variants,
)
from ercsatz.data import benchmarks
from ercsatz.data.dialogue import Corpus, Dialogue, fingerprint, label_counts
from ercsatz.data.files import read_jsonl
from ercsatz.data.metrics import scores
from ercsatz.data.text_files import read_text, write_json_lines
from ercsatz.errors import UserError
from ercsatz.training.corpora import Data, with_knowledge, without_knowledge
from ercsatz.training.stage_cache import Stage, StageCache, code_version

if TYPE_CHECKING:  # a job whose stages are all in the cache never pays for importing torch
    from ercsatz.classifiers.checkpoint import ErcClassifier
    from ercsatz.training.run_stage import Before

TOPIC_STAGE = "topic"
STAGES = {
    Phase.tstr: ("original", "pretrain", "finetune"),
    Phase.original: ("original",),
    Phase.pretrain: ("pretrain",),
    Phase.finetune: ("finetune",),
}


def run_job(cfg: TrainConfig, overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a job, write its predictions, and return its result (see ``training.result``), without the status.

    Args:
        cfg: the typed configuration.
        overrides: what the user changed on the command line, for the record.
        folder: the job's own folder.

    Raises:
        UserError: data are missing or wrong, or the phase does not fit the data.
    """
    started = time.time()
    data = load_data(cfg)
    if isinstance(cfg.classifier, TODKAT):
        cfg, data = with_knowledge(cfg, cfg.classifier, data)
    job = Job(cfg, data)
    names = [name for name in STAGES[cfg.phase] if name == "original" or data.synthetic]
    return {
        **identity(cfg, overrides),
        "labels": list(data.real.labels),
        "label_counts": {corpus.name: _label_counts(corpus) for corpus in (data.real, data.synthetic) if corpus},
        "stages": [job.scored(name, folder) for name in names],
        "hashes": data.hashes,
        "code": code_version(),
        "host": platform.platform(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
    }


def _label_counts(corpus: Corpus) -> dict[str, dict[str, int]]:
    """How often each label occurs in each split, in the order of the labels."""
    counts = {split: label_counts(dialogues) for split, dialogues in corpus.splits.items()}
    return {split: {label: found[label] for label in corpus.labels} for split, found in counts.items()}


def identity(cfg: TrainConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """What tells a cell from the others of a sweep."""
    return {
        "choices": {
            "classifier": cfg.classifier.name,
            "data": cfg.data.name,
            "benchmark": cfg.benchmark.name,
            "variant": cfg.data.variant,
            "backbone": cfg.backbone.name,
            "phase": cfg.phase.value,
        },
        "sweep": cfg.sweep,
        "overrides": list(overrides),
        "seed": cfg.seed,
    }


def load_data(cfg: TrainConfig) -> Data:
    """Read all that a job needs, before anything is trained.

    Raises:
        UserError: something is missing or wrong.
    """
    variant = cfg.data.variant
    if variant == ORG and cfg.phase in {Phase.pretrain, Phase.finetune}:
        raise UserError(
            f"phase={cfg.phase.value} needs synthetic data, but data={cfg.data.name} is the benchmark itself. "
            f"Take data={cfg.benchmark.name}_nat or _bal, or phase=original."
        )
    real = benchmarks.load(cfg.benchmark)
    synthetic = None if variant == ORG else read_synthetic(cfg, variant, ("train", "validation", "test"))
    test_sets = _test_sets(cfg, real)
    hashes = {name: fingerprint(dialogues) for name, dialogues in test_sets.items()}
    return Data(real, synthetic, test_sets, hashes)


def read_synthetic(cfg: TrainConfig, variant: str, splits: Sequence[str]) -> Corpus:
    """Read splits of a benchmark's generated variant, from beside the job's own data.

    Raises:
        UserError: it was not generated yet, or a file is wrong.
    """
    name = f"{cfg.benchmark.name}_{variant}"
    folder = _folder(cfg, variant)
    if not folder.is_dir():
        raise UserError(f"There is no data set {name} in {folder}. Make it with: python generate.py data={name}")
    return Corpus(name, tuple(cfg.benchmark.labels), {split: read_jsonl(folder / f"{split}.jsonl") for split in splits})


def _folder(cfg: TrainConfig, variant: str) -> Path:
    if variant == cfg.data.variant:
        return Path(cfg.data.path)
    return Path(cfg.paths.data) / f"{cfg.benchmark.name}_{variant}"


def _test_sets(cfg: TrainConfig, real: Corpus) -> dict[str, tuple[Dialogue, ...]]:
    chosen = cfg.test_sets
    if chosen is None:
        chosen = [v for v in variants() if v == ORG or _folder(cfg, v).is_dir()]
    return {
        variant: (real if variant == ORG else read_synthetic(cfg, variant, ("test",))).split("test")
        for variant in chosen
    }


class Job:
    """The stages of one job; each is looked up or trained at most once."""

    def __init__(self, cfg: TrainConfig, data: Data) -> None:
        self.cfg, self.data = cfg, data
        self.cache = StageCache(Path(cfg.paths.cache))
        self._backbone = checkpoint_identity(cfg.backbone.checkpoint)
        self._gray = _gray_inputs(cfg, cfg.classifier)
        self._resolved: dict[str, tuple[Path, dict[str, Any]]] = {}

    def scored(self, name: str, folder: Path) -> dict[str, Any]:
        """A stage's record with its scores on every test set; predictions go to ``folder/predictions``."""
        stage_folder, record = self.resolve(name)
        labels = self.data.real.labels
        loaded: list[ErcClassifier] = []
        test = {}
        for variant, dialogues in self.data.test_sets.items():
            rows = self.cache.predictions(
                stage_folder, dialogues, partial(self._predict, stage_folder, dialogues, loaded)
            )
            test[variant] = scores(
                [labels.index(row["emotion"]) for row in rows], [labels.index(row["predicted"]) for row in rows], labels
            )
            write_json_lines(folder / "predictions" / f"{name}-{variant}.jsonl", rows)
        told = ", ".join(f"{variant} {100 * result['w_f1']:.2f}" for variant, result in test.items())
        print(f"  {self._title(name, self._variant(name))} | test W-F1: {told}", flush=True)
        return {**record, "test": test}

    def resolve(self, name: str) -> tuple[Path, dict[str, Any]]:
        """The folder and record of a stage, after the stage it starts from."""
        if name not in self._resolved:
            self._resolved[name] = self._resolve(name)
        return self._resolved[name]

    def _resolve(self, name: str) -> tuple[Path, dict[str, Any]]:
        start, identity = self._start(name)
        before, prior_key = self._before(name, start)
        stage = Stage(name, self._variant(name), self._corpus(name), self._settings(name), identity, prior_key)
        folder, record = self._done(stage, self.cfg, before)
        return folder, {"stage": name, "variant": self._variant(name), "prior": prior_key, **record}

    def _done(self, stage: Stage, cfg: TrainConfig, before: "Callable[[], Before]") -> tuple[Path, dict[str, Any]]:
        """The folder and record of a stage that is trained now, unless it is in the cache."""
        title = self._title(stage.name, stage.variant)
        ready = None if self.cache.has(stage) else before()  # whose seconds are not the stage's

        def train(partial: Path) -> dict[str, Any]:
            from ercsatz.training.run_stage import train_stage

            return train_stage(cfg, stage, ready or before(), partial, title)

        folder, record = self.cache.resolve(stage, train)
        how = "from the cache" if record["cached"] else f"{record['seconds']:.0f} s"
        best = f"loss {record['validation_loss']:.3f}" if "validation_loss" in record else ""
        best = best or f"W-F1 {100 * record['validation_w_f1']:.2f}"
        print(
            f"  {title} | best validation {best} at epoch {record['best_epoch']}, {how} ({record['key']})", flush=True
        )
        return folder, {key: value for key, value in record.items() if key != "description"}

    def _before(self, name: str, start: Path | None) -> "tuple[Callable[[], Before], str | None]":
        """What a stage starts from, trained or looked up only when it is trained; the key of what comes before it."""
        first = prior(self.cfg.classifier)
        if first is None or (start is not None and not first.always):
            return partial(_before, start), None
        corpus, variant = self._corpus(name), self._variant("pretrain" if name == "pretrain" else "original")
        if first.title == TOPIC_STAGE:
            corpus = without_knowledge(corpus)
        stage = Stage(first.title, variant, corpus, self._settings(name, first))
        return partial(self._after, stage, first.config, start), stage.key

    def _after(self, stage: Stage, config: Classifier, start: Path | None) -> "Before":
        """What a stage starts from that a topic layer or a teacher is trained before."""
        if stage.key not in self._resolved:
            cfg = replace(self.cfg, classifier=config)
            self._resolved[stage.key] = self._done(stage, cfg, partial(_before, None))
        folder, _ = self._resolved[stage.key]
        if stage.name == TOPIC_STAGE:
            return _before(start, topic=folder)
        train = stage.corpus.split("train")
        return _before(start, taught=self.cache.predictions(folder, train, partial(self._predict, folder, train, [])))

    def _corpus(self, name: str) -> Corpus:
        corpus = self.data.synthetic if name == "pretrain" else self.data.real
        assert corpus is not None
        return corpus

    def _start(self, name: str) -> tuple[Path | None, str | None]:
        checkpoint = self.cfg.training.checkpoint
        if name != "finetune":
            return None, None
        if checkpoint is not None:
            self._check_backbone(Path(checkpoint))
            return Path(checkpoint), checkpoint_identity(checkpoint)
        folder, record = self.resolve("pretrain")
        return folder, record["key"]

    def _check_backbone(self, checkpoint: Path) -> None:
        """Refuse a checkpoint that is none, or whose stage had another backbone than the one that is recorded."""
        if not (checkpoint / "classifier.json").is_file():
            raise UserError(f"training.checkpoint={checkpoint} is not a saved classifier: it has no classifier.json.")
        if not (checkpoint / "stage.json").is_file():
            return
        there = json.loads(read_text(checkpoint / "stage.json"))["description"]["backbone"]
        if there != self._settings("finetune")["backbone"]:
            raise UserError(
                f"training.checkpoint={checkpoint} has another backbone, {there}. Give the same: backbone=..."
            )

    def _predict(
        self, folder: Path, dialogues: Sequence[Dialogue], loaded: "list[ErcClassifier]"
    ) -> list[dict[str, Any]]:
        from ercsatz.classifiers.checkpoint import load
        from ercsatz.training.trainer import predict

        if not loaded:
            loaded.append(load(folder, self.data.real.labels))
        labels = self.data.real.labels
        rows = []
        for number, turn, probabilities in predict(loaded[0], dialogues, self.cfg.trainer, self.cache.folder):
            dialogue = dialogues[number]
            rows.append(
                {
                    "dialogue": dialogue.id,
                    "turn": turn,
                    "emotion": dialogue.utterances[turn].emotion,
                    "predicted": labels[int(probabilities.argmax())],
                    "probabilities": [round(p, 6) for p in probabilities.tolist()],
                }
            )
        return rows

    def _settings(self, name: str, first: Prior | None = None) -> dict[str, Any]:
        """What determines a stage's weights, or those of what is trained before it."""
        classifier = first.config if first else self.cfg.classifier
        if first:  # the teacher of a fine-tuned classifier is that of the original one: it saw the same dialogues
            name = TOPIC_STAGE if first.title == TOPIC_STAGE else "pretrain" if name == "pretrain" else "original"
        backbone = {**asdict(self.cfg.backbone), "checkpoint": self._backbone}
        settings = asdict(essential(classifier))
        if isinstance(classifier, CoMPM) and classifier.memory_backbone:
            settings["memory_backbone"]["checkpoint"] = checkpoint_identity(classifier.memory_backbone.checkpoint)
        return {
            "classifier": settings,
            "backbone": {key: value for key, value in backbone.items() if key not in {"name", "lr"}},
            "optimisation": optimisation(self.cfg, name),
            "precision": self.cfg.trainer.precision,
            "seed": self.cfg.seed,
            **({} if first else self._gray),  # what is trained first has hard labels
        }

    def _variant(self, name: str) -> str:
        return "org" if name == "original" else self.cfg.data.variant

    def _title(self, name: str, variant: str) -> str:
        return f"{self.cfg.classifier.name} {self.cfg.benchmark.name}_{variant} seed {self.cfg.seed} | {name}"


def _before(start: Path | None, topic: Path | None = None, taught: Sequence[dict[str, Any]] = ()) -> "Before":
    from ercsatz.training.run_stage import Before

    return Before(start, topic, taught)


def _gray_inputs(cfg: TrainConfig, classifier: Classifier) -> dict[str, Any]:
    """What EmoOne's gray labels are made from, beside the dialogues."""
    if not isinstance(classifier, EmoOne):
        return {}
    if classifier.gray == Gray.category:
        return {"sentiments": dict(cfg.benchmark.sentiments)}
    if classifier.gray in {Gray.word, Gray.word_softmax}:
        from ercsatz.classifiers.emoone.soft_labels import read_word_vectors

        vectors = read_word_vectors(Path(str(classifier.word_vectors)), list(cfg.benchmark.labels))
        return {"word_vectors": {word: vector.tolist() for word, vector in vectors.items()}}
    return {}


def optimisation(cfg: TrainConfig, stage: str) -> dict[str, Any]:
    """How a stage is optimised: ``training``, with what the stage's own node overrides."""
    own: StageOverrides = getattr(cfg.training, stage)
    keys = ("epochs", "lr", "warmup", "schedule", "weight_decay", "clip", "batch_tokens", "batch_targets")
    changed = {key: value for key, value in asdict(own).items() if value is not None}
    return {key: getattr(cfg.training, key) for key in keys} | changed
