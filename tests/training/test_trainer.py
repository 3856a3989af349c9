import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from transformers import BertConfig, BertModel

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.compm.classifier import CoMPM as CoMPMModule
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.encoder.pretrained import open_backbone, train_tokenizer
from ercsatz.classifiers.todkat.config import KnowledgeSources, TopicConfig
from ercsatz.config import BackboneConfig, Pooling, Schedule, TinySizeConfig, TrainerConfig
from ercsatz.data.dialogue import Utterance
from ercsatz.data.metrics import scores
from ercsatz.errors import UserError
from ercsatz.training import divergence
from ercsatz.training import lightning_module as module_module
from ercsatz.training import trainer as fit_module
from ercsatz.training.averaging import WeightAveraging
from ercsatz.training.data_module import DialogueSplit, Size
from ercsatz.training.lightning_module import LightningClassifier
from ercsatz.training.optimisation import Lengths, Optimisation
from ercsatz.training.trainer import BestEpoch, Run, fit, predict, resolve_device, resolve_precision

LABELS = ("neutral", "joy", "anger")
TRAINER = TrainerConfig("cpu", "32-true")
FOUR = Optimisation(
    epochs=4, lr=5e-3, warmup=0.2, schedule=Schedule.linear, weight_decay=0.01, clip=1.0, batch_tokens=60
)


@pytest.fixture
def built(make_dialogues) -> Callable[..., ErcClassifier]:
    """A tiny CoMPM with every kind of dropout on; the same each time for a seed."""

    def build(seed: int = 0) -> ErcClassifier:
        pl.seed_everything(seed, verbose=False)
        texts = [turn.text for dialogue in make_dialogues(20) for turn in dialogue.utterances]
        pretrained = open_backbone(
            BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 1, 2, 300)), texts
        )
        return checkpoint.build(CoMPMConfig("compm", 64, memory_layers=2, memory_dropout=0.3), pretrained, LABELS)

    return build


@pytest.fixture
def run(make_dialogues) -> Callable[..., dict[str, Any]]:
    """Fit on ten dialogues."""

    def fitted(
        classifier: ErcClassifier,
        folder: Path,
        optimisation: Optimisation = FOUR,
        seed: int = 0,
        trainer: TrainerConfig = TRAINER,
        cache: Path | None = None,
        callbacks: Sequence[pl.Callback] = (),
    ) -> dict[str, Any]:
        train, validation = make_dialogues(10, seed=1), make_dialogues(6, seed=2)
        given = Run(optimisation, trainer, seed, folder, [], "test", cache, callbacks)
        return fit(classifier, train, validation, given)

    return fitted


def weights(classifier: ErcClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


class BreakError(Exception):
    """What a test throws in the middle of a run."""


def raise_in(monkeypatch, owner: type, method: str, when: Callable[..., bool]) -> None:
    """Throw when a method is called and ``when`` holds of its arguments."""
    original = getattr(owner, method)

    def wrapped(*arguments: Any, **more: Any) -> Any:
        if when(*arguments):
            raise BreakError
        return original(*arguments, **more)

    monkeypatch.setattr(owner, method, wrapped)


# Each happens once two epochs are done: in the third's training, in its validation, and between its two checkpoints.
INTERRUPTIONS = {
    "training": (LightningClassifier, "training_step", lambda self, batch, i: (self.current_epoch, i) == (2, 1)),
    "validation": (LightningClassifier, "on_validation_epoch_end", lambda self: self.current_epoch == 2),
    "best": (BestEpoch, "on_train_epoch_end", lambda self, trainer, module: trainer.current_epoch == 2),
    "saving": (ModelCheckpoint, "on_train_epoch_end", lambda self, trainer, module: trainer.current_epoch == 2),
    "the end": (fit_module, "load_file", lambda *_: True),
}


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, Any]:
    """Result and weights of the run that the interrupted ones must equal; filled in by the first test that needs it."""
    return {}


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_resumed_run_ends_as_if_it_had_not_been_interrupted(where, built, run, uninterrupted, tmp_path, monkeypatch):
    if not uninterrupted:
        classifier = built()
        uninterrupted |= {"result": run(classifier, tmp_path / "whole"), "weights": weights(classifier)}
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS[where])
        with pytest.raises(BreakError):
            run(built(), tmp_path / "run")
    resumed = built()
    assert run(resumed, tmp_path / "run") == uninterrupted["result"]
    assert same(weights(resumed), uninterrupted["weights"])


