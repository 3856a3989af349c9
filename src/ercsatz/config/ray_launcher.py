"""The settings of ``hydra/launcher=ray``."""

from dataclasses import dataclass


@dataclass
class RayConfig:
    """How Ray runs the jobs of a sweep.

    Attributes:
        address: of the cluster: ``HOST:PORT``, ``auto`` for one that runs on this machine, ``local`` for one of the
            sweep's own, which begins and ends with it.
        num_cpus: cores for each job; as many threads.
        num_gpus: GPUs for each job, or a share of one; None: 1 where the cluster has GPUs, else 0.
        max_retries: how often a job whose process dies is tried again; -1: always.
        logs: folder for what the jobs print, a file for each.
    """

    _target_: str = "hydra_plugins.ercsatz_launchers.RayLauncher"
    address: str = "local"
    num_cpus: float = 1
    num_gpus: float | None = None
    max_retries: int = 3
    logs: str = "${hydra.sweep.dir}/.ray"
