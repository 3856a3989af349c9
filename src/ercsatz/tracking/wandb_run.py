"""One run in Weights & Biases: opened without a prompt, finished as what it was, and no danger to what is trained."""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.errors import UserError

_LOG = logging.getLogger(__name__)

INIT_TIMEOUT = 20.0  # seconds that a run waits for a server at the most
START_TIMEOUT = 90.0  # seconds for the start in all, of the offline run as well
END_TIMEOUT = 300.0  # seconds to upload what is left


@dataclass(frozen=True)
class RunName:
    """How a run is found in Weights & Biases."""

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...]


@contextmanager
def open_run(settings: WandbConfig, run: RunName, config: Mapping[str, Any], folder: Path) -> Iterator[Any]:
    """A run that is written below ``folder``, or None where ``wandb.mode`` is disabled.

    One that raises ends as failed, not as finished. ``auto`` is online only when an API key is there already, so
    nothing ever asks for one. A run of an id that is there already goes on. W&B's own process ends with the run; where
    it does not end in time, or dies, a line says so.

    Raises:
        UserError: it is to be online, but nobody is logged in; or W&B does not start.
    """
    mode = wandb_mode(settings.mode)
    if mode == "disabled":
        yield None
        return
    live = _start(settings, run, config, folder, mode)
    exit_code = 1
    try:
        yield live
        exit_code = 0
    finally:
        _end(live, exit_code, folder)


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


def uploaded_by(folder: Path) -> str:
    """The command that uploads what was written below ``folder`` offline, or not to the end.

    Args:
        folder: of the run; that of a stage loses its ``.partial`` in the cache.
    """
    return f"wandb sync {folder.with_name(folder.name.removesuffix('.partial'))}/wandb/*run-*"


def _start(settings: WandbConfig, run: RunName, config: Mapping[str, Any], folder: Path, mode: str) -> Any:
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

    with _no_longer_than(START_TIMEOUT) as late:
        try:
            return start(mode)
        except wandb.errors.CommError as error:
            if mode == "offline":
                raise
            wandb.teardown(exit_code=1)  # else the id stays taken, and the offline run cannot have it
            reason = str(error).splitlines()[0]
            later = uploaded_by(folder)
            _LOG.warning("Weights & Biases is out of reach (%s). Logged offline; later: %s", reason, later)
            return start("offline")
        except Exception as error:
            if not late.is_set():
                raise
            with suppress(Exception):
                wandb.teardown(exit_code=1)
            message = f"Weights & Biases does not start ({START_TIMEOUT:.0f} s). Go on without it: wandb.mode=disabled"
            raise UserError(message) from error


def _end(live: Any, exit_code: int, folder: Path) -> None:
    import wandb

    with _no_longer_than(END_TIMEOUT) as late:
        try:
            live.finish(exit_code=exit_code)
            wandb.teardown(exit_code=exit_code)  # here, where it can be waited for, and not when Python ends
        except Exception as error:  # whatever it is that a connection to a dead process gives
            with suppress(Exception):
                wandb.teardown(exit_code=exit_code)  # forgets the dead one, so that the next run gets its own
            reason = f"its process did not end in {END_TIMEOUT:.0f} s" if late.is_set() else repr(error)
            _LOG.warning("Weights & Biases lost the end of a run (%s). Later: %s", reason, uploaded_by(folder))


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[threading.Event]:
    """Kill W&B's process when it takes longer: whoever waits for it gets an error, and does not wait for ever."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        for child in psutil.Process().children():
            if child.name().startswith("wandb-core"):
                child.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
