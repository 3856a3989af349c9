"""Sampling with a seed for every row of a batch, as logits processors of transformers.

Whatever else is in a batch, a row draws noise from its own seed and takes the best token under it, which is a sample
(the Gumbel-max trick). The noise is a hash of seed, step and token: no loop over rows, and the same on a CPU and a GPU.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # 64-bit constants of splitmix64, as torch's signed numbers
_MIX = ((30, 0xBF58476D1CE4E5B9 - (1 << 64)), (27, 0x94D049BB133111EB - (1 << 64)))


def uniforms(seeds: Tensor, step: int, n: int) -> Tensor:
    """Random numbers that depend on seed, step and column alone.

    Args:
        seeds: (rows,) int64.
        step: 0 or more.
        n: columns.

    Returns:
        (rows, n) float32 in (0, 1), with full relative precision near 0. Each is a hash by splitmix64 (Steele, Lea and
        Flood, 2014), where a row's seed and step choose the point at which its sequence starts.
    """
    jump = ((step + 1) * _GOLDEN + (1 << 63)) % (1 << 64) - (1 << 63)
    start = _mix(_mix(seeds + _GOLDEN).add_(jump))
    columns = torch.arange(1, n + 1, device=seeds.device).mul_(_GOLDEN)
    bits = _shifted(_mix(start[:, None] + columns), 1)
    return bits.float().add_(0.5).mul_(2.0**-63).clamp_(max=1 - 2.0**-24)


def gumbel(seeds: Tensor, step: int, n: int) -> Tensor:
    """Standard Gumbel noise that depends on seed, step and column alone; see ``uniforms``."""
    return uniforms(seeds, step, n).neg_().log1p_().neg_().log_().neg_()


def _mix(bits: Tensor) -> Tensor:
    for shift, factor in _MIX:
        bits.bitwise_xor_(_shifted(bits, shift)).mul_(factor)
    return bits.bitwise_xor_(_shifted(bits, 31))


def _shifted(bits: Tensor, shift: int) -> Tensor:
    """To the right, filled with zeros; torch's own shift copies the sign."""
    return (bits >> shift).bitwise_and_((1 << (64 - shift)) - 1)


class Noise(LogitsProcessor):
    """Adds Gumbel noise, so that the best token is a sample.

    Args:
        seeds: (rows,) int64, of each row.
        width: of the prompts in tokens, with padding.

    Attributes:
        unsound: whether the model gave something that is no number.
    """

    def __init__(self, seeds: Tensor, width: int) -> None:
        self._seeds, self._width = seeds, width
        self.unsound = torch.zeros((), dtype=torch.bool, device=seeds.device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, vocabulary) scores, with noise."""
        self.unsound |= scores.isnan().any()
        return gumbel(self._seeds, input_ids.shape[1] - self._width, scores.shape[1]).add_(scores)


class Penalty(LogitsProcessor):
    """Repetition penalty that takes no notice of padding, which would penalise a token only beside longer prompts.

    Args:
        penalty: above 0; 1 does nothing.
        padding: (rows,) how many tokens of each row are padding, on the left.
    """

    def __init__(self, penalty: float, padding: Tensor) -> None:
        self._penalise, self._padding = RepetitionPenaltyLogitsProcessor(penalty), padding[:, None]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, vocabulary) scores, penalised."""
        hidden = torch.arange(input_ids.shape[1], device=input_ids.device) < self._padding
        seen = torch.where(hidden, input_ids.gather(1, self._padding), input_ids)
        penalised: Tensor = self._penalise(seen, scores)
        return penalised


def warpers(sampling: Mapping[str, float | int], padding: Tensor) -> list[LogitsProcessor]:
    """What makes the distribution that is sampled from, in transformers' own order."""
    make: dict[str, Callable[[float], LogitsProcessor]] = {
        "repetition_penalty": lambda value: Penalty(float(value), padding),
        "temperature": lambda value: TemperatureLogitsWarper(float(value)),
        "top_k": lambda value: TopKLogitsWarper(int(value)),
        "top_p": lambda value: TopPLogitsWarper(float(value)),
        "typical_p": lambda value: TypicalLogitsWarper(float(value)),
    }
    return [make[name](sampling[name]) for name in make if name in sampling]


class Stopped(StoppingCriteria):
    """Ends all rows once the event is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """(rows,) whether each row is to end."""
        return torch.full((len(input_ids),), self._stop.is_set(), device=input_ids.device)
