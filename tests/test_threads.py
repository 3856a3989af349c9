import os
import subprocess
import sys

import pytest

from ercsatz import threads

OWN = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}


@pytest.fixture
def environment(monkeypatch):
    """The process's own for a test, without settings of threads."""
    kept = {key: value for key, value in os.environ.items() if key not in {*OWN, "SLURM_CPUS_PER_TASK"}}
    monkeypatch.setattr(os, "environ", kept)
    return kept


@pytest.mark.parametrize("own", [{}, {"GOMP_SPINCOUNT": "5"}, {"OMP_WAIT_POLICY": "active"}])
def test_settings_of_the_user_stay(environment, own):
    environment |= own
    threads.wait_politely()
    found = {key: value for key, value in environment.items() if key in OWN}
    assert found == (own or {"GOMP_SPINCOUNT": str(threads.SPINS)})


def test_slurm_may_give_less_than_there_is(environment):
    there = threads.cores()
    for given, cores in (("1", 1), (str(there + 5), there), ("", there), ("0", there)):
        environment["SLURM_CPUS_PER_TASK"] = given
        assert threads.cores() == cores


def test_workers_share_the_cores_and_have_one_at_least(environment):
    assert {*threads.share(1).values()} == {str(threads.cores())}
    assert {*threads.share(1000).values()} == {"1"}
    environment["OMP_NUM_THREADS"] = "7"
    assert threads.share(1000) == {"OMP_NUM_THREADS": "7", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


USED = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from ercsatz import threads
threads.wait_politely()
threads.use(sys.argv[1] if sys.argv[1] == "auto" else int(sys.argv[1]))
import torch
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("given", "own", "number"), [("auto", None, 1), ("3", None, 3), ("auto", "2", 2), ("3", "2", 3)]
)
def test_torch_has_as_many_threads_as_are_asked_for(environment, given, own, number):
    more = {} if own is None else {"OMP_NUM_THREADS": own}
    done = subprocess.run(
        [sys.executable, "-c", USED, given],
        env={**environment, **more, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(number)], done.stderr
    assert f"GOMP_SPINCOUNT = '{threads.SPINS}'" in done.stderr  # libgomp has read it when it was loaded