@pytest.mark.parametrize("name", ["last.ckpt", "best-*.safetensors"])
def test_a_run_with_a_damaged_state_begins_anew_and_ends_with_the_same_numbers(
    name, built, run, uninterrupted, tmp_path, monkeypatch, capsys
):
    if not uninterrupted:
        classifier = built()
        uninterrupted |= {"result": run(classifier, tmp_path / "whole"), "weights": weights(classifier)}
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS["training"])
        with pytest.raises(BreakError):
            run(built(), tmp_path / "run")
    file = sorted((tmp_path / "run").glob(name))[-1]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    resumed = built()
    assert run(resumed, tmp_path / "run") == uninterrupted["result"]
    assert same(weights(resumed), uninterrupted["weights"])
    assert f"{file} " in capsys.readouterr().out


def test_a_run_is_resumed_from_a_folder_that_was_moved(built, run, tmp_path, monkeypatch):
    # Scores fall, so the best epoch is one from before the interruption.
    original = module_module.scores

    told: list[int] = []

    def falling(gold: list[int], predicted: list[int], labels: tuple[str, ...]) -> dict[str, Any]:
        told.append(len(told))
        return {**original(gold, predicted, labels), "w_f1": 1 / len(told)}

    monkeypatch.setattr(module_module, "scores", falling)
    whole = built()
    expected = run(whole, tmp_path / "whole")
    told.clear()
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS["training"])
        with pytest.raises(BreakError):
            run(built(), tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    resumed = built()
    assert run(resumed, tmp_path / "moved") == expected
    assert expected["best_epoch"] == 1
    assert same(weights(resumed), weights(whole))


def test_auto_precision_goes_by_the_device_that_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_precision("auto", torch.device("cuda")) == "bf16-mixed"
    assert resolve_precision("auto", resolve_device("cpu")) == "32-true"


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_an_accelerator_that_is_not_there_is_refused(accelerator, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"trainer.accelerator={accelerator}: this machine has none"):
        resolve_device(accelerator)


def test_a_resumed_run_repeats_no_finished_epoch(built, run, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS["validation"])
        with pytest.raises(BreakError):
            run(built(), tmp_path)
    capsys.readouterr()
    result = run(built(), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in lines] == ["epoch 3/4", "epoch 4/4"]
    assert f"(epoch {result['best_epoch']})" in lines[-1]
    assert f"best {100 * result['validation_w_f1']:.2f}" in lines[-1]


@pytest.mark.parametrize("where", [None, *INTERRUPTIONS])
def test_the_curve_has_every_epoch_and_says_what_was_printed(where, built, run, tmp_path, monkeypatch, capsys):
    if where:
        with monkeypatch.context() as patch:
            raise_in(patch, *INTERRUPTIONS[where])
            with pytest.raises(BreakError):
                run(built(), tmp_path)
    curve = run(built(), tmp_path)["curve"]
    printed = {}  # an epoch that was interrupted is printed again
    for line in capsys.readouterr().out.splitlines():
        _, epoch, loss, validation, _ = line.split(" | ")
        printed[epoch.removeprefix("epoch ")] = (float(loss.split()[-1]), float(validation.split()[-1]) / 100)
    assert [point["epoch"] for point in curve] == [1, 2, 3, 4]
    for point, (epoch, figures) in zip(curve, printed.items(), strict=True):
        assert epoch == f"{point['epoch']}/4"
        assert (point["loss"], point["w_f1"]) == pytest.approx(figures, abs=6e-4)
    assert len({point["loss"] for point in curve}) == 4


def test_the_loss_of_the_curve_is_the_mean_over_the_targets_of_an_epoch(built, run, tmp_path, monkeypatch):
    seen: list[tuple[float, int]] = []
    original = CoMPMModule.sums

    def sums(self: CoMPMModule, output: torch.Tensor, batch: Any) -> torch.Tensor:
        found = original(self, output, batch)
        seen.append((found.item(), len(batch.labels)))
        return found

    monkeypatch.setattr(CoMPMModule, "sums", sums)
    (point,) = run(built(), tmp_path, replace(FOUR, epochs=1))["curve"]
    assert len(seen) > 1
    assert point["loss"] == pytest.approx(sum(x for x, _ in seen) / sum(n for _, n in seen), rel=1e-5)


def test_a_loss_that_float16_leaves_out_is_none_in_the_curve(built, run, tmp_path, monkeypatch):
    losses = numbers({2: math.nan})
    monkeypatch.setattr(CoMPMModule, "sums", lambda self, output, batch: SUMS(self, output, batch) + next(losses))
    monkeypatch.setattr(pl.Trainer, "precision", "16-mixed")  # a CPU has none
    curve = run(built(), tmp_path, replace(FOUR, epochs=2))["curve"]
    assert [point["loss"] is None for point in curve] == [True, False]
    json.dumps(curve, allow_nan=False)


def test_a_seed_decides_the_weights(built, run, tmp_path):
    found = []
    for number, seed in enumerate((3, 3, 4)):
        classifier = built(seed)
        run(classifier, tmp_path / str(number), replace(FOUR, epochs=1), seed)
        found.append(weights(classifier))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_the_weights_of_the_best_epoch_are_left(built, run, tmp_path, monkeypatch):
    validation = iter([0.1, 0.8, 0.3, 0.8])
    seen = []

    def told(gold: list[int], predicted: list[int], labels: tuple[str, ...]) -> dict[str, Any]:
        seen.append(weights(classifier))
        return {**scores(gold, predicted, labels), "w_f1": next(validation)}

    monkeypatch.setattr(module_module, "scores", told)
    classifier = built()
    result = run(classifier, tmp_path)
    assert (result["best_epoch"], result["validation_w_f1"]) == (2, pytest.approx(0.8))
    assert [point["w_f1"] for point in result["curve"]] == pytest.approx([0.1, 0.8, 0.3, 0.8])
    assert same(weights(classifier), seen[1])
    assert not same(seen[1], seen[3])


def test_the_validation_score_is_that_of_the_weights_that_are_left(built, run, make_dialogues, tmp_path):
    classifier = built()
    result = run(classifier, tmp_path)
    validation = make_dialogues(6, seed=2)
    rows = predict(classifier, validation, TRAINER)
    gold = [LABELS.index(validation[dialogue].utterances[turn].emotion) for dialogue, turn, _ in rows]
    found = scores(gold, [int(probabilities.argmax()) for *_, probabilities in rows], LABELS)
    assert result["validation_w_f1"] == pytest.approx(found["w_f1"], abs=1e-6)


SUMS, FORWARD = CoMPMModule.sums, CoMPMModule.forward


def numbers(odd: dict[int, float]) -> Iterator[float]:
    """0 for every call but some, counted from 1."""
    return (odd.get(call, 0.0) for call in itertools.count(1))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, 2, 7, 9])
