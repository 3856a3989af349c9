"""What batching is worth to ``generator=transformers``, and whether answers depend on the batch.

    python benchmarks/generators.py [--size tiny|1b|7b] [--bandwidth TB/s] [--output FILE.json]

A Llama with random weights is built on the spot: ``tiny`` (for a CPU), ``1b`` (TinyLlama's shape) or ``7b`` (Llama
2's); in bfloat16 on a GPU, else in float32. Prompts have 200 tokens, answers 256, sampling is Table II. With
``--bandwidth``, the memory bandwidth of the machine, speeds are also given as shares of what it allows when each step
reads all weights once. Last, the same requests are answered alone and in one batch, in both precisions. Random weights
give nearly flat distributions, where rounding changes far more tokens than with a trained model.
"""

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as library
from tokenizers import Tokenizer, models, pre_tokenizers

from ercsatz.config import PromptStyle
from ercsatz.data.text_files import atomic_write
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.interface import Answer, Request
from ercsatz.generators.transformers_model import Model, dtype_name
from ercsatz.generators.transformers_server import LocalServer

hf: Any = library  # not all of it is typed

PROMPT, NEW = 200, 256  # tokens
BATCHES = (1, 8, 32, 128)
COMPARED, COMPARED_NEW = 16, 64  # requests that are answered alone and together, and tokens of each
TABLE_2 = {"temperature": 0.7, "top_k": 10000, "typical_p": 0.995}


@dataclass(frozen=True)
class Shape:
    """Of a Llama."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int


SHAPES = {
    "tiny": Shape(1000, 64, 128, 2, 4, 4),
    "1b": Shape(32000, 2048, 5632, 22, 32, 4),
    "7b": Shape(32000, 4096, 11008, 32, 32, 32),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="tiny")
    parser.add_argument("--bandwidth", type=float, metavar="TB/S")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    network = _network(SHAPES[arguments.size])
    model = Model(arguments.size, network, _tokenizer(network.config.vocab_size), ChatTemplate.raw)
    result: dict[str, Any] = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": library.__version__,
        "model": {"size": arguments.size, **model.details},
        "prompt_tokens": PROMPT,
        "new_tokens": NEW,
    }
    result["batches"] = _speeds(model, _bytes_a_step(network), arguments.bandwidth)
    result["same_alone_as_in_a_batch"] = {}
    for dtype in (torch.bfloat16, torch.float32):
        network.to(dtype)
        same = result["same_alone_as_in_a_batch"][dtype_name(dtype)] = _same(model)
        print(f"{dtype_name(dtype)}: {same} alone as in a batch")
    if arguments.output:
        with atomic_write(arguments.output) as file:
            json.dump(result, file, indent=2)


def _network(shape: Shape) -> Any:
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    config = hf.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=4096,
        eos_token_id=None,  # so that all answers have the same length
    )
    torch.manual_seed(0)
    with torch.device(device):
        return hf.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


def _tokenizer(vocabulary: int) -> Any:
    """A word for each token, so that texts are equal where tokens are."""
    core = Tokenizer(models.WordLevel({f"w{i}": i for i in range(vocabulary)}, unk_token="w0"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return hf.PreTrainedTokenizerFast(tokenizer_object=core)


def _bytes_a_step(network: Any) -> int:
    """All weights but the input embeddings, of which a step reads a few rows."""
    embeddings = network.get_input_embeddings().weight.nbytes
    return int(sum(parameter.nbytes for parameter in network.parameters()) - embeddings)


def _speeds(model: Model, bytes_a_step: int, bandwidth: float | None) -> list[dict[str, float]]:
    _ask(model, _requests(1, 8), 1)
    speeds: list[dict[str, float]] = []
    for batch in BATCHES:
        _ask(model, _requests(batch, 2), batch)  # memory and kernels of this size
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        answers = _ask(model, _requests(batch, NEW), batch)
        seconds = time.perf_counter() - started
        tokens = sum(answer.new_tokens or 0 for answer in answers)
        speed = {"batch": batch, "seconds": round(seconds, 2), "tokens_a_second": round(tokens / seconds, 1)}
        speed["ratio"] = round(speed["tokens_a_second"] / (speeds or [speed])[0]["tokens_a_second"], 2)
        if bandwidth is not None:
            limit = batch * bandwidth * 1e12 / bytes_a_step
            speed["share_of_limit"] = round(tokens / seconds / limit, 3)
        if torch.cuda.is_available():
            speed["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        speeds.append(speed)
        print(speed)
    return speeds


def _same(model: Model) -> dict[str, int]:
    requests = _requests(COMPARED, COMPARED_NEW)
    pairs = list(zip(_ask(model, requests, 1), _ask(model, requests, COMPARED), strict=True))
    agreed = 0
    for alone, together in pairs:
        words = zip(alone.text.split(), together.text.split(), strict=True)
        agreed += next((place for place, (one, other) in enumerate(words) if one != other), COMPARED_NEW)
    return {
        "requests": len(pairs),
        "same_requests": sum(alone == together for alone, together in pairs),
        "tokens": COMPARED * COMPARED_NEW,
        "tokens_before_the_first_other_one": agreed,
    }


def _requests(n: int, new_tokens: int) -> list[Request]:
    """Prompts of ``PROMPT`` tokens, a few less in some, so that there is padding."""
    style = PromptStyle.cast
    prompts = [
        " ".join(f"w{(seed * 31 + place * 7) % 1000}" for place in range(PROMPT - seed % 5)) for seed in range(n)
    ]
    return [
        Request(seed, seed, prompt, "natural", style, ("A", "B"), ("joy",), None, 5, max_new_tokens=new_tokens)
        for seed, prompt in enumerate(prompts)
    ]


def _ask(model: Model, requests: Sequence[Request], batch_size: int) -> list[Answer]:
    async def run() -> list[Answer]:
        server = LocalServer(lambda: model, TABLE_2, batch_size)
        try:
            return await asyncio.gather(*map(server.answer, requests))
        finally:
            await server.close()

    return asyncio.run(run())


if __name__ == "__main__":
    main()
