"""What CoMPM's batching is worth: an epoch as the released code runs it, against ours, in one process.

    python benchmarks/batching.py [--dialogues 20] [--output FILE.json]

The slow way does one optimiser step a target, encodes the whole prefix and every earlier turn of the speaker each time.
Both train the same tiny encoder on the same dialogues of ``mini``; only the ratio means anything.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ercsatz.classifiers.batching import Segment, TokenBudgetSampler, segments, tokenise
from ercsatz.classifiers.checkpoint import build
from ercsatz.classifiers.encoder import open_backbone
from ercsatz.config import Backbone, CoMPM, Pooling, TinySize
from ercsatz.dialogue import atomic_write, read_jsonl
from ercsatz.resources import resource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dialogues", type=int, default=20)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    dialogues = read_jsonl(resource("benchmarks") / "mini" / "train.jsonl")[: arguments.dialogues]
    labels = sorted({turn.emotion for dialogue in dialogues for turn in dialogue.utterances if turn.emotion})
    backbone = Backbone("tiny", None, Pooling.first, 1e-3, TinySize(64, 2, 4, 2000))
    pretrained = open_backbone(backbone, [turn.text for dialogue in dialogues for turn in dialogue.utterances])
    tokens = tokenise(dialogues, labels, pretrained.tokenizer)
    all_segments = segments(tokens, 512, 4096)
    ways = {
        "one target a step": [[Segment(s.dialogue, s.tokens, (t,), 1)] for s in all_segments for t in s.targets],
        "token budget": [[all_segments[i] for i in batch] for batch in _sampler(all_segments)],
    }
    result = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    result["dialogues"] = len(dialogues)
    for name, batches in ways.items():
        torch.manual_seed(0)
        module = build(CoMPM("compm", 512, 2, 0.3), pretrained, labels).module
        result[name] = _epoch(module, batches)
        print(f"{name}: {result[name]}")
    slow, fast = (result[name]["seconds"] for name in ways)
    result["ratio"] = round(slow / fast, 1)
    print(f"ratio: {result['ratio']}")
    if arguments.output:
        with atomic_write(arguments.output) as file:
            json.dump(result, file, indent=2)


def _sampler(all_segments: Sequence[Segment]) -> Iterator[list[int]]:
    return iter(TokenBudgetSampler([segment.cost for segment in all_segments], 4096, seed=0))


def _epoch(module: torch.nn.Module, batches: Sequence[Sequence[Segment]]) -> dict[str, float]:
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    encoded = padded = 0
    started = time.perf_counter()
    for chosen in batches:
        batch = module.collate(chosen)
        loss = torch.nn.functional.cross_entropy(module(batch), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for sequences in (batch.contexts, batch.memories):
            for mask in sequences.masks if sequences else ():
                encoded += int(mask.sum())
                padded += mask.numel()
    seconds = round(time.perf_counter() - started, 2)
    return {"seconds": seconds, "steps": len(batches), "tokens": encoded, "with_padding": padded}


if __name__ == "__main__":
    main()