@pytest.mark.parametrize("every", [3, 50])
def test_a_loss_that_is_no_number_ends_the_stage_and_names_the_step(
    value, step, every, built, run, tmp_path, monkeypatch
):
    losses = numbers(dict.fromkeys(range(step, 100), value))
    monkeypatch.setattr(divergence, "_EVERY", every)
    monkeypatch.setattr(CoMPMModule, "sums", lambda self, output, batch: SUMS(self, output, batch) + next(losses))
    with pytest.raises(UserError) as error:
        run(built(), tmp_path)
    told = re.match(r"test: the loss is (\w+) at step (\d+) of (\d+) \(epoch (\d)\), so", str(error.value))
    assert told is not None, error.value
    whole = int(told[3]) // 4
    assert (float(told[1]), int(told[2]), int(told[4])) == (
        pytest.approx(value, nan_ok=True),
        step,
        (step - 1) // whole + 1,
    )
    assert "a learning rate below 0.005 (training.lr" in str(error.value)
    assert "training.clip=0.1" in str(error.value)
    assert "trainer.precision" not in str(error.value)
    kept = [*tmp_path.glob("best-*"), *tmp_path.glob("last.ckpt")]
    assert len(kept) == (2 if step > whole else 0)


def test_a_learning_rate_far_too_high_ends_the_stage(built, run, tmp_path):
    with pytest.raises(UserError, match=r"test: .* step \d+ of \d+ \(epoch 1\), so it learns nothing more"):
        run(built(), tmp_path, replace(FOUR, lr=1e30, warmup=0.0))


