"""Training and evaluating the classifiers on a GPU, in the shape of roberta-large with random weights, in bfloat16.

Run by ``train_speed.py --gpu``. All of MELD, by the loader and the Lightning module that ``fit`` has: one epoch to warm
up, one that is measured, optimiser steps included; then ``predict`` on the test split, twice. EmoOneConfig has category
labels, which need no teacher. The tokenizer is a byte-level BPE of at most 50,000 tokens, trained on MELD.

Model FLOP of an epoch are those of the encoders, for what they read without padding: forward, 2 a token for each weight
of the layers (12 width^2 a layer) and 4 width n^2 a layer for attention over n tokens; training is three times that (6
and 12). Of the last layer only what is computed counts: keys and values of all tokens, the rest for one token a
sequence. Embeddings, GRU, heads, TODKAT's transformer over the dialogue and the optimiser are not counted.

The card's peak is measured in the same run: a product of two bfloat16 matrices of 8192 x 8192.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from models import Clock, on_meld, settings_of, texts_of, train
from transformers import RobertaConfig

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.base import Batch
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.emoone.classifier import gray_labels
from ercsatz.classifiers.emoone.config import EmoOneConfig
from ercsatz.classifiers.encoder.packing import Sequences
from ercsatz.classifiers.encoder.pretrained import Pretrained, train_tokenizer
from ercsatz.classifiers.todkat.topic import Topical
from ercsatz.config import Pooling, TrainConfig, TrainerConfig
from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Corpus
from ercsatz.training.data_module import DialogueSplit, OptimizerStep, Size
from ercsatz.training.optimisation import Lengths
from ercsatz.training.trainer import PREDICTED_TOKENS, predict

SIDE = 8192
WORKERS = 4  # processes that make batches


def roberta_large(texts: Sequence[str]) -> Pretrained:
    tokenizer = train_tokenizer(texts, 50_000)
    config = RobertaConfig(
        vocab_size=50_265,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
    )
    return Pretrained(config, tokenizer, None, Pooling.first)


def measure_card(meld: Path | None, kinds: Sequence[str], batch_tokens: int, compiled: bool) -> dict[str, Any]:
    """Measure, or without a GPU say what would be measured."""
    device = torch.device("cuda" if torch.cuda.is_available() else "meta")
    result: dict[str, Any] = {"batch_tokens": batch_tokens, "compile": compiled, "precision": "bf16-mixed"}
    if device.type == "cuda":
        result["peak_tflops"] = round(matrix_product(device) / 1e12, 1)
    else:
        print(
            "No GPU here: nothing is run. On one, this command would take one warm-up epoch and one measured epoch of"
        )
        print(f"MELD's train split for each of {', '.join(kinds)}, with this work:")
    large = None
    for kind in kinds:
        gray = ["classifier.gray=category"] if kind == "emoone" else []
        cfg = on_meld(kind, meld, *gray)
        corpus = load(cfg.benchmark)
        large = large or roberta_large(texts_of(corpus.split("train")))
        # On "meta" nothing has memory or is computed.
        with torch.device(device):
            classifier = checkpoint.build(cfg.classifier, large, corpus.labels)
        result[kind] = epoch(cfg, corpus, classifier, device, batch_tokens, compiled)
        if device.type == "cuda":
            flops = result[kind]["training"]["tflops"]
            result[kind]["share_of_peak"] = round(flops / result["peak_tflops"], 3)
        print(f"{kind}: {result[kind]}", flush=True)
        del classifier
    return result


def epoch(
    cfg: TrainConfig,
    corpus: Corpus,
    classifier: ErcClassifier,
    device: torch.device,
    batch_tokens: int,
    compiled: bool,
) -> dict[str, Any]:
    """An epoch of training and an evaluation: their work, and on a GPU their time."""
    settings = settings_of(cfg, epochs=2, batch_tokens=batch_tokens)
    # Twice the tokens of a step fit, so that none is split.
    trainer = TrainerConfig(device.type, "bf16-mixed", 2 * batch_tokens, WORKERS)
    gray = None
    if isinstance(cfg.classifier, EmoOneConfig):
        gray = gray_labels(cfg.classifier, corpus.labels, cfg.benchmark.sentiments, corpus.split("train"), ())
    split = DialogueSplit(classifier, corpus.split("train"), Size(batch_tokens), trainer, device, None, gray)
    tests = DialogueSplit(classifier, corpus.split("test"), Size(PREDICTED_TOKENS), trainer, device, None)
    batches = split.loader(seed=0)
    training = work(classifier, batches, times=3)
    result = {"training": training, "evaluation": work(classifier, tests.loader(None), times=1)}
    training["steps"] = len(batches)
    if device.type == "meta":
        return result
    torch.cuda.reset_peak_memory_stats()
    clock = Clock(device)
    if compiled:
        classifier.module.compile(dynamic=True)
    train(classifier, batches, Lengths(len(batches), split.targets), settings, clock, "bf16-mixed")
    training |= speed(training, clock, 1)
    training["peak_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    clock = Clock(device)
    for _ in range(2):
        with clock:
            predict(classifier, corpus.split("test"), trainer)
    result["evaluation"] |= speed(result["evaluation"], clock, 1)
    return result


def speed(work: dict[str, Any], clock: Clock, which: int) -> dict[str, Any]:
    """Of what took the ``which``-th time of a clock."""
    seconds = clock.seconds[which]
    return {
        "seconds": round(seconds, 2),
        "examples_per_s": round(work["examples"] / seconds, 1),
        "tokens_per_s": round(work["tokens"] / seconds),
        "tflops": round(work["tflop"] / seconds, 1),
    }


def work(classifier: ErcClassifier, steps: Iterable[OptimizerStep], times: int) -> dict[str, Any]:
    """What an epoch of batches asks of the encoders; ``times`` the FLOP of a forward pass."""
    shape = classifier.pretrained.config
    layers = shape.num_hidden_layers
    examples = tokens = padded = attended = 0
    flop = 0.0
    for batch in (batch for step in steps for batch in step.batches):
        examples += len(batch.labels)
        for sequences, through in read_by(batch, layers):
            flop += times * forward_flop(shape, sequences, len(through), last=layers - 1 in through)
            tokens += len(sequences.ids) if 0 in through else 0
            padded += sequences.padding
            attended += sequences.padding + len(sequences.ids)
    return {
        "examples": examples,
        "tokens": tokens,
        "tflop": round(flop / 1e12, 1),
        "padding": 0.0,  # of token-wise layers, which run on packed tokens
        "attention_padding": round(padded / attended, 4),
    }


def read_by(batch: Batch, layers: int) -> list[tuple[Sequences, range]]:
    """What encoders read of a batch, and through which of their layers."""
    found = []
    for value in vars(batch).values():
        if isinstance(value, Sequences):
            found.append((value, range(layers)))
        elif isinstance(value, Topical):  # the upper layers read a topic token more
            found += [(value.tokens, range(layers // 2)), (value.longer, range(layers // 2, layers))]
    return found


def forward_flop(shape: Any, sequences: Sequences, layers: int, last: bool) -> float:
    """FLOP of a forward pass through layers of BERT's kind, by the formula above."""
    width, wide = shape.hidden_size, shape.intermediate_size
    lengths = sequences.lengths.double()
    tokens, squares = float(lengths.sum()), float(lengths.square().sum())
    whole = layers - last
    flop = whole * (2 * tokens * (4 * width**2 + 2 * width * wide) + 4 * width * squares)
    if last:
        flop += 2 * tokens * 2 * width**2 + 2 * len(lengths) * (2 * width**2 + 2 * width * wide) + 4 * width * tokens
    return flop


def matrix_product(device: torch.device) -> float:
    """FLOP/s of a large product in bfloat16, the best of five times ten."""
    one, other = (torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16) for _ in range(2))
    clock = Clock(device)
    for _ in range(6):
        with clock:
            for _ in range(10):
                one @ other
    return 10 * 2 * SIDE**3 / min(clock.seconds[1:])
