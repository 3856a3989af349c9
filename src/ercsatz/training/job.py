"""A job before it runs: its data, with what is known about them, and its stages."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ercsatz.config import TrainConfig
from ercsatz.errors import MissingFiles
from ercsatz.training.corpora import JobData, load_data, with_knowledge
from ercsatz.training.graph import Stage, plan, stages_of
from ercsatz.training.missing import missing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingJob:
    """All that a job computes from.

    Attributes:
        cfg: its configuration; the classifier reads only knowledge that all its training dialogues have.
        data: its dialogues.
        stages: of its phase.
    """

    cfg: TrainConfig
    data: JobData
    stages: list[Stage]


def load_job(cfg: TrainConfig) -> TrainingJob:
    """Read what a job needs, and plan its stages; says what it does without.

    Raises:
        MissingFiles: data are missing; the message names what else is, too.
        UserError: data are wrong, or the phase does not fit the data.
    """
    job, told = planned_job(cfg)
    for sentence in told:
        _LOG.warning(f"  {sentence}")
    return job


def planned_job(
    cfg: TrainConfig, read: Callable[[TrainConfig], JobData] = load_data
) -> tuple[TrainingJob, Sequence[str]]:
    """A job, and a sentence for every data set that lacks what its classifier could read.

    Args:
        cfg: its configuration.
        read: what reads its dialogues.

    Raises:
        MissingFiles: data are missing; the message names what else is, too.
        UserError: data are wrong, or the phase does not fit the data.
    """
    chosen = stages_of(cfg)
    try:
        data = read(cfg)
    except MissingFiles as error:
        lines = dict.fromkeys([*str(error).splitlines(), *missing(cfg).sentences])
        raise MissingFiles("\n".join(lines)) from None
    cfg, data, told = with_knowledge(cfg, data, [stage.train for stage in chosen.values()])
    return TrainingJob(cfg, data, plan(cfg, data)), told
