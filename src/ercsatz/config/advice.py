"""The command that a message advises, as the user would have to type it here."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from ercsatz.config.registry import installed_folders
from ercsatz.resources import resource

_KEPT = ("paths.", "benchmark.")  # which every command on the same data has to be given again


def advised(command: str, *arguments: str, keep: Sequence[str] = ()) -> str:
    """``python COMMAND.py`` with the arguments, and with what this run was given that the other would lack.

    That is the user's own config folder, and the changes below ``paths`` and ``benchmark``.

    Args:
        command: ``generate``, ``knowledge``, ...
        arguments: what it is to be called with; they come before changes of the same key.
        keep: beginnings of further keys whose changes count.

    Example:
        >>> advised("generate", "data=meld_bal")
        'python generate.py data=meld_bal'
    """
    folders = _folders("command-line")
    own = ["--config-dir", _shown(folders[0])] if folders else []
    given = {argument.partition("=")[0] for argument in arguments}
    kept = [
        change
        for change in _changes()
        if _key(change).startswith((*_KEPT, *keep, "hydra.searchpath")) and _key(change) not in given
    ]
    return shlex.join(["python", f"{command}.py", *arguments, *kept, *own])  # Hydra wants all changes in one piece


def advised_fetch(benchmark: str, target: str) -> str:
    """``ercsatz fetch`` of a benchmark into a folder, with the user's own config folders."""
    own = [word for folder in _folders() for word in ("--config-dir", _shown(folder))]
    return shlex.join(["ercsatz", "fetch", benchmark, *own, "--to", target])


def _folders(provider: str | None = None) -> list[Path]:
    """The config folders of this run that are the user's own."""
    if not HydraConfig.initialized():
        return []
    sources = HydraConfig.get().runtime.config_sources
    chosen = [Path(s.path) for s in sources if s.schema == "file" and provider in (None, s.provider)]
    return [folder for folder in chosen if folder != resource("conf") and folder not in installed_folders()]


def _changes() -> list[str]:
    """The changes that this job was given; the folders that Hydra is to look through, too."""
    if not HydraConfig.initialized():
        return []
    overrides = HydraConfig.get().overrides
    searched = [change for change in overrides.hydra if _key(change) == "hydra.searchpath"]
    return [*searched, *overrides.task]


def _key(change: str) -> str:
    return change.lstrip("+~").partition("=")[0]


def _shown(folder: Path) -> str:
    """Relative, where the user is above it."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
