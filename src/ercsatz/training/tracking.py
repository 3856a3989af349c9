"""Loggers of a stage: a CSV file always, Weights & Biases unless disabled."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from ercsatz.config import Wandb, WandbMode
from ercsatz.errors import UserError

INIT_TIMEOUT = 20.0  # seconds that a stage waits for a server at the most


@dataclass(frozen=True)
class RunName:
    """How a stage's run is found in Weights & Biases."""

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...]


@contextmanager
def stage_loggers(settings: Wandb, run: RunName, config: dict[str, Any], folder: Path) -> Iterator[Sequence[Logger]]:
    """Open a stage's loggers, and close them when it ends.

    One W&B run a stage. A stage that raises ends its run as failed, not as finished. ``auto`` is online only when an
    API key is there already, so nothing ever asks for one.
    """
    csv = CSVLogger(folder, name="logs")  # a resumed stage gets a new version_N beside the old one
    mode = wandb_mode(settings.mode)
    if mode == "disabled":
        yield [csv]
        return
    live = _start(settings, run, config, folder, mode)
    try:
        live.define_metric("validation/w_f1", summary="max")
        yield [csv, WandbLogger(experiment=live)]
    except BaseException:
        live.finish(exit_code=1)
        raise
    live.finish()


def wandb_mode(wanted: WandbMode) -> str:
    """``online``, ``offline`` or ``disabled``; WANDB_MODE decides for ``auto``, then whether a key is there.

    Raises:
        UserError: it is to be online, but nobody is logged in.
    """
    mode = os.environ.get("WANDB_MODE") or "auto" if wanted == WandbMode.auto else wanted.value
    if mode not in {"auto", "online"}:
        return mode
    import wandb

    if wandb.login(prompt=False, verify=False):
        return "online"
    if mode == "online":
        raise UserError("wandb.mode=online (or WANDB_MODE), but nobody is logged in. Log in with: wandb login")
    return "offline"


def _start(settings: Wandb, run: RunName, config: dict[str, Any], folder: Path, mode: str) -> Any:
    import wandb

    def start(mode: str) -> Any:
        return wandb.init(
            project=settings.project,
            entity=settings.entity,
            mode=mode,  # type: ignore[arg-type]
            dir=folder,
            id=run.id,
            resume="allow",
            name=run.name,
            group=run.group,
            job_type=run.job_type,
            tags=run.tags,
            config=config,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, init_timeout=INIT_TIMEOUT),
        )

    try:
        return start(mode)
    except wandb.errors.CommError as error:
        if mode == "offline":
            raise
        wandb.teardown(exit_code=1)  # else the id stays taken, and the offline run cannot have it
        reason = str(error).splitlines()[0]
        later = folder.with_name(folder.name.removesuffix(".partial"))  # where the cache puts a finished stage
        print(f"Weights & Biases is out of reach ({reason}). Logged offline; later: wandb sync {later}/wandb/offline-*")
        return start("offline")
