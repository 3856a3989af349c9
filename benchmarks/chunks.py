"""What a training step of CoMPM costs on a GPU by how its encoder is called.

    python benchmarks/chunks.py --meld FOLDER --checkpoint FOLDER

``FOLDER`` is MELD's and an encoder's, as for ``train.py``. Forward, backward and AdamW in bfloat16, the mean of 44
steps after 6 others; only the ratios mean anything.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ercsatz.benchmarks import load
from ercsatz.classifiers import encoder
from ercsatz.classifiers.batching import Segment, TokenBudgetSampler, segments, tokenise
from ercsatz.classifiers.checkpoint import build
from ercsatz.classifiers.encoder import open_backbone
from ercsatz.config import Backbone, Pooling, register
from ercsatz.resources import resource

WARM_UP, MEASURED = 6, 44


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meld", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    given = parser.parse_args()
    register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        cfg = compose("train", ["data=meld_org", f"benchmark.path={given.meld}", "classifier.max_tokens=96"])
    OmegaConf.resolve(cfg.benchmark)
    benchmark = OmegaConf.to_object(cfg.benchmark)
    pretrained = open_backbone(Backbone("local", str(given.checkpoint), Pooling.first, 1e-4, None), [])
    module = build(OmegaConf.to_object(cfg.classifier), pretrained, list(benchmark.labels)).module.cuda().train()
    tokens = tokenise(load(benchmark).split("train"), list(benchmark.labels), pretrained.tokenizer)
    cut = segments(tokens, module.max_tokens, cfg.training.batch_tokens)
    order = list(TokenBudgetSampler([segment.cost for segment in cut], cfg.training.batch_tokens, 0))
    batches = [[cut[index] for index in batch] for batch in order[: WARM_UP + MEASURED]]
    for cudnn, worth in ((True, 0), (False, 0), (False, 4096), (False, 16384)):
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        encoder.GPU_CALL = worth
        steps(module, batches[:WARM_UP])
        milliseconds, calls = steps(module, batches[WARM_UP:])
        attention = "cuDNN's" if cudnn else "PyTorch's"
        print(f"{attention} attention, padding worth {worth}: {milliseconds:.1f} ms a step, {calls:.1f} calls")


def steps(module: torch.nn.Module, batches: Sequence[Sequence[Segment]]) -> tuple[float, float]:
    """Milliseconds and calls of the encoders a step."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)
    torch.cuda.synchronize()
    began, calls = time.perf_counter(), 0
    for batch in batches:
        made = module.collate(batch)
        calls += len(made.contexts.ids) + (len(made.memories.ids) if made.memories else 0)
        made = made.to(torch.device("cuda"))
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(module(made), made.labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - began) / len(batches), calls / len(batches)


if __name__ == "__main__":
    main()
