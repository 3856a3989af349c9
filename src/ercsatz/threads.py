"""How many threads compute on the processor, and how they wait. Imports nothing heavy.

PyTorch shares each operation out to threads, which then wait for the next one. By default GNU's OpenMP has them spin
for milliseconds while they wait. Alone that saves waking them; beside other busy processes it burns the time that the
thread they wait for would need, and a job takes several times as long. A short spin covers the moments between two
operations and costs little where it is in vain: see docs/train.md for what was measured.
"""

import os
from typing import Literal

AUTO: Literal["auto"] = "auto"
SPINS = 10_000
"""Turns that a thread spins before it sleeps."""


def wait_politely() -> None:
    """Have threads spin for a moment only; the user's own settings stay. Before torch or scikit-learn is imported."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


def cores() -> int:
    """What this process may use: by its affinity, its container's quota, and what Slurm has given the task."""
    from joblib import cpu_count

    there, given = int(cpu_count()), os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(there, int(given)) if given.isdecimal() and int(given) else there


def share(workers: int) -> dict[str, str]:
    """The environment of one of some processes that share this machine's cores; the user's own settings stay."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: os.environ.get(name) or str(max(cores() // workers, 1)) for name in names}


def use(threads: int | str) -> None:
    """Have torch compute with so many threads, from now on.

    Args:
        threads: ``auto``: one for each core that this process may use, unless OMP_NUM_THREADS says how many.
    """
    if threads == AUTO and "OMP_NUM_THREADS" in os.environ:
        return
    import torch

    wanted = cores() if threads == AUTO else int(threads)
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
