"""Commonsense about utterances for TODKAT: what the speaker wants, how the speaker feels, how the listener feels.

It lies beside the dialogues, in a sidecar that ``knowledge.py`` writes (docs/knowledge.md). To use one::

    sidecar = find(Path("data"), "meld_org")
    splits = splits if sidecar is None else attach(splits, sidecar)

``ask`` and ``run`` belong to the command.
"""

from ercsatz.knowledge.relations import RELATIONS, Found, Inference, found_statements, statements
from ercsatz.knowledge.sidecar import Sidecar, attach, find
from ercsatz.knowledge.texts import text_hash

__all__ = [
    "RELATIONS",
    "Found",
    "Inference",
    "Sidecar",
    "attach",
    "find",
    "found_statements",
    "statements",
    "text_hash",
]
