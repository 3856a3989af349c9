"""How a stage is optimised: its learning rate over the steps, and over the layers of its encoders."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from ercsatz.classifiers.encoder.pretrained import Encoder
from ercsatz.config import Schedule
from ercsatz.errors import UserError


@dataclass(frozen=True)
class Optimisation:
    """How a stage is optimised; see ``config.TrainingConfig``."""

    epochs: int
    lr: float
    warmup: float
    schedule: Schedule
    weight_decay: float
    clip: float
    batch_tokens: int
    batch_targets: int | None = None
    layer_decay: float = 1.0
    patience: int | None = None


@dataclass(frozen=True)
class Lengths:
    """What an epoch is long: in optimiser steps, and in targets."""

    steps: int
    targets: int

    def factor(self, settings: Optimisation) -> Callable[[int], float]:
        """What the learning rate is multiplied with at a step, from 0: a linear warm-up to 1, then the schedule.

        With r the share of the steps after the warm-up that is left, ``linear`` is r, ``cosine`` (1 - cos(pi r)) / 2
        (Loshchilov and Hutter 2017, without restarts), ``constant`` 1.

        ``examples`` is linear in the released codes' arithmetic: it counts a step as if it were one example, so with
        more than one example a step the rate does not get beyond its warm-up.
        """
        by_steps = settings.schedule != Schedule.examples
        total = settings.epochs * (self.steps if by_steps else self.targets)
        warmup = max(1, round(settings.warmup * total))
        decay = max(1, total - warmup)
        ahead = 1 if by_steps else 0
        after = _AFTER_WARMUP[settings.schedule]

        def factor(step: int) -> float:
            left = min(1.0, max(0.0, (total - step) / decay))
            return min((step + ahead) / warmup, after(left))

        return factor


_AFTER_WARMUP: dict[Schedule, Callable[[float], float]] = {
    Schedule.linear: lambda left: left,
    Schedule.cosine: lambda left: (1 - math.cos(math.pi * left)) / 2,
    Schedule.constant: lambda left: 1.0,
    Schedule.examples: lambda left: left,
}


def parameter_groups(module: nn.Module, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """The trained parameters in groups of one learning rate each, for an optimiser.

    Of an encoder of L layers, layer l from 1 has ``lr * layer_decay ** (L + 1 - l)``, and what is below the first one
    counts as l = 0; all else, such as the head, has ``lr``. So in discriminative fine-tuning (Howard and Ruder, ACL
    2018, section 3.1) and, with these exponents, in BEiT (Bao et al., ICLR 2022); a classifier with two encoders has
    it in both. With ``layer_decay=1`` there is one group, without a rate of its own.

    Args:
        module: a classifier.
        lr: the highest rate.
        layer_decay: from above 0 to 1.

    Raises:
        UserError: it has no encoder, or one whose layers cannot be told apart.
    """
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if layer_decay == 1:
        return [{"params": [*trained.values()]}]
    powers = {id(parameter): power for parameter, power in _powers(module)}
    if not powers:
        raise UserError(
            f"training.layer_decay={layer_decay:g}: {type(module).__name__} has no encoder of ours with layers to "
            "decay over. Take training.layer_decay=1."
        )
    groups: dict[int, list[nn.Parameter]] = {}
    for parameter in trained.values():
        groups.setdefault(powers.get(id(parameter), 0), []).append(parameter)
    return [
        {"params": groups[power], "lr": lr * layer_decay**power, "name": f"layer_decay^{power}"}
        for power in sorted(groups)
    ]


def _powers(module: nn.Module) -> Iterator[tuple[nn.Parameter, int]]:
    """The parameters of the encoders in a module, each with the power of ``layer_decay`` that it has."""
    for encoder in module.modules():
        if isinstance(encoder, Encoder):
            yield from _powers_of(encoder.model)


def _powers_of(model: Any) -> Iterator[tuple[nn.Parameter, int]]:
    n = model.config.num_hidden_layers
    stacks = [name for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part) == n]
    if not stacks:
        raise UserError(
            f"training.layer_decay: the {n} layers of {model.config.model_type} cannot be told apart, as "
            "where they share weights. Take training.layer_decay=1 or another backbone."
        )
    below = n + 1
    for name, parameter in model.named_parameters():
        if name.startswith(f"{stacks[0]}."):
            layer = int(name.removeprefix(f"{stacks[0]}.").partition(".")[0])
            below = 1  # what comes after the layers is the last one's, as a norm
            yield parameter, n - layer
        elif "embeddings" in name:
            yield parameter, n + 1
        else:
            yield parameter, below