def test_weights_that_break_in_the_last_step_are_not_kept(built, run, tmp_path, monkeypatch):
    steps = run(built(), tmp_path / "whole", replace(FOUR, epochs=1))["steps"]
    calls = itertools.count(1)

    def sums(self: CoMPMModule, output: torch.Tensor, batch: Any) -> torch.Tensor:
        usual = SUMS(self, output, batch)
        return usual + (0 * output).sum().sqrt() if next(calls) == steps else usual  # 0, whose gradient is NaN

    monkeypatch.setattr(CoMPMModule, "sums", sums)
    with pytest.raises(UserError, match=rf"the weight \S+ is not finite after step {steps} of {steps} \(epoch 1\)"):
        run(built(), tmp_path / "run", replace(FOUR, epochs=1))
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize("scored", [True, False])
def test_a_validation_without_numbers_ends_the_stage(scored, built, run, tmp_path, monkeypatch):
    def forward(self: CoMPMModule, batch: Any) -> torch.Tensor:
        return FORWARD(self, batch) * (1.0 if self.training else math.nan)

    monkeypatch.setattr(CoMPMModule, "forward", forward)
    monkeypatch.setattr(CoMPMModule, "scored", scored)
    with pytest.raises(UserError, match=r"of the validation split is not finite after step (\d+) of \d+ \(epoch 1\)"):
        run(built(), tmp_path)


def test_a_label_that_is_never_given_is_no_failure(built, run, tmp_path, make_dialogues, monkeypatch):
    def forward(self: CoMPMModule, batch: Any) -> torch.Tensor:
        logits = FORWARD(self, batch)
        return logits if self.training else logits.index_fill(1, torch.tensor([0]), -math.inf)

    monkeypatch.setattr(CoMPMModule, "forward", forward)
    classifier = built()
    run(classifier, tmp_path, replace(FOUR, epochs=1))
    assert all(row[2][0] == 0 for row in predict(classifier, make_dialogues(2), TRAINER))


def test_an_epoch_in_float16_without_any_loss_is_a_failure(built, run, tmp_path, monkeypatch):
    monkeypatch.setattr(CoMPMModule, "sums", lambda self, output, batch: SUMS(self, output, batch) + math.inf)
    monkeypatch.setattr(pl.Trainer, "precision", "16-mixed")
    with pytest.raises(UserError, match="the loss was never a finite number in its epoch") as error:
        run(built(), tmp_path)
    assert "trainer.precision=32-true" in str(error.value)


def test_weights_without_numbers_that_an_earlier_version_kept_are_refused(built, run, tmp_path, monkeypatch):
    broken = {name: torch.full_like(tensor, math.nan) for name, tensor in weights(built()).items()}
    monkeypatch.setattr(fit_module, "load_file", lambda _: broken)
    with pytest.raises(UserError, match=r"best-\d.safetensors: the weight \S+ is not finite"):
        run(built(), tmp_path)


def test_predictions_without_numbers_are_refused_by_dialogue_and_turn(built, make_dialogues, monkeypatch):
    classifier, dialogues = built(), make_dialogues(3)
    with torch.no_grad():
        classifier.module.head.bias.fill_(math.inf)
    with pytest.raises(UserError, match=r"Dialogue '.+', turn \d+: the classifier's output is not finite"):
        predict(classifier, dialogues, TRAINER)


