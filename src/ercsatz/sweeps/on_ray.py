"""Jobs of a sweep where Ray puts them: on this machine or on a cluster; one whose process dies is tried again."""

import logging
import os
import pickle
import platform
import re
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from hydra.core.utils import JobReturn

from ercsatz import signals
from ercsatz.errors import UserError
from ercsatz.sweeps.jobs import Outcome, Sweep, returned

_LOG = logging.getLogger(__name__)
_PATIENCE = 8.0  # seconds that cancelled jobs have to end in order
_REACH = 10.0  # seconds in which a cluster answers
_ADDRESS = re.compile(r"\[?([^/]+?)\]?:(\d{1,5})")
_STORE = 100_000_000  # bytes of shared memory for a cluster of our own: only outcomes pass through it
_CARRIED = ("ERCSATZ_", "WANDB_", "HF_", "HYDRA_FULL_ERROR", "OMP_", "MKL_", "TOKENIZERS_", "CUBLAS_")


def run(
    sweep: Sweep, job_overrides: Sequence[Sequence[str]], first: int, settings: Mapping[str, Any]
) -> list[JobReturn]:
    """Give the jobs to Ray and wait for them.

    Args:
        sweep: whose jobs they are.
        job_overrides: of each job.
        first: number of the first.
        settings: of ``hydra.launcher``, as ``config.ray_launcher.RayConfig`` has them.

    Raises:
        UserError: Ray is not installed, does not start, cannot be reached, or does not take the settings.
    """
    _check(settings)
    logs = Path(settings["logs"]).absolute()
    with _connected(settings["address"]) as ray:
        jobs = _Jobs(ray, sweep, logs)
        try:
            jobs.give(job_overrides, first, _needs(ray, settings))
            outcomes = jobs.outcomes()
        except BaseException:
            jobs.cancel()
            raise
    return [returned(overrides, outcomes[number]) for number, overrides in enumerate(job_overrides, first)]


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse what Ray would refuse later, and in its own words.

    Raises:
        UserError: names the setting.
    """
    gpus = settings["num_gpus"] or 0
    wrong = {
        "num_cpus": ("be more than 0", settings["num_cpus"] <= 0),
        "num_gpus": ("be a share of one, as 0.25, or a whole number", gpus < 0 or (gpus > 1 and gpus % 1 != 0)),
        "max_retries": ("be a number from 0, or -1: always", settings["max_retries"] < -1),
    }
    for key, (must, is_wrong) in wrong.items():
        if is_wrong:
            raise UserError(f"hydra.launcher.{key}={settings[key]}: must {must}.")


@dataclass(frozen=True)
class _Job:
    """What a process of Ray needs to run jobs of a sweep.

    Attributes:
        sweep: pickled, since what it is made of may be found only in ``path``.
        logs: folder for what the jobs print.
        folder: that the sweep was begun in, which relative paths are from.
        path: where Python looks for modules.
        environment: settings that a process of a running cluster has not got from the command.
    """

    sweep: bytes
    logs: Path
    folder: Path = field(default_factory=Path.cwd)
    path: Sequence[str] = field(default_factory=lambda: list(sys.path))
    environment: Mapping[str, str] = field(
        default_factory=lambda: {name: value for name, value in os.environ.items() if name.startswith(_CARRIED)}
    )

    def __call__(self, overrides: Sequence[str], number: int) -> Outcome:
        before = signal.getsignal(signal.SIGTERM)
        signals.serve(interruptible=True)  # that is how Ray cancels
        try:
            self._enter(number)
            return cast(Sweep, pickle.loads(self.sweep)).run(overrides, number)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            signal.signal(signal.SIGTERM, before)

    def _enter(self, number: int) -> None:
        """Make this process one of the command's."""
        if not self.folder.is_dir():
            raise UserError(
                f"{platform.node()} has no folder {self.folder}: a sweep's folder, its cache and its data must be "
                "seen under the same path by every machine of the cluster"
            )
        os.chdir(self.folder)
        os.environ.update(self.environment)
        sys.path.extend(each for each in self.path if each not in sys.path)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = os.open(_log(self.logs, number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(log, stream)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        os.write(1, f"Job {number} in process {os.getpid()} of {platform.node()}, {now}\n".encode())


def _log(logs: Path, number: int) -> Path:
    return logs / f"{number}.log"


def _run(job: _Job, overrides: Sequence[str], number: int) -> Outcome:
    """What Ray calls."""
    return job(overrides, number)


class _Jobs:
    """Those that Ray has been given, and what became of them."""

    def __init__(self, ray: Any, sweep: Sweep, logs: Path) -> None:
        self._ray, self._sweep, self._logs = ray, sweep, logs
        self._open: dict[Any, tuple[Sequence[str], int]] = {}

    def give(self, job_overrides: Sequence[Sequence[str]], first: int, needs: Mapping[str, Any]) -> None:
        """Have Ray run them, each in a process of its own."""
        from cloudpickle import dumps  # Hydra's task function is in no module by its name

        task = self._ray.remote(**needs, max_calls=1)(_run)
        job = self._ray.put(_Job(dumps(self._sweep), self._logs))
        for number, overrides in enumerate(job_overrides, first):
            self._open[task.remote(job, list(overrides), number)] = overrides, number

    def outcomes(self) -> dict[int, Outcome]:
        """Wait for all of them; their outcomes by number."""
        found = {}
        while self._open:
            for each in self._ended():
                overrides, number = self._open[each]
                found[number] = self._outcome(each, overrides, number)
                del self._open[each]
        return found

    def _ended(self) -> list[Any]:
        try:
            return list(self._ray.wait(list(self._open))[0])
        except SystemExit:  # what Ray makes of any exception of a signal's handler
            signals.check()
            raise

    def _outcome(self, job: Any, overrides: Sequence[str], number: int) -> Outcome:
        from ray.exceptions import RayError, RayTaskError

        try:
            return cast(Outcome, self._ray.get(job))
        except RayTaskError as error:
            return self._sweep.died(overrides, number, str(error.cause))
        except RayError as error:
            how = f"{type(error).__name__}, tried as often as allowed; what it printed is in"
            return self._sweep.died(overrides, number, f"{how} {_log(self._logs, number)}")

    def cancel(self) -> None:
        """End those that are not done, in order where they have the time."""
        with suppress(Exception):  # the cluster may be out of reach
            for job in self._open:
                self._ray.cancel(job)
            self._ray.wait(list(self._open), num_returns=len(self._open), timeout=_PATIENCE)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster, or with one of our own, which ends with the context."""
    if find_spec("ray") is None:
        raise UserError("hydra/launcher=ray: Ray is not installed. pip install 'ercsatz[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == "local":  # else whoever reaches its ports could run anything
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    try:
        _init(ray, address)
        yield ray
    finally:
        ray.shutdown()


def _init(ray: Any, address: str) -> None:
    """Connect, quietly; signals stay ours."""
    from joblib import cpu_count

    own = {"num_cpus": cpu_count(), "object_store_memory": _STORE, "include_dashboard": False}
    # What is told of every process that dies, in many lines; there is no public way.
    ray._private.worker._worker_logs_enabled = False
    before, taken = signal.getsignal(signal.SIGTERM), False
    try:
        if (at := _ADDRESS.fullmatch(address)) is not None:  # Ray would try for minutes
            socket.create_connection((at[1], int(at[2])), _REACH).close()
        with signals.kept_from_children():
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(own if address == "local" else {}),
            )
    except signals.Stopped:
        raise
    except SystemExit:  # by Ray's own handler of SIGTERM
        taken = True
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        hint = "" if address == "local" else ". A cluster that asks for a token wants RAY_AUTH_MODE=token here, too."
        raise UserError(f"hydra/launcher=ray, hydra.launcher.address={address}: {error}{hint}") from error
    finally:
        signal.signal(signal.SIGTERM, before)
    if taken:
        signal.raise_signal(signal.SIGTERM)


def _needs(ray: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a job takes of a machine, as Ray's options.

    Raises:
        UserError: no machine of a cluster of our own has as much.
    """
    machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
    cores, gpus = settings["num_cpus"], settings["num_gpus"]
    if gpus is None:
        gpus = int(any(machine.get("GPU", 0) for machine in machines))
    if not any(machine.get("CPU", 0) >= cores and machine.get("GPU", 0) >= gpus for machine in machines):
        lack = f"hydra/launcher=ray: no machine has num_cpus={cores:g} and num_gpus={gpus:g} for a job"
        if settings["address"] == "local":
            raise UserError(f"{lack}. Set hydra.launcher.num_cpus and hydra.launcher.num_gpus to less.")
        _LOG.warning("%s; they wait until the cluster has one.", lack)
    return {"num_cpus": cores, "num_gpus": gpus, "max_retries": settings["max_retries"]}
