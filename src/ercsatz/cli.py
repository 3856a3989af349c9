"""The commands, ``ercsatz train``, ``generate``, ``assess`` and so on; the first six also as scripts.

Imports nothing heavy: ``--help`` and ``--cfg job`` are answered at once.
"""

import logging
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ercsatz import config
from ercsatz.config import registry
from ercsatz.config.compose import to_object
from ercsatz.errors import UserError
from ercsatz.reporting.status import Status, report
from ercsatz.reporting.terminal import show_log
from ercsatz.resources import resource
from ercsatz.sweeps import callback
from ercsatz.sweeps.cell import cell_name, run_cell

CONF = str(resource("conf"))
_LOG = logging.getLogger(__name__)

# Mappings that a benchmark's YAML fills, to which a user may add.
_OPEN = tuple(
    f"benchmark.{name}." for name in ("label_names", "sentiments", "options", "published", "files", "downloads")
)


def train() -> None:
    """Pretrain, fine-tune, test and rank: ``python train.py -m classifier=compm data=meld_bal,meld_nat``."""
    _run("train", _train)


def generate() -> None:
    """Write a synthetic data set: ``python generate.py data=meld_bal``."""
    _run("generate", _generate)


def assess() -> None:
    """Say how good a synthetic data set is: ``python assess.py data=meld_bal``."""
    _run("assess", _assess)


def rank() -> None:
    """Rank finished sweeps or a table of scores: ``python rank.py scores=FILE.csv``."""
    _run("rank", _rank)


def knowledge() -> None:
    """Find commonsense about utterances: ``python knowledge.py data=meld_org retrieve.atomic=FILE.csv``."""
    _run("knowledge", _knowledge)


def predict() -> None:
    """Predict the emotions of your own dialogues: ``python predict.py checkpoint=FOLDER dialogues=FILE``."""
    _run("predict", _predict)


@hydra.main(config_path=CONF, config_name="train", version_base="1.3")
def _train(cfg: DictConfig) -> None:
    run_cell(cfg)


@hydra.main(config_path=CONF, config_name="generate", version_base="1.3")
def _generate(cfg: DictConfig) -> None:
    _call("ercsatz.generation.run", cfg)


@hydra.main(config_path=CONF, config_name="assess", version_base="1.3")
def _assess(cfg: DictConfig) -> None:
    _call("ercsatz.assessment.run", cfg)


@hydra.main(config_path=CONF, config_name="rank", version_base="1.3")
def _rank(cfg: DictConfig) -> None:
    _call("ercsatz.sweeps.rank", cfg, "rank_command")


@hydra.main(config_path=CONF, config_name="knowledge", version_base="1.3")
def _knowledge(cfg: DictConfig) -> None:
    _call("ercsatz.knowledge.run", cfg)


@hydra.main(config_path=CONF, config_name="predict", version_base="1.3")
def _predict(cfg: DictConfig) -> None:
    _call("ercsatz.prediction.run", cfg)


def _call(module: str, cfg: DictConfig, function: str = "run") -> None:
    """Import what a command runs, now that it is needed, and give it the typed configuration; report what it raises."""
    show_log()  # here too: a worker process has not been through the command
    try:
        settings = to_object(cfg)
        getattr(import_module(module), function)(settings)
    except Exception as error:
        report(error)
        if not HydraConfig.get().launcher._target_.endswith("BasicLauncher"):
            raise  # in a worker process, where the exit status would be lost


def main() -> None:
    """The console command: the first argument names what to do, the rest is Hydra's."""
    commands: dict[str, Callable[[], None]] = {"train": train, "generate": generate, "rank": rank, "assess": assess}
    commands |= {"knowledge": knowledge, "predict": predict, "fetch": _fetch, "show": _show, "cache": _cache}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    show_log()
    if name not in commands:
        _LOG.error("usage: ercsatz {%s} ...\n\nEach answers --help.", ",".join(commands))
        sys.exit(0 if name in {"-h", "--help"} else 2)
    sys.argv = [f"{sys.argv[0]} {name}", *sys.argv[2:]]
    commands[name]()


def _fetch() -> None:
    from ercsatz.data.benchmarks import fetch

    sys.exit(fetch.main(sys.argv[1:]))


def _show() -> None:
    from ercsatz.generation import browse

    sys.exit(browse.main(sys.argv[1:]))


def _cache() -> None:
    from ercsatz.artifacts import command

    sys.exit(command.main(sys.argv[1:]))


def _run(command: str, task: Callable[[], None]) -> None:
    """Run a Hydra application and exit with the status that its jobs and its ranking deserve."""
    arguments = sys.argv[1:]
    show_log()
    registry.open_folders(registry.given_folders(arguments))
    try:
        registry.refuse_hidden()
        _refuse_undeclared(arguments)
        registry.check_overrides(arguments, command)
        config.register(registry.config_folders(), command)
    except UserError as error:
        report(error)
        sys.exit(1)
    OmegaConf.register_new_resolver("cell", cell_name, replace=True)
    try:
        task()
    except KeyboardInterrupt as stopped:
        _LOG.error("Stopped. %s", stopped)
        sys.exit(130)
    finally:
        callback.finish()
    sys.exit(Status.code)


def _refuse_undeclared(arguments: Sequence[str]) -> None:
    """Refuse a ``+key=value`` whose key is neither Hydra's nor a config group; Hydra itself would take any.

    Raises:
        UserError: names it.
    """
    for argument in arguments:
        if not argument.startswith("+"):
            continue
        key = argument.lstrip("+").partition("=")[0].partition("@")[0]
        if key.startswith(_OPEN) or re.split("[./]", key)[0] == "hydra":
            continue
        if not any((folder / key).is_dir() for folder in registry.config_folders()):
            raise UserError(
                f"{argument} adds a key that does not exist. Keys are changed without '+'; "
                f"{Path(sys.argv[0]).name} --cfg job prints them all."
            )


if __name__ == "__main__":
    main()
