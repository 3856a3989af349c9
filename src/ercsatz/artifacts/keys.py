"""What tells one content from another."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def content_key(description: Mapping[str, Any]) -> str:
    """16 hex digits that name what a description (JSON values) determines."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted keys.

    Example:
        >>> dict(flat({"training": {"lr": 0.1}, "seed": 0}))
        {'training.lr': 0.1, 'seed': 0}
    """
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def checkpoint_identity(checkpoint: str | None) -> str | None:
    """What tells one set of weights from another: the content's SHA-256 for a folder, else the hub name."""
    if checkpoint is None or not Path(checkpoint).is_dir():
        return checkpoint
    digest = hashlib.sha256()
    for file in sorted(Path(checkpoint).glob("*")):
        if file.suffix in {".json", ".safetensors", ".txt", ".model"} and file.name not in _ABOUT:
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


_ABOUT = {"stage.json", "manifest.json"}  # how and when the weights came about
