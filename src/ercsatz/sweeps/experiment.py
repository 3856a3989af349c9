"""The jobs of an experiment, and what is said of it before they run.

Imported by Hydra before any job, so it imports nothing heavy.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ercsatz.config import ExperimentConfig
from ercsatz.config.command_line import written
from ercsatz.config.compose import incomplete
from ercsatz.config.experiment import check
from ercsatz.errors import UserError
from ercsatz.reporting.status import report
from ercsatz.reporting.text import plain

_LOG = logging.getLogger(__name__)
SWEEPER = "hydra_plugins.ercsatz_sweepers.ExperimentSweeper"


def use_own_sweeper() -> None:
    """Have Hydra's basic sweeper run as ours, with the settings that it has."""
    store = ConfigStore.instance()
    settings = store.load("hydra/sweeper/basic.yaml").node
    settings._target_ = SWEEPER
    store.store(group="hydra/sweeper", name="basic", node=settings, provider="ercsatz")


def of(config: DictConfig | None) -> ExperimentConfig | None:
    """The experiment of a composed configuration; None where it has none."""
    node = None if config is None else config.get("experiment")
    return None if node is None else cast(ExperimentConfig, OmegaConf.to_object(node))


def summary(config: DictConfig) -> dict[str, Any] | None:
    """What is kept of the experiment with its results."""
    experiment = of(config)
    if experiment is None:
        return None
    return {"name": experiment.name, "about": experiment.about, "cuts": experiment.cuts}


def jobs_of(overrides: Sequence[Override], config: DictConfig | None) -> list[list[str]]:
    """The overrides of every job of a sweep, in order.

    Of an experiment they are the union of its products, without repeats. A key of the command line, swept or not, has
    the command line's values in every product.

    Args:
        overrides: of the command line.
        config: of the sweep.
    """
    experiment = of(config)
    if experiment is None:
        return _product(overrides)
    jobs = dict[frozenset[str], list[str]]()
    for product in experiment.sweep:
        own = OverridesParser.create().parse_overrides(_left(product, [str(each.input_line) for each in overrides]))
        for job in _product([*overrides, *own]):
            jobs.setdefault(frozenset(job), job)  # products may name their keys in another order
    return list(jobs.values())


def _left(product: Mapping[str, Sequence[Any]], typed: Iterable[str]) -> list[str]:
    """What a product sweeps over, as overrides, beside the keys of the command line."""
    given = {text.partition("=")[0].lstrip("+~") for text in typed}
    return [f"{key}={','.join(map(written, values))}" for key, values in product.items() if key not in given]


def _product(overrides: Sequence[Override]) -> list[list[str]]:
    (batch,) = BasicSweeper.split_arguments(list(overrides), None)
    return batch


class ExperimentCallback(Callback):
    """Says what an experiment is before its jobs run, and refuses one that makes no sense."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check and tell.

        Raises:
            SystemExit: it is refused, which has been reported; Hydra swallows any other exception.
        """
        if config.get("experiment") is None:
            return
        try:
            first, *others = _told(config)
        except (UserError, OmegaConfBaseException) as error:
            report(error if isinstance(error, UserError) else incomplete(error))
            raise SystemExit(1) from None
        _LOG.info("%s", "\n  ".join([plain(first), *map(plain, others)]))


def _told(config: DictConfig) -> list[str]:
    experiment = of(config)
    assert experiment is not None
    check(experiment, str(config.hydra.runtime.choices.experiment))
    if str(config.hydra.sweeper._target_) != SWEEPER:
        raise UserError(
            f"experiment={experiment.name} says which jobs there are, and so would hydra/sweeper="
            f"{config.hydra.runtime.choices['hydra/sweeper']}. Give one of them."
        )
    typed = [text for text in config.hydra.overrides.task if not text.startswith(("experiment=", "dry_run="))]
    products = dict.fromkeys(" ".join(_left(product, typed)) for product in experiment.sweep)
    return [
        f"Experiment {experiment.name}: {experiment.about}",
        *(f"Left out: {cut}" for cut in experiment.cuts),
        *(f"Jobs: {product}" for product in products if product),
        *([f"All of them, from the command line: {' '.join(typed)}"] if typed else []),
    ]
