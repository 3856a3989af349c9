"""The prompt of a request, from the templates in ``prompts/``."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ercsatz.resources import resource

SENTENCES = ("task", "labels", "structure")


def renderer(mode: str, folder: Path | None = None) -> Callable[..., str]:
    """A function from template variables to the prompt of that mode: its three sentences, joined by spaces.

    Args:
        mode: a folder of ``prompts/``.
        folder: holds the modes; the shipped ``prompts`` when left out.
    """
    loader = FileSystemLoader(folder or resource("prompts"))
    environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=False)
    templates = [environment.get_template(f"{mode}/{sentence}.j2") for sentence in SENTENCES]

    def render(**variables: Any) -> str:
        return " ".join(template.render(**variables).strip() for template in templates)

    return render


def templates_sha256(mode: str, folder: Path | None = None) -> str:
    """SHA-256 (hex) of all that the prompts of a mode are rendered from, those of the natural mode included."""
    root, digest = folder or resource("prompts"), hashlib.sha256()
    for part in sorted({"natural", mode}):
        for sentence in SENTENCES:
            digest.update((root / part / f"{sentence}.j2").read_bytes() + b"\0")
    return digest.hexdigest()
