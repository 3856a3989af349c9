"""From what Hydra composed to typed objects."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ercsatz.config.registry import open_folders
from ercsatz.errors import UserError


def to_object(cfg: DictConfig) -> Any:
    """The configuration as its dataclasses, its parts as objects of their own classes.

    Raises:
        UserError: a key has no value, or one that cannot be resolved or is of the wrong type; the message names it.
    """
    from omegaconf.errors import OmegaConfBaseException

    try:
        open_composed_folders()
        OmegaConf.resolve(cfg)
        return OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0].rstrip(".")
        mended = f" Give it a value: {error.full_key}=VALUE" if error.full_key else ""
        raise UserError(f"The configuration is incomplete: {text}.{mended}") from None


def open_composed_folders() -> None:
    """Look for parts where Hydra found this job's YAMLs: a worker process has not seen the command line."""
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        open_folders(Path(source.path) for source in sources if source.schema == "file")
