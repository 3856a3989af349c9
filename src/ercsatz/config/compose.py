"""From what Hydra composed to typed objects."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, InterpolationKeyError, OmegaConfBaseException

from ercsatz.config.command_line import refuse_blocked
from ercsatz.config.registry import open_folders
from ercsatz.errors import UserError


def to_object(cfg: DictConfig) -> Any:
    """The configuration as its dataclasses, its parts as objects of their own classes.

    Raises:
        UserError: a key has no value, or one that cannot be resolved or is of the wrong type; the message names it.
    """
    try:
        open_composed_folders()
        _check_folders(cfg)
        return OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise incomplete(error) from None


def incomplete(error: OmegaConfBaseException) -> UserError:
    """What is said of a key that has no value, or one that cannot be resolved."""
    text = str(error).splitlines()[0].rstrip(".")
    mended = f" Give it a value: {error.full_key}=VALUE." if error.full_key else ""
    if isinstance(error, (InterpolationKeyError, GrammarParseError)):
        mended += r" Where ${ is part of a name, write \${ in quotes: KEY='a\${b}'"
    return UserError(f"The configuration is incomplete: {text}.{mended.rstrip('.')}")


def _check_folders(cfg: DictConfig) -> None:
    """Raise where ``paths`` names no folder: what is below an empty one is at the root of the file system."""
    paths = cfg.get("paths") or {}
    for key in paths:
        if not str(paths[key]).strip():
            raise UserError(f"paths.{key} is empty. Give it a folder: paths.{key}=FOLDER")
    refuse_blocked(Path(str(paths[key])) for key in paths)


def open_composed_folders() -> None:
    """Look for parts where Hydra found this job's YAMLs: a worker process has not seen the command line."""
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        open_folders(Path(source.path) for source in sources if source.schema == "file")