def test_training_learns(built, make_dialogues, tmp_path):
    classifier, dialogues = built(), make_dialogues(10, seed=1)
    settings = replace(FOUR, epochs=12, lr=1e-2)
    result = fit(classifier, dialogues, dialogues, Run(settings, TRAINER, 0, tmp_path, [], "test"))
    assert result["validation_w_f1"] > 0.6


@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
def test_warm_up_and_decay_are_counted_in_steps(warmup, built, run, tmp_path, monkeypatch):
    rates = []
    original = LightningClassifier.training_step

    def step(self: LightningClassifier, batch: Any, number: int) -> Any:
        rates.append(self.optimizers().param_groups[0]["lr"])
        return original(self, batch, number)

    monkeypatch.setattr(LightningClassifier, "training_step", step)
    result = run(built(), tmp_path, replace(FOUR, epochs=2, warmup=warmup, lr=1e-3))
    steps = result["steps"]
    assert len(rates) == steps > 8
    rising = max(1, round(warmup * steps))
    assert rates[:rising] == pytest.approx([1e-3 * (i + 1) / rising for i in range(rising)])
    falling = steps - rising
    assert rates[rising:] == pytest.approx([1e-3 * (falling - i) / falling for i in range(falling)])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_gradients_are_clipped_in_either_precision_and_left_alone_at_0(
    clip, precision, built, make_dialogues, tmp_path, monkeypatch
):
    norms = []

    def look(self: LightningClassifier, *_: Any) -> None:
        norms.append(torch.stack([p.grad.norm() for p in self.parameters() if p.grad is not None]).norm().item())

    monkeypatch.setattr(LightningClassifier, "on_train_batch_end", look)
    dialogues = make_dialogues(10, seed=1)
    settings = replace(FOUR, epochs=1, clip=clip)
    fit(built(), dialogues, dialogues, Run(settings, TrainerConfig("cpu", precision), 0, tmp_path, [], "test"))
    assert norms
    assert all((norm <= 1.01e-3) == (clip > 0) for norm in norms)


def test_dropout_is_on_in_training_also_from_a_checkpoint(run, tmp_path, monkeypatch):
    tokenizer = train_tokenizer(["the train on monday"], 300)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer.save_pretrained(tmp_path / "bert")
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=1, **sizes)).save_pretrained(tmp_path / "bert")
    pretrained = open_backbone(BackboneConfig("local", str(tmp_path / "bert"), Pooling.first, 1e-3), [])
    classifier = checkpoint.build(CoMPMConfig("compm", 64, memory_layers=1, memory_dropout=0.0), pretrained, LABELS)
    modes = []
    original = LightningClassifier.training_step

    def step(self: LightningClassifier, batch: Any, number: int) -> Any:
        modes.append({module.training for module in classifier.module.modules()})
        return original(self, batch, number)

    monkeypatch.setattr(LightningClassifier, "training_step", step)
    run(classifier, tmp_path / "run", replace(FOUR, epochs=2))
    assert modes
    assert all(mode == {True} for mode in modes)


def test_predictions_are_in_the_order_of_the_dialogues(built, make_dialogues):
    classifier, dialogues = built(), list(make_dialogues(12, seed=5))
    first = dialogues[3]
    silent = replace(first, utterances=(Utterance("Ann", "and so on and on", None), *first.utterances))
    dialogues[3] = silent
    rows = predict(classifier, dialogues, TRAINER)
    labelled = [(n, i) for n, d in enumerate(dialogues) for i, turn in enumerate(d.utterances) if turn.emotion]
    assert [(dialogue, turn) for dialogue, turn, _ in rows] == labelled
    assert all(float(probabilities.sum()) == pytest.approx(1) for *_, probabilities in rows)
    for number, dialogue in enumerate(dialogues):
        alone = [probabilities for *_, probabilities in predict(classifier, [dialogue], TRAINER)]
        together = [probabilities for n, _, probabilities in rows if n == number]
        torch.testing.assert_close(torch.stack(together), torch.stack(alone), atol=1e-5, rtol=0)


