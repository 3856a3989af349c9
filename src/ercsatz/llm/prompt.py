"""The prompt of a request, from the templates in ``prompts/``."""

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ercsatz.errors import UserError
from ercsatz.resources import resource

SENTENCES = ("task", "labels", "structure")


class Templates:
    """The templates of one mode.

    Attributes:
        folder: holds the modes; the shipped ``prompts`` unless the user has named another.
    """

    def __init__(self, mode: str, folder: Path | None = None) -> None:
        self.folder = folder or resource("prompts")
        self._mode = mode
        loader = FileSystemLoader(self.folder)
        self._environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=False)

    def prompt(self, **variables: Any) -> str:
        """The prompt for a dialogue: the three sentences, joined by spaces.

        Raises:
            UserError: a template is missing, damaged, or uses an unknown variable.
        """
        return " ".join(self.sentence(name, **variables) for name in SENTENCES)

    def sentence(self, name: str, **variables: Any) -> str:
        """One template of the mode.

        Raises:
            UserError: it is missing, damaged, or uses an unknown variable.
        """
        file = f"{self._mode}/{name}.j2"
        try:
            return self._environment.get_template(file).render(**variables).strip()
        except Exception as error:  # a template can do what it likes
            raise UserError(f"{self.folder / file}: {type(error).__name__}: {error}") from error

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of all templates from which the mode's prompts are rendered, those of ``natural`` included."""
        digest = hashlib.sha256()
        for part in sorted({"natural", self._mode}):
            for file in sorted((self.folder / part).glob("*.j2")):
                digest.update(f"{part}/{file.name}".encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()
