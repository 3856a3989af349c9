"""What training and evaluating the classifiers costs here, against a plain loop of one example at a time.

    python benchmarks/train_speed.py [--meld FOLDER] [--backbone tiny|FOLDER] [--dialogues N] [--output FILE.json]
    python benchmarks/train_speed.py [--meld FOLDER] --gpu [--compile] [--output FILE.json]

The plain loop (``tests/classifiers/plain.py``) does what the released codes do: it tokenises and encodes every example
anew, one optimiser step each (TODKAT: one dialogue a step), CoMPM's memory is padded without a mask, EmoOne's teacher
is asked at every step. Both ways have the same encoder, the same dialogues of real MELD (train for training, test for
evaluation), the same precision and threads, and run one after the other in this process, each after a short warm-up.

Ours trains by what ``fit`` is made of: its loader, its Lightning module (forward, backward, clipping, AdamW, schedule)
and a Lightning trainer, without validation and without writing weights; and evaluates by ``predict``. Its times include
tokenising, and EmoOne's the teacher's one pass, although a job does either once and not once an epoch.

Tokens are what an encoder reads without padding, so a turn that is encoded again counts again. Padding is given as a
share of what token-wise layers read (embeddings, linear layers, norms), and, as these run on packed tokens, separately
as a share of what attention reads. Padding of turns, in CoMPM's GRU and in TODKAT's transformer over the dialogue, is
no encoder's and is not counted.

``--gpu`` measures roberta-large's shape instead; see ``card.py``, and run it without a GPU to be told what it would do.
"""

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from card import measure_card
from models import KINDS, Clock, Read, machine, on_meld, reading, save, settings_of, some, texts_of, train
from torch import Tensor
from torch.nn import functional
from transformers import get_linear_schedule_with_warmup

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.emoone.classifier import gray_labels
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import TrainerConfig
from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.training.data_module import DialogueSplit, Size
from ercsatz.training.optimisation import Lengths, Optimisation
from ercsatz.training.trainer import predict, resolve_device

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "classifiers"))
import plain


@dataclass(frozen=True)
class Pair:
    """A classifier, and the teacher that EmoOne has, with all that both ways run them with."""

    kind: str
    student: ErcClassifier
    teacher: ErcClassifier | None
    settings: Optimisation
    trainer: TrainerConfig
    device: torch.device

    @property
    def classifiers(self) -> list[ErcClassifier]:
        """The student, and the teacher if there is one."""
        return [self.student, *([self.teacher] if self.teacher else [])]

    def autocast(self) -> torch.autocast:
        """What Lightning does for ours."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.trainer.precision == "bf16-mixed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meld", type=Path, help="MELD's folder; where ercsatz fetch puts it by default")
    parser.add_argument("--backbone", default="tiny", help="tiny, or an encoder's folder")
    parser.add_argument("--classifiers", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--dialogues", type=int, default=100, help="of each split; 0: all")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    parser.add_argument("--threads", type=int, help="of the CPU; all by default")
    parser.add_argument("--gpu", action="store_true", help="roberta-large's shape on a GPU, in bfloat16")
    parser.add_argument("--batch-tokens", type=int, default=32768, help="with --gpu: of a step")
    parser.add_argument("--compile", action="store_true", help="with --gpu: torch.compile")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    try:
        save(run(given), given.output)
    except UserError as error:  # there is no MELD, or no such encoder
        raise SystemExit(str(error)) from None


def run(given: argparse.Namespace) -> dict[str, Any]:
    """All that was asked for."""
    if given.threads:
        torch.set_num_threads(given.threads)
    result: dict[str, Any] = {**machine(), "threads": torch.get_num_threads()}
    if given.gpu:
        result |= measure_card(given.meld, given.classifiers, given.batch_tokens, given.compile)
    else:
        result |= {"backbone": Path(given.backbone).name, "precision": given.precision}
        for kind in given.classifiers:
            result[kind] = compare(kind, given)
    return result


def compare(kind: str, given: argparse.Namespace) -> dict[str, Any]:
    """One classifier, both ways."""
    local = ["backbone=local", f"backbone.checkpoint={given.backbone}"] if given.backbone != "tiny" else []
    cfg = on_meld(kind, given.meld, *local)
    corpus = load(cfg.benchmark)
    pl.seed_everything(0, verbose=False)
    pretrained = open_backbone(cfg.backbone, texts_of(corpus.split("train")))
    student = checkpoint.build(cfg.classifier, pretrained, corpus.labels)
    teacher = checkpoint.build(cfg.classifier, pretrained, corpus.labels) if kind == "emoone" else None
    device = resolve_device("auto")
    trainer = TrainerConfig(device.type, given.precision)
    pair = Pair(kind, student, teacher, settings_of(cfg, epochs=1), trainer, device)
    ways = {
        "training": (some(corpus.split("train"), given.dialogues), our_training, plain_training),
        "evaluation": (some(corpus.split("test"), given.dialogues), our_evaluation, plain_evaluation),
    }
    result = {}
    for name, (dialogues, ours, theirs) in ways.items():
        fast, slow = measure(pair, dialogues, ours), measure(pair, dialogues, theirs)
        ratios = {key: round(slow[key] / fast[key], 2) for key in ("seconds", "cpu_seconds")}
        result[name] = {"ours": fast, "plain": slow, "ratio": ratios["seconds"], "ratio_cpu": ratios["cpu_seconds"]}
        print(
            f"{kind}, {name}: {fast['seconds']} s, plainly {slow['seconds']} s, ratio {ratios['seconds']}", flush=True
        )
    return result


Way = Callable[[Pair, Sequence[Dialogue], Clock], dict[str, Any]]


def measure(pair: Pair, dialogues: Sequence[Dialogue], way: Way) -> dict[str, Any]:
    """A way's time over the dialogues, after one over a few of them."""
    way(pair, dialogues[:3], Clock(pair.device))
    with reading(*pair.classifiers) as read:
        clock = Clock(pair.device)
        more = way(pair, dialogues, clock)
    seconds, examples = sum(clock.seconds), len(plain.targets_of(dialogues))
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(sum(clock.cpu_seconds), 3),
        "dialogues": len(dialogues),
        "examples": examples,
        "tokens": read.tokens,
        "examples_per_s": round(examples / seconds, 2),
        "tokens_per_s": round(read.tokens / seconds),
        **shares(read),
        **more,
    }


