"""Which task of a Slurm step a process is."""

import pytest

from ercsatz.training.ranks.step import Step, step

SRUN = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
}


def test_a_task_knows_its_step():
    assert step(SRUN) == Step(4, 3, 1, "n[1-2]", "4711.0")


@pytest.mark.parametrize(
    "variables", [{}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, SRUN | {"SLURM_STEP_NUM_TASKS": "1"}]
)
def test_without_srun_or_with_one_task_there_is_none(variables):
    """In a batch script, and in a shell that salloc opened, Slurm says how many tasks there may be."""
    assert step(variables) is None


@pytest.mark.parametrize("of", [4, 8])
def test_processes_are_shared_out_among_the_tasks(of):
    tasks = [step(SRUN | {"SLURM_PROCID": str(task)}) for task in range(4)]
    assert [number for task in tasks if task for number in task.numbers(of)] == list(range(of))
    assert len({task.port for task in tasks if task}) == 1


def test_two_steps_of_a_job_listen_at_different_ports():
    ports = {Step(2, 0, 0, "n1", f"{job}.{number}").port for job in (4711, 4712) for number in (0, 1)}
    assert len(ports) == 4
    assert all(1024 < port < 32768 for port in ports)
