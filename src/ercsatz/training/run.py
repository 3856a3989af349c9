"""A job's stages, run: each is trained or loaded once, and scored on every test set."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz import threads
from ercsatz.artifacts.cache import PATIENCE, State
from ercsatz.artifacts.locks import HeldError
from ercsatz.config import TrainConfig
from ercsatz.config.classifier import Gives
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.metrics import learnt_nothing, scores
from ercsatz.data.text_files import write_json_lines
from ercsatz.errors import UserError
from ercsatz.tracking.figures import Scored
from ercsatz.tracking.stage import StageTracker, track
from ercsatz.tracking.table import METRICS, MetricRow, metric_rows, write_metrics
from ercsatz.training.choice import POLL, SLOW, Others, next_elsewhere, own_next
from ercsatz.training.corpora import JobData
from ercsatz.training.graph import Stage, walk
from ercsatz.training.progress import Progress, Tell, tell_nobody
from ercsatz.training.pulse import Pulse
from ercsatz.training.stage_cache import StageCache
from ercsatz.training.tracked import tracked

if TYPE_CHECKING:  # a job whose stages are all in the cache never pays for importing torch
    from ercsatz.classifiers.checkpoint import ErcClassifier

_LOG = logging.getLogger(__name__)


def note_nothing(event: str, key: str | None = None) -> None:
    """Where nobody wants to know what a worker does."""


@dataclass(frozen=True)
class StageRunner:
    """Runs a job's stages; what is done is kept here for what starts from it.

    Attributes:
        cfg: the job's configuration.
        data: its dialogues.
        folder: the job's own, for predictions.
        tell: is told how far the stages are.
        others: jobs whose stages are made while this one's are made elsewhere; None: there are none.
        note: is told when a stage ``begins`` and ``ends``, with its key, and when the worker ``waits`` and ``goes on``.
        pulse: is told how far the one is that is trained.
        done: folder and record of the stages that are trained or loaded, by key.
    """

    cfg: TrainConfig
    data: JobData
    folder: Path
    tell: Tell = tell_nobody
    others: Others | None = None
    note: Callable[..., None] = note_nothing
    pulse: Pulse = field(default_factory=Pulse)
    done: dict[str, tuple[Path, dict[str, Any]]] = field(default_factory=dict)

    @property
    def cache(self) -> StageCache:
        """Where finished stages are."""
        return StageCache(Path(self.cfg.paths.cache))

    def run(self, stages: Sequence[Stage]) -> list[dict[str, Any]]:
        """Train, or load, and score the stages; the records of those that are scored, in their order.

        What is trained elsewhere is left for last. While nothing else of this job is free, stages of others are made;
        it waits only while none of theirs is free, either.
        """
        records: dict[str, dict[str, Any]] = {}
        logged: list[MetricRow] = []
        waiting = {stage.key: stage for stage in self._needed(stages)}
        progress = Progress(waiting.values(), self.tell)
        while waiting:
            stage = self._next(waiting)
            self.pulse.tell(key=stage.key)
            progress.begin(stage)
            with suppress(HeldError), self._tracker(stage) as tracker:  # else another process was faster
                self._resolve(stage, tracker, wait=False)
                tests = self._tests(stage) if stage.scored else {}
                folder, record = self.done[stage.key]
                tracker.scored(record, folder, tests)
                if stage.scored:
                    records[stage.name] = self._scored(stage, tests)
                progress.end(stage, record["cached"], records.get(stage.name))
                logged += metric_rows(stage.name, record, tests)
                del waiting[stage.key]
        write_metrics(self.folder / METRICS, logged)
        return [records[stage.name] for stage in stages if stage.scored]

    def make(self, stage: Stage) -> None:
        """Train one stage, whose needs are done, and predict what it is scored on: its own job keeps the scores.

        Raises:
            HeldError: another process is at it.
        """
        with self._tracker(stage) as tracker:
            self._resolve(stage, tracker, wait=False)
            folder, record = self.done[stage.key]
            tracker.scored(record, folder, self._tests(stage) if stage.scored else {})

    def _next(self, waiting: Mapping[str, Stage]) -> Stage:
        """The next stage of this job, once one is free; until then others' stages are made."""
        needs = {key: [needed.key for needed in stage.needs] for key, stage in waiting.items()}
        pause, waited = POLL, 0.0
        while (key := own_next(list(waiting), needs, self.cache.state_of)) is None:
            if self.others and (free := next_elsewhere(self.others.graph(), self.cache.state_of)):
                self._goes_on(waited)
                self.others.make(free)
                pause, waited = POLL, 0.0
                continue
            if not waited:
                self.note("waits")
            if waited < PATIENCE <= waited + pause:
                _LOG.warning("  waiting for stages that other processes are at")
            time.sleep(pause)
            pause, waited = min(1.5 * pause, SLOW), waited + pause
        self._goes_on(waited)
        return waiting[key]

    def _goes_on(self, waited: float) -> None:
        if waited:
            self.note("goes on")

    def _needed(self, stages: Sequence[Stage]) -> list[Stage]:
        """The stages that are scored, and those that one of them which is not in the cache needs before."""
        needed: dict[str, Stage] = {}

        def want(stage: Stage) -> None:
            if stage.key not in needed:
                needed[stage.key] = stage
                if self.cache.state(stage) is not State.cached:
                    for before in stage.needs:
                        want(before)

        for stage in stages:
            if stage.scored:
                want(stage)
        return [stage for stage in walk(list(stages)) if stage.key in needed]

    def _tracker(self, stage: Stage) -> AbstractContextManager[StageTracker]:
        """The stage's loggers."""
        return track(tracked(self.cfg, stage, self.data, self.folder))

    def _resolve(self, stage: Stage, tracker: StageTracker, wait: bool = True) -> None:
        """Train a stage, unless it is in the cache; ``wait`` says whether for another process that is at it."""
        title = self._title(stage)

        def train(partial: Path) -> dict[str, Any]:
            self.note("begins", stage.key)  # from now on it is nobody else's
            from ercsatz.training.stage import train_together

            before = self._before(stage)  # first: what was lost is trained, and tracked, before this
            return train_together(self.cfg, stage, before, partial, title, tracker.train(), self.pulse)

        folder, record = self.cache.resolve(stage, train, wait)
        if not record["cached"]:
            self.note("ends", stage.key)
        _refuse_diverged(folder, record)
        if record["cached"]:
            tracker.replay(record)
        how = "from the cache" if record["cached"] else f"{record['seconds']:.0f} s"
        best = f"loss {record['validation_loss']:.3f}" if "validation_loss" in record else ""
        best = best or f"W-F1 {100 * record['validation_w_f1']:.2f}"
        _LOG.info(f"  {title} | best validation {best} at epoch {record['best_epoch']}, {how} ({record['key']})")
        self.done[stage.key] = folder, {key: value for key, value in record.items() if key != "description"}

    def _before(self, stage: Stage) -> Any:
        """What a stage starts from, a ``stage.Before``; trained now if what needed it was lost from the cache."""
        from ercsatz.training.stage import Before

        for needed in stage.needs:
            if needed.key not in self.done:
                with self._tracker(needed) as tracker:
                    self._resolve(needed, tracker)
        start = self.done[stage.start.key][0] if isinstance(stage.start, Stage) else stage.start
        if stage.before is None:
            return Before(start)
        folder, _ = self.done[stage.before.key]
        if stage.gives == Gives.weights:
            return Before(start, adopted=folder)
        return Before(start, taught=self._predictions(stage.before, stage.before.corpus.split("train"), []))

    def _tests(self, stage: Stage) -> dict[str, Scored]:
        """A stage's scores on every test set; its predictions go to ``folder/predictions``."""
        loaded: list[ErcClassifier] = []
        tests = {}
        for variant, dialogues in self.data.test_sets.items():
            rows = self._predictions(stage, dialogues, loaded)
            tests[variant] = Scored(self._scores(rows), rows, dialogues)
            write_json_lines(self.folder / "predictions" / f"{stage.name}-{variant}.jsonl", rows)
        return tests

    def _scored(self, stage: Stage, tests: Mapping[str, Scored]) -> dict[str, Any]:
        """A stage's record with its scores, which are told."""
        _, record = self.done[stage.key]
        test = {variant: tested.scores for variant, tested in tests.items()}
        told = ", ".join(f"{variant} {100 * result['w_f1']:.2f}{_mark(result)}" for variant, result in test.items())
        _LOG.info(f"  {self._title(stage)} | test W-F1: {told}")
        named = {"stage": stage.name, "variant": stage.variant, "ranked": stage.ranked, "recipe": stage.recipe}
        return {**named, "before": stage.before and stage.before.key, **record, "test": test}

    def validated(self, stage: Stage) -> dict[str, Any]:
        """The scores of a stage, which is done, on its own validation split."""
        return self._scores(self._predictions(stage, stage.corpus.split("validation"), []))

    def _scores(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        labels = self.data.real.labels
        gold, predicted = ([labels.index(row[key]) for row in rows] for key in ("emotion", "predicted"))
        return scores(gold, predicted, labels)

    def _predictions(
        self, stage: Stage, dialogues: Sequence[Dialogue], loaded: "list[ErcClassifier]"
    ) -> list[dict[str, Any]]:
        folder, _ = self.done[stage.key]
        return self.cache.predictions(stage, dialogues, partial(self._predict, folder, dialogues, loaded))

    def _predict(
        self, folder: Path, dialogues: Sequence[Dialogue], loaded: "list[ErcClassifier]"
    ) -> list[dict[str, Any]]:
        from ercsatz.classifiers.checkpoint import load
        from ercsatz.training.trainer import predict

        threads.use(self.cfg.trainer.threads)
        labels = self.data.real.labels
        if not loaded:
            loaded.append(load(folder, labels))
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

    def _title(self, stage: Stage) -> str:
        cfg = self.cfg
        return f"{cfg.classifier.name} {cfg.benchmark.name}_{stage.variant} seed {cfg.seed} | {stage.name}"


def _mark(result: Mapping[str, Any]) -> str:
    reason = learnt_nothing(result)
    return f" (learnt nothing: {reason})" if reason else ""


def _refuse_diverged(folder: Path, record: Mapping[str, Any]) -> None:
    """Refuse what earlier versions kept. With float16 a step that overflows is left out, and its loss tells nothing."""
    bad = [point["epoch"] for point in record.get("curve", ()) if point["loss"] is None]
    if bad and record.get("precision") != "16-mixed":
        raise UserError(
            f"{folder}: its training diverged: its loss was no number in epoch {bad[0]}. Remove the folder, and train "
            "it again with a lower training.lr."
        )
