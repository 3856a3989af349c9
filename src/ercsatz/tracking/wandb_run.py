"""One run in Weights & Biases: opened without a prompt, finished as what it was, and no danger to what is trained."""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ercsatz import signals
from ercsatz.config import WandbConfig, WandbMode

_LOG = logging.getLogger(__name__)

INIT_TIMEOUT = 20.0  # seconds that a run waits for a server at the most
START_TIMEOUT = 90.0  # seconds for the start in all, of the offline run as well
END_TIMEOUT = 300.0  # seconds to upload what is left
STOP_TIMEOUT = 5.0  # the same where the user, or a scheduler that kills soon, wants an end; and where it hung before


@dataclass
class Learnt:
    """What this process has learnt of W&B, so that no later run waits for the same again.

    Attributes:
        unreachable: the server did not answer, or the end of a run did not come: runs are offline.
        hung: W&B's own process did not end in time.
        dead: it does not start: there are no runs.
        logged_out: nobody is logged in, although it is to be online.
    """

    unreachable: bool = False
    hung: bool = False
    dead: bool = False
    logged_out: bool = False


learnt = Learnt()


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
    """A run that is written below ``folder``, or None where ``wandb.mode`` is disabled, or W&B does not start.

    One that raises ends as failed, not as finished. ``auto`` is online only when an API key is there already, so
    nothing ever asks for one. A run of an id that is there already goes on. W&B's own process ends with the run; where
    it does not end in time, or dies, a line says so; later runs of this process do not wait for it again.
    """
    mode = wandb_mode(settings.mode)
    live = None if mode == "disabled" or learnt.dead else _start(settings, run, config, folder, mode)
    if live is None:
        yield None
        return
    exit_code = 1
    try:
        yield live
        exit_code = 0
    finally:
        _end(live, exit_code, folder)


def wandb_mode(wanted: WandbMode) -> str:
    """``online``, ``offline`` or ``disabled``; WANDB_MODE decides for ``auto``, then whether a key is there.

    Without a key ``online`` is ``offline`` too: it is said once, and what is logged can be uploaded later.
    """
    mode = os.environ.get("WANDB_MODE") or "auto" if wanted == WandbMode.auto else wanted.value
    if mode not in {"auto", "online"}:
        return mode
    import wandb

    if wandb.login(prompt=False, verify=False):
        return "online"
    if mode == "online" and not learnt.logged_out:
        learnt.logged_out = True
        _LOG.warning(
            "wandb.mode=online (or WANDB_MODE), but nobody is logged in to Weights & Biases. Logged offline. Log in "
            "with: wandb login"
        )
    return "offline"


def uploaded_by(folder: Path) -> str:
    """The command that uploads what was written below ``folder`` offline, or not to the end."""
    return f"wandb sync {folder}/wandb/*run-*"


def remove_earlier(folder: Path, id: str, present: Path) -> None:
    """Remove what an earlier run of the same id left offline; uploaded later, it would undo the present one."""
    for earlier in folder.glob(f"offline-run-*-{id}"):
        if earlier.name != present.name:
            shutil.rmtree(earlier)


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

    with no_longer_than(START_TIMEOUT) as late:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                return start("offline" if learnt.unreachable else mode)
            except wandb.errors.CommError as error:
                if mode == "offline" or learnt.unreachable or late.is_set():
                    raise
                _begin_anew()  # else the id stays taken, and the offline run cannot have it
                learnt.unreachable = True
                reason, later = str(error).splitlines()[0], uploaded_by(folder)
                _LOG.warning("Weights & Biases is out of reach (%s). Logged offline; later: %s", reason, later)
                return start("offline")
        except Exception as error:
            signals.check()
            _begin_anew()
            learnt.dead = True
            reason = f"{START_TIMEOUT:.0f} s" if late.is_set() else " ".join(str(error).split()) or repr(error)
            _LOG.warning(
                "Weights & Biases does not start (%s). Going on without it, as with wandb.mode=disabled", reason
            )
            return None


def _begin_anew() -> None:
    """Forget W&B's process, whatever became of it, so that the next run gets its own."""
    import wandb

    with suppress(Exception):
        wandb.teardown(exit_code=1)


def _end(live: Any, exit_code: int, folder: Path) -> None:
    import wandb

    seconds = STOP_TIMEOUT if signals.asked() or learnt.hung else END_TIMEOUT
    with no_longer_than(seconds) as late:
        try:
            live.finish(exit_code=exit_code)
            wandb.teardown(exit_code=exit_code)  # here, where it can be waited for, and not when Python ends
        except Exception as error:  # whatever it is that a connection to a dead process gives
            _begin_anew()
            if late.is_set():
                learnt.unreachable = learnt.hung = True
            reason = f"its process did not end in {seconds:.0f} s" if late.is_set() else repr(error)
            _LOG.warning("Weights & Biases lost the end of a run (%s). Later: %s", reason, uploaded_by(folder))


class Guarded:
    """Calls that may fail without costing what is computed: the first failure is told, and no call is made after it.

    Args:
        whose: what is lost, for the warning.
        later: what to do about it, for the warning.
    """

    def __init__(self, whose: str, later: str = "") -> None:
        self._whose, self._later, self.lost = whose, later, False

    def __call__(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What a call gives; None where it failed, or an earlier one did."""
        if self.lost:
            return None
        try:
            return call(*arguments, **named)
        except Exception as error:  # whatever it is that a connection to a dead process, or a full disk, gives
            signals.check()
            self.lost = True
            _LOG.warning("%s is lost (%r); training goes on.%s", self._whose, error, self._later)
            return None


@contextmanager
def no_longer_than(seconds: float) -> Iterator[threading.Event]:
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