def test_a_loader_gives_whole_steps_and_the_length_it_says(built, make_dialogues):
    data = DialogueSplit(built(), make_dialogues(10, seed=1), Size(60), TRAINER, torch.device("cpu"), None)
    for seed in (None, 0):
        loader = data.loader(seed)
        steps = list(loader)
        assert len(steps) == len(loader) > 1
        places = [place for step in steps for batch in step.batches for place in batch.places]
        assert len(places) == len(set(places)) == sum(step.size for step in steps) == data.targets


def test_a_step_may_be_a_number_of_targets(built, make_dialogues):
    data = DialogueSplit(built(), make_dialogues(6, seed=1), Size(60, targets=1), TRAINER, torch.device("cpu"), None)
    assert [step.size for step in data.loader(0)] == [1] * data.targets


def test_a_step_that_does_not_fit_the_memory_is_accumulated(built, run, make_dialogues, tmp_path):
    undropped = []
    for number, memory in enumerate((10_000, 25)):
        classifier = built()
        for module in classifier.module.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        classifier.module.tracker.dropout = 0.0
        trainer = replace(TRAINER, memory_tokens=memory)
        run(classifier, tmp_path / str(number), replace(FOUR, epochs=1), trainer=trainer)
        undropped.append(weights(classifier))
        steps = list(
            DialogueSplit(classifier, make_dialogues(10, seed=1), Size(60), trainer, torch.device("cpu"), None).loader(
                0
            )
        )
        assert (max(len(step.batches) for step in steps) > 1) == (memory == 25)
    for name, tensor in undropped[0].items():
        torch.testing.assert_close(undropped[1][name], tensor, atol=2e-4, rtol=1e-3, msg=name)


def test_workers_change_nothing(built, run, tmp_path):
    found = []
    for workers in (0, 1, 2):
        classifier = built()
        trainer = replace(TRAINER, workers=workers)
        result = run(classifier, tmp_path / str(workers), replace(FOUR, epochs=2), trainer=trainer)
        found.append((result, weights(classifier)))
    for result, state in found[1:]:
        assert result == found[0][0]
        assert same(state, found[0][1])


def test_a_cache_of_tokens_changes_nothing(built, run, tmp_path):
    found = []
    for number, cache in enumerate((None, tmp_path / "cache", tmp_path / "cache")):
        classifier = built()
        run(classifier, tmp_path / str(number), replace(FOUR, epochs=1), cache=cache)
        found.append(weights(classifier))
    assert same(found[0], found[1])
    assert same(found[0], found[2])
    assert len(list((tmp_path / "cache" / "tokens").iterdir())) == 2


def test_counting_examples_never_leaves_the_warm_up_with_a_larger_batch(built, run, tmp_path, monkeypatch):
    rates = []
    original = LightningClassifier.training_step

    def step(self: LightningClassifier, batch: Any, number: int) -> Any:
        rates.append(self.optimizers().param_groups[0]["lr"])
        return original(self, batch, number)

    monkeypatch.setattr(LightningClassifier, "training_step", step)
    settings = replace(FOUR, epochs=2, warmup=0.5, lr=1e-3, schedule=Schedule.examples, batch_tokens=120)
    run(built(), tmp_path / "tokens", settings)
    assert rates[0] == 0
    assert rates == sorted(rates)
    assert rates[-1] < 0.8e-3
    rates.clear()
    run(built(), tmp_path / "one", replace(settings, batch_targets=1))
    half = len(rates) // 2
    expected = [1e-3 * i / half for i in range(half)] + [1e-3 * (2 * half - i) / half for i in range(half, 2 * half)]
    assert rates == pytest.approx(expected)


