"""``cluster=slurm``: where the jobs of a sweep run."""

from dataclasses import dataclass, field


@dataclass
class ClusterConfig:
    """What each job of a sweep asks Slurm for, and what becomes of one that does not end.

    ``hydra.launcher`` is made of it, and has what is asked for more rarely.

    Attributes:
        partition: Slurm's partition; null: the cluster's default.
        account: whose account pays; null: the user's default.
        minutes: after which Slurm ends a job, which is queued again and goes on from its last epoch.
        memory_gb: memory of a job; null: as the partition says.
        cpus: cores of a job; null: as the partition says.
        gpus: GPUs of a job; null: none.
        parallel: jobs that run at once, at most.
        setup: lines of shell before each job.
        retries: how often a job that ran out of time, or whose process died, is queued again.
        wait: true: the command waits for the jobs and ranks; false: it ends once they are submitted, and the sweep is
            ranked on the cluster.
    """

    partition: str | None = None
    account: str | None = None
    minutes: int = 60
    memory_gb: int | None = None
    cpus: int | None = None
    gpus: int | None = None
    parallel: int = 256
    setup: list[str] = field(default_factory=list)
    retries: int = 3
    wait: bool = True
