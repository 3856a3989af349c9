"""Synthetic dialogues for emotion recognition in conversation: write them, train on them, test whether they helped.

To use a trained classifier::

    from ercsatz import load_classifier

    load_classifier("cache/stages/KEY").predict([[("Ann", "hello"), ("Bo", "go away")]])
"""

import os
from typing import TYPE_CHECKING, Any

# transformers 5 looks when it is imported: with the package kernels it would download some, which are code.
os.environ.setdefault("USE_HUB_KERNELS", "NO")

if TYPE_CHECKING:
    from ercsatz.prediction.saved_classifier import Prediction, SavedClassifier, load_classifier

__all__ = ["Prediction", "SavedClassifier", "load_classifier"]


def __getattr__(name: str) -> Any:
    """Import what is public here when it is first asked for: the commands import this package before ``--help``."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("ercsatz.prediction.saved_classifier"), name)