def shares(read: Read) -> dict[str, float]:
    """Of padding."""
    return {"padding": round(read.padding, 4), "attention_padding": round(read.attention_padding, 4)}


def our_training(pair: Pair, dialogues: Sequence[Dialogue], clock: Clock) -> dict[str, Any]:
    with clock:
        gray = taught(pair, dialogues) if pair.teacher else None
        size = Size(pair.settings.batch_tokens)
        split = DialogueSplit(pair.student, dialogues, size, pair.trainer, pair.device, None, gray)
        batches = split.loader(seed=0)
    train(pair.student, batches, Lengths(len(batches), split.targets), pair.settings, clock, pair.trainer.precision)
    return {"steps": len(batches)}


def taught(pair: Pair, dialogues: Sequence[Dialogue]) -> Any:
    """Gray labels by the teacher, as a job makes them."""
    assert pair.teacher is not None
    rows = [{"probabilities": p.tolist()} for *_, p in predict(pair.teacher, dialogues, pair.trainer)]
    return gray_labels(pair.student.config, pair.student.labels, {}, dialogues, rows)  # type: ignore[arg-type]


def plain_training(pair: Pair, dialogues: Sequence[Dialogue], clock: Clock) -> dict[str, Any]:
    module = pair.student.module.to(pair.device).train()
    for classifier in pair.classifiers[1:]:
        classifier.module.to(pair.device).eval()
    examples = examples_of(pair, dialogues)
    random.Random(0).shuffle(examples)
    optimizer = torch.optim.AdamW(module.parameters(), lr=pair.settings.lr)
    schedule = get_linear_schedule_with_warmup(optimizer, len(examples), 10 * len(examples))
    with clock:
        for number, turn in examples:
            with pair.autocast():
                loss = plain_loss(pair, dialogues[number], turn)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 10)
            optimizer.step()
            schedule.step()
    return {"steps": len(examples)}


def examples_of(pair: Pair, dialogues: Sequence[Dialogue]) -> list[tuple[int, int]]:
    """What the plain loop takes a step for: a target, TODKAT a dialogue."""
    return [(n, 0) for n in range(len(dialogues))] if pair.kind == "todkat" else plain.targets_of(dialogues)


def plain_logits(pair: Pair, dialogue: Dialogue, turn: int) -> Tensor:
    if pair.kind == "todkat":
        return plain.todkat(pair.student, dialogue)
    return (plain.compm if pair.kind == "compm" else plain.emoone)(pair.student, dialogue, turn)


def plain_loss(pair: Pair, dialogue: Dialogue, turn: int) -> Tensor:
    if pair.teacher:
        return plain.emoone_taught(pair.student, pair.teacher, dialogue, turn)
    turns = dialogue.utterances if pair.kind == "todkat" else dialogue.utterances[turn : turn + 1]
    gold = torch.tensor([pair.student.labels.index(str(said.emotion)) for said in turns], device=pair.device)
    return functional.cross_entropy(plain_logits(pair, dialogue, turn).float().view(len(gold), -1), gold)


def our_evaluation(pair: Pair, dialogues: Sequence[Dialogue], clock: Clock) -> dict[str, Any]:
    with clock:
        predict(pair.student, dialogues, pair.trainer)
    return {}


def plain_evaluation(pair: Pair, dialogues: Sequence[Dialogue], clock: Clock) -> dict[str, Any]:
    pair.student.module.to(pair.device).eval()
    with clock, torch.no_grad(), pair.autocast():
        for number, turn in examples_of(pair, dialogues):
            for row in plain_logits(pair, dialogues[number], turn).view(-1, len(pair.student.labels)):
                row.argmax().item()
    return {}


if __name__ == "__main__":
    main()