def test_what_is_not_scored_is_kept_by_its_validation_loss(make_dialogues, tmp_path, capsys):
    pl.seed_everything(0, verbose=False)
    texts = [turn.text for dialogue in make_dialogues(20) for turn in dialogue.utterances]
    pretrained = open_backbone(BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 2, 2, 300)), texts)
    topic = TopicConfig("todkat", 64, True, 8, 1.0, KnowledgeSources.none, None, 1, 2, 16, 0.1, True)
    classifier = checkpoint.build(topic, pretrained, LABELS)
    settings = replace(FOUR, epochs=3, lr=1e-2)
    run = Run(settings, TRAINER, 0, tmp_path, [], "topic")
    result = fit(classifier, make_dialogues(20), make_dialogues(6, seed=2), run)
    losses = [float(line.split("validation loss ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3
    assert result["validation_loss"] == pytest.approx(min(losses), abs=1e-3)
    assert result["best_epoch"] == 1 + losses.index(min(losses))
    assert [point["validation_loss"] for point in result["curve"]] == pytest.approx(losses, abs=1e-3)
    assert losses[-1] < losses[0]


def test_rates_by_layer_follow_the_schedule(built, run, tmp_path, monkeypatch):
    rates: list[list[float]] = []
    original = LightningClassifier.training_step

    def step(self: LightningClassifier, batch: Any, number: int) -> Any:
        rates.append([group["lr"] for group in self.optimizers().param_groups])
        return original(self, batch, number)

    monkeypatch.setattr(LightningClassifier, "training_step", step)
    settings = replace(FOUR, epochs=2, schedule=Schedule.cosine, layer_decay=0.5)
    total = run(built(), tmp_path, settings)["steps"]
    factor = Lengths(total // 2, 1).factor(settings)
    assert len(rates) == total
    for number, found in enumerate(rates):  # one layer: the head, the layer, the embeddings
        assert found == pytest.approx([5e-3 * factor(number) * 0.5**power for power in range(3)])


TUNED = replace(FOUR, schedule=Schedule.cosine, layer_decay=0.7, patience=3)


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_tuned_run_is_resumed_as_if_it_had_not_been_interrupted(where, built, run, tmp_path, monkeypatch):
    whole, resumed = built(), built()
    expected = run(whole, tmp_path / "whole", TUNED)
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS[where])
        with pytest.raises(BreakError):
            run(built(), tmp_path / "run", TUNED)
    assert run(resumed, tmp_path / "run", TUNED) == expected
    assert same(weights(resumed), weights(whole))


def told_scores(monkeypatch, *w_f1: float) -> None:
    """Give the epochs these W-F1; one is told again where its epoch is run again."""

    def told(gold: list[int], predicted: list[int], labels: tuple[str, ...]) -> dict[str, Any]:
        return {**scores(gold, predicted, labels), "w_f1": w_f1[epochs[-1]]}

    epochs: list[int] = []
    original = LightningClassifier.on_validation_epoch_end

    def end(self: LightningClassifier) -> None:
        epochs.append(self.current_epoch)
        original(self)

    monkeypatch.setattr(LightningClassifier, "on_validation_epoch_end", end)
    monkeypatch.setattr(module_module, "scores", told)


@pytest.mark.parametrize(
    ("w_f1", "patience", "ran"),
    [
        ((0.5, 0.4, 0.3, 0.9), 1, 2),
        ((0.5, 0.4, 0.3, 0.9), 2, 3),
        ((0.5, 0.4, 0.3, 0.9), 3, 4),
        ((0.5, 0.4, 0.3, 0.9), None, 4),
        ((0.5, 0.5, 0.5, 0.9), 2, 3),  # as good is not better
        ((0.5, 0.4, 0.6, 0.5), 2, 4),
        ((0.1, 0.2, 0.3, 0.4), 1, 4),
    ],
)
def test_patience_counts_epochs_without_a_better_one(w_f1, patience, ran, built, run, tmp_path, monkeypatch, capsys):
    told_scores(monkeypatch, *w_f1)
    result = run(built(), tmp_path, replace(FOUR, patience=patience))
    assert [point["w_f1"] for point in result["curve"]] == pytest.approx(w_f1[:ran])
    assert result["best_epoch"] == 1 + max(range(ran), key=lambda epoch: w_f1[epoch])
    assert (result["epochs"], result["steps"] % ran) == (ran, 0)
    assert ("stops early" in capsys.readouterr().out) == (ran < 4)


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_run_that_stopped_early_stops_there_when_it_is_resumed(where, built, run, tmp_path, monkeypatch):
    told_scores(monkeypatch, 0.5, 0.4, 0.3, 0.9, 0.9, 0.9)
    settings = replace(FOUR, epochs=6, patience=2)
    whole, resumed = built(), built()
    expected = run(whole, tmp_path / "whole", settings)
    assert expected["epochs"] == 3
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS[where])
        with pytest.raises(BreakError):
            run(built(), tmp_path / "run", settings)
    assert run(resumed, tmp_path / "run", settings) == expected
    assert same(weights(resumed), weights(whole))


def test_the_steps_of_a_run_that_stopped_early_are_those_of_the_whole(built, run, tmp_path, monkeypatch):
    told_scores(monkeypatch, 0.5, 0.4, 0.3, 0.9)
    stopped = run(built(), tmp_path / "stopped", replace(FOUR, patience=1))
    whole = run(built(), tmp_path / "whole")
    assert stopped["curve"] == whole["curve"][:2]  # the schedule is that of all epochs
    assert 2 * stopped["steps"] == whole["steps"]


class Spy(pl.Callback):
    """The weights after each step, and those that each validation sees."""

    def __init__(self) -> None:
        self.trained: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.trained.append({name: tensor.clone() for name, tensor in module.module.state_dict().items()})

    def on_validation_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.validated.append({name: tensor.clone() for name, tensor in module.module.state_dict().items()})


def test_an_epoch_is_judged_by_the_moving_average_and_training_goes_on_without(built, run, tmp_path):
    plain, spy = Spy(), Spy()
    run(built(), tmp_path / "plain", callbacks=[plain])
    classifier = built()
    result = run(classifier, tmp_path / "averaged", callbacks=[WeightAveraging(0.6), spy])
    assert len(spy.trained) == len(plain.trained) == result["steps"]
    for one, other in zip(spy.trained, plain.trained, strict=True):
        assert same(one, other)
    average, ends = plain.trained[0], []
    for n, found in enumerate(plain.trained, 1):
        decay = min(0.6, (1 + n) / (10 + n))
        average = {name: decay * average[name] + (1 - decay) * found[name] for name in found}
        if n % (result["steps"] // 4) == 0:
            ends.append(average)
    for seen, expected in zip(spy.validated, ends, strict=True):
        for name, tensor in expected.items():
            torch.testing.assert_close(seen[name], tensor, atol=1e-6, rtol=1e-5)
    assert same(weights(classifier), spy.validated[result["best_epoch"] - 1])
    assert not same(weights(classifier), plain.trained[result["best_epoch"] * result["steps"] // 4 - 1])


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_moving_average_is_gone_on_with(where, built, run, tmp_path, monkeypatch):
    whole, resumed = built(), built()
    expected = run(whole, tmp_path / "whole", callbacks=[WeightAveraging(0.9)])
    with monkeypatch.context() as patch:
        raise_in(patch, *INTERRUPTIONS[where])
        with pytest.raises(BreakError):
            run(built(), tmp_path / "run", callbacks=[WeightAveraging(0.9)])
    assert run(resumed, tmp_path / "run", callbacks=[WeightAveraging(0.9)]) == expected
    assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_the_decay_of_an_average_has_bounds(decay):
    with pytest.raises(UserError, match=r"the decay=\S+ of WeightAveraging must be from 0 to below 1"):
        WeightAveraging(decay)


def test_an_average_with_decay_0_changes_nothing(built, run, tmp_path):
    found = []
    for callbacks in ([], [WeightAveraging(0.0)]):
        classifier = built()
        found.append((run(classifier, tmp_path / str(len(found)), callbacks=callbacks), weights(classifier)))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])
