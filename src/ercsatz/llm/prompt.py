"""The prompt of a request, from the templates in ``prompts/``."""

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.meta import find_referenced_templates

from ercsatz.errors import UserError
from ercsatz.llm.sandbox import Renderer, RenderError, environment, inside
from ercsatz.resources import resource

SENTENCES = ("task", "labels", "structure")


class Templates:
    """The templates of one folder, which may include and extend those of others: ``natural/task.j2``.

    Those of others can do no harm: they reach no Python and no file elsewhere, and run in bounded time and memory.

    Args:
        name: of the folder, for a mode that of its templates.
        places: where this folder and others are looked for, in this order; the shipped ``prompts`` unless given.

    Attributes:
        folder: the first of the places.

    Raises:
        UserError: a link in the folder leads out of it.
    """

    def __init__(self, name: str, *places: Path) -> None:
        self._places = places or (resource("prompts"),)
        self.folder, self._name = self._places[0], name
        self._environment = environment(self._places)
        self._renderer = None if self._places == (resource("prompts"),) else Renderer(self._places)
        for file in sorted((self.folder / name).rglob("*")):
            if not inside(file, self.folder):
                raise UserError(f"{file}: a link that leads out of the folder of prompts. Put a copy in its place.")

    def prompt(self, **variables: Any) -> str:
        """The prompt for a dialogue: the three sentences, joined by spaces.

        Raises:
            UserError: a template is missing, damaged, or uses an unknown variable.
        """
        return " ".join(self.sentence(name, **variables) for name in SENTENCES)

    def sentence(self, name: str, **variables: Any) -> str:
        """One template.

        Raises:
            UserError: it is missing, damaged, or uses an unknown variable.
        """
        file = f"{self._name}/{name}.j2"
        try:
            if self._renderer is not None:
                return self._renderer.render(file, variables).strip()
            return self._environment.get_template(file).render(**variables).strip()
        except RenderError as error:
            raise UserError(f"{self.folder / file}: {error}") from None
        except Exception as error:  # of a shipped one
            raise UserError(f"{self.folder / file}: {type(error).__name__}: {error}") from error

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of all templates in the folder, and in every folder that they use a template of.

        Raises:
            UserError: one is damaged.
        """
        digest = hashlib.sha256()
        for name, file in sorted(self._files().items()):
            digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    @property
    def shipped(self) -> bool:
        """Whether they are those that ercsatz ships, word for word."""
        return self.sha256 == Templates(self._name).sha256

    def _files(self) -> dict[str, Path]:
        """By name, each where it is found first."""
        files: dict[str, Path] = {}
        folders = [self._name]
        for folder in folders:  # which becomes longer
            places = [place / folder for place in reversed(self._places)]
            found = {f"{folder}/{file.name}": file for place in places for file in place.glob("*.j2")}
            used = {name.rpartition("/")[0] for file in found.values() for name in self._used(file)}
            folders += sorted(used - {*folders})
            files |= found
        return files

    def _used(self, file: Path) -> list[str]:
        """The templates that one includes, imports or extends by a name that is written in it."""
        try:
            parsed = self._environment.parse(file.read_text(encoding="utf-8"))
        except (TemplateError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"{file}: {type(error).__name__}: {error}") from error
        return [name for name in find_referenced_templates(parsed) if name is not None]
