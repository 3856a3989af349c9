"""Whether weights and vectors are numbers: a diverged training leaves NaN, and NaN looks like a first label."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ercsatz.errors import UserError


def not_finite(weights: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with a NaN or an infinity, or None; a GPU is waited for once."""
    named = list(weights)
    if not named:
        return None
    found = torch.stack([tensor.isfinite().all() for _, tensor in named]).tolist()
    return next((name for (name, _), finite in zip(named, found, strict=True) if not finite), None)


def check_weights(module: nn.Module, where: str, mend: str) -> None:
    """Refuse a module with weights that are no numbers. Buffers may be: a mask has infinities.

    Args:
        module: whose parameters are looked at.
        where: begins the message.
        mend: ends it.

    Raises:
        UserError: names the first such weight.
    """
    if (name := not_finite(module.named_parameters())) is not None:
        raise UserError(f"{where}: the weight {name} is not finite (NaN or infinite). {mend}")
