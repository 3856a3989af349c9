"""Modes: how a synthetic variant is written, a YAML each in the config group ``mode``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from ercsatz.config import registry
from ercsatz.errors import UserError
from ercsatz.resources import resource

ORG = "org"
"""The variant that is the benchmark itself."""

_IN_TABLES = (ORG, "nat", "bal", "per")  # the order of the paper's tables; other variants follow


@dataclass
class ModeConfig:
    """How a synthetic variant is written.

    Attributes:
        name: the YAML's own name.
        short: names the variant: ``data=BENCHMARK_SHORT``.
        prompts: folder of the templates: absolute, or relative to the config folder of the YAML, or a shipped one.
        targets: emotions that prompts ask for in turn: all labels, a list of some, or null for none.
        personas: whether every speaker has one, from the folder inventory beside the templates.
    """

    name: str = MISSING
    short: str = MISSING
    prompts: str = "prompts/${.name}"
    targets: Any = None
    personas: bool = False


def modes(folders: Iterable[Path] | None = None) -> dict[str, str]:
    """The names of the modes by their variants' short names, in the order of tables.

    Args:
        folders: config folders; all that are looked through unless given.

    Raises:
        UserError: a YAML is wrong, or two have the same short name.
    """
    files = registry.choices("mode", folders)
    shorts: dict[str, Path] = {}
    for name, file in files.items():
        short = _short(name, file)
        if short in shorts:
            raise UserError(f"{file}: short: {short} is that of {shorts[short]} too. Give one of them another.")
        shorts[short] = file
    return {short: shorts[short].stem for short in sorted(shorts, key=variant_order)}


def variants() -> list[str]:
    """The variants of every benchmark, in the order of tables: itself, and one of each mode.

    Raises:
        UserError: a mode's YAML is wrong.
    """
    return [ORG, *modes()]


def variant_order(variant: str | None) -> tuple[int, str]:
    """Sorts variants as in tables: the shipped ones, others by name, ``None`` last."""
    if variant is None:
        return len(_IN_TABLES) + 1, ""
    return (_IN_TABLES.index(variant), "") if variant in _IN_TABLES else (len(_IN_TABLES), variant)


def synthetic_data(benchmark: str) -> str:
    """The choices of a benchmark's synthetic data, for messages: ``data=mini_nat, data=mini_bal or data=mini_per``."""
    *others, last = (f"data={benchmark}_{short}" for short in modes())
    return f"{', '.join(others)} or {last}" if others else last


def prompts_folder(mode: ModeConfig) -> Path:
    """The folder of a mode's templates.

    Raises:
        UserError: there is none.
    """
    file = registry.choices("mode").get(mode.name)
    given = Path(mode.prompts).expanduser()
    bases = [*([file.parents[1]] if file else []), resource("prompts").parent]
    places = [base / given for base in bases]  # all the same where it is absolute
    for place in places:
        if place.is_dir():
            return place
    raise UserError(
        f"mode.prompts={mode.prompts}: there is no folder {places[0]}. Make it, with the templates task.j2, labels.j2 "
        f"and structure.j2, or name another in {file or 'the YAML of the mode'}."
    )


def _short(name: str, file: Path) -> str:
    """The short name that a YAML gives; the YAML is known to be right after that."""
    options = {key: value for key, value in registry.read(file).items() if key != "defaults"}
    registry.merge(ModeConfig, options, f"{file}: mode")
    given, short = (str(options.get(key) or "") for key in ("name", "short"))
    if given != name:
        raise UserError(f"{file}: name: {given or 'null'} must be the file's own. Write name: {name}")
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9-]*", short) or short == ORG:
        raise UserError(
            f"{file}: short: {short or 'null'} must be letters, digits and dashes, without an underscore, and not "
            f"{ORG}, which is the benchmark itself. It names the variant, as in data=meld_{name.replace('_', '-')}."
        )
    return short
