"""One run in Weights & Biases: opened without a prompt, finished as what it was."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ercsatz.config import Wandb, WandbMode
from ercsatz.errors import UserError

INIT_TIMEOUT = 20.0  # seconds that a run waits for a server at the most


@dataclass(frozen=True)
class RunName:
    """How a run is found in Weights & Biases."""

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...]


@contextmanager
def open_run(settings: Wandb, run: RunName, config: Mapping[str, Any], folder: Path) -> Iterator[Any]:
    """A run that is written below ``folder``, or None where ``wandb.mode`` is disabled.

    One that raises ends as failed, not as finished. ``auto`` is online only when an API key is there already, so
    nothing ever asks for one. A run of an id that is there already goes on.

    Raises:
        UserError: it is to be online, but nobody is logged in.
    """
    mode = wandb_mode(settings.mode)
    if mode == "disabled":
        yield None
        return
    live = _start(settings, run, config, folder, mode)
    try:
        yield live
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


def _start(settings: Wandb, run: RunName, config: Mapping[str, Any], folder: Path, mode: str) -> Any:
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
            config=dict(config),
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
