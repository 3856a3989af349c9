"""What is called otherwise elsewhere, or was in earlier versions: whoever types it is told our name for it."""

import re
from collections.abc import Mapping, Sequence

from ercsatz.config import registry
from ercsatz.errors import UserError

_ACCUMULATED = (
    "an optimiser step has training.batch_tokens tokens (or training.batch_targets targets), and what of it does not "
    "fit trainer.memory_tokens is accumulated by itself. For larger steps raise training.batch_tokens"
)
_STOPPED = "training.patience=N ends a stage after N epochs without a better one"

# By the last part of a key of ``training`` or ``trainer``, or one without a dot.
_KEYS: Mapping[str, str] = {
    "accumulate_grad_batches": _ACCUMULATED,
    "gradient_accumulation_steps": _ACCUMULATED,
    "accumulate": _ACCUMULATED,
    "batch_size": "training.batch_tokens counts tokens, training.batch_targets utterances",
    "early_stopping": _STOPPED,
    "early_stopping_patience": _STOPPED,
    "gradient_clip_val": "training.clip",
    "max_grad_norm": "training.clip",
    "learning_rate": "training.lr",
    "lr_scheduler": "training.schedule",
    "lr_scheduler_type": "training.schedule",
    "layerwise_lr_decay": "training.layer_decay",
    "llrd": "training.layer_decay",
    "max_epochs": "training.epochs",
    "num_train_epochs": "training.epochs",
    "num_workers": "trainer.workers",
    "warmup_ratio": "training.warmup",
    "warmup_steps": "training.warmup, a share of the steps",
}
_VALUES: Mapping[tuple[str, str], str] = {
    ("training.schedule", "steps"): "training.schedule=linear",
    ("callbacks", "early_stopping"): _STOPPED,
}


def refuse_foreign(arguments: Sequence[str]) -> None:
    """Refuse keys and values of ``train.py`` that have another name here.

    Raises:
        UserError: says which.
    """
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        group, _, name = key.rpartition(".")
        if value and group in ("", "training", "trainer") and name in _KEYS:
            raise UserError(f"{argument}: there is no such key. Here: {_KEYS[name]}.")
        for word in re.split(r"[\[\],]", value):
            if (key, word) in _VALUES and word not in registry.choices(key):
                raise UserError(f"{argument}: there is no {word}. Here: {_VALUES[key, word]}.")
