"""The commands, ``ercsatz train``, ``generate``, ``assess`` and so on; the first six also as scripts.

Imports nothing heavy: ``--help`` and ``--cfg job`` are answered at once.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra._internal import utils
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ercsatz import config, signals, threads
from ercsatz.assessment.callback import finish as finish_assessments
from ercsatz.config import experiment, help, registry
from ercsatz.config.command_line import readable, refuse_blocked, unset_empty
from ercsatz.config.compose import incomplete, to_object
from ercsatz.config.elsewhere import refuse_foreign
from ercsatz.config.misread import refuse_misread
from ercsatz.disk import trouble
from ercsatz.errors import UserError
from ercsatz.reporting import secrets
from ercsatz.reporting.status import Status, report
from ercsatz.reporting.terminal import show_log
from ercsatz.resources import resource
from ercsatz.sweeps.callback import finish as finish_sweeps
from ercsatz.sweeps.cell import cell_name, run_cell
from ercsatz.sweeps.experiment import use_own_sweeper
from ercsatz.sweeps.jobs import use_own_launchers
from ercsatz.training.ranks import step

CONF = str(resource("conf"))
_LOG = logging.getLogger(__name__)

# Mappings that a benchmark's YAML fills, to which a user may add.
_OPEN = tuple(
    f"benchmark.{name}." for name in ("label_names", "sentiments", "options", "published", "files", "downloads")
)


def train() -> None:
    """Pretrain, fine-tune, test and rank: ``python train.py -m classifier=compm data=meld_bal,meld_nat``."""
    step.join()
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
def _train(cfg: DictConfig) -> Any:
    return run_cell(cfg)


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
        signals.check()
        report(error)
        if not HydraConfig.get().launcher._target_.endswith("BasicLauncher"):
            raise  # in a worker process, where the exit status would be lost


def main() -> None:
    """The console command: the first argument names what to do, the rest is Hydra's."""
    commands: dict[str, Callable[[], None]] = {"train": train, "generate": generate, "rank": rank, "assess": assess}
    commands |= {"knowledge": knowledge, "predict": predict, "fetch": _fetch, "show": _show, "cache": _cache}
    commands |= {"export": _export, "status": _sweep_status, "figure": _figure}
    commands |= {"merge": _merge}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    show_log()
    unset_empty()
    if name not in commands:
        _LOG.error("usage: ercsatz {%s} ...\n\nEach answers --help.", ",".join(commands))
        sys.exit(0 if name in {"-h", "--help"} else 2)
    sys.argv = [f"{sys.argv[0]} {name}", *sys.argv[2:]]
    try:
        commands[name]()
    except OSError as error:
        if trouble(error) is None:
            raise
        report(error)
        sys.exit(1)
    finally:
        _print_the_rest()


def _fetch() -> None:
    from ercsatz.data.benchmarks import fetch

    signals.run(lambda: fetch.main(sys.argv[1:]))


def _show() -> None:
    from ercsatz.generation import browse

    signals.run(lambda: browse.main(sys.argv[1:]))


def _cache() -> None:
    from ercsatz.artifacts import command

    signals.run(lambda: command.main(sys.argv[1:]))


def _export() -> None:
    from ercsatz.prediction import export

    signals.run(lambda: export.main(sys.argv[1:]))


def _figure() -> None:
    from ercsatz.data import figure

    signals.run(lambda: figure.main(sys.argv[1:]))


def _merge() -> None:
    from ercsatz.generation import merge

    signals.run(lambda: merge.main(sys.argv[1:]))


def _sweep_status() -> None:
    from ercsatz.sweeps.page import command

    signals.run(lambda: command.main(sys.argv[1:]))


def _run(command: str, task: Callable[[], None]) -> None:
    """Run a Hydra application and exit with the status that its jobs and its ranking deserve."""
    show_log()
    threads.wait_politely()
    signals.run(lambda: _status(command, task), _finish)


def _status(command: str, task: Callable[[], None]) -> int:
    unset_empty()
    try:
        secrets.refuse(sys.argv[1:])
        sys.argv[1:] = arguments = readable(experiment.plain(sys.argv[1:]), config.SCHEMAS[command])
        registry.open_folders(registry.given_folders(arguments))
        registry.refuse_hidden()
        refuse_misread(registry.own_folders())
        refuse_blocked(_written_to(arguments, command))
        experiment.refuse_wrong(arguments, command)
        _refuse_undeclared(arguments)
        if command == "train":
            refuse_foreign(arguments)
        registry.check_overrides(arguments, command, experiment.parts(arguments))
        config.register(registry.config_folders(), command)
        resolve = "--resolve" in arguments
        help.register(
            command, config.SCHEMAS[command], str(globals()[command].__doc__).replace("``", ""), secrets.hidden, resolve
        )
    except UserError as error:
        report(error)
        return 1
    use_own_launchers()
    use_own_sweeper()
    OmegaConf.register_new_resolver("cell", cell_name, replace=True)
    try:
        with _disks_told():
            task()
    except OmegaConfBaseException as error:  # of a key that Hydra itself needs
        report(incomplete(error))
    _finish()
    return Status.code


def _finish() -> None:
    """Say what was finished, of a sweep."""
    finish_sweeps()
    finish_assessments()
    _print_the_rest()


def _print_the_rest() -> None:
    """Print what is left to print; Python would do so after us, and where that fails end with words of its own."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if trouble(error) is not None:  # else nobody listens any more
            report(UserError(str(trouble(error, "what the command prints"))))


@contextmanager
def _disks_told() -> Iterator[None]:
    """Have what Hydra itself cannot write (``multirun.yaml``, ``.hydra/``) told like any full disk: no traceback."""
    hydras_own = utils.run_and_report

    def run(func: Any) -> Any:
        def told() -> Any:
            try:
                return func()
            except Exception as error:
                if (words := trouble(error, "what Hydra keeps of a job (multirun.yaml, .hydra/)")) is None:
                    raise
                report(UserError(words))
                sys.exit(1)

        return hydras_own(told)

    utils.run_and_report = run
    try:
        yield
    finally:
        utils.run_and_report = hydras_own


def _written_to(arguments: Sequence[str], command: str) -> list[Path]:
    """The folder that Hydra is going to make for the output of a job or a sweep."""
    several = bool({"-m", "--multirun"} & set(arguments))
    shows = any(flag in arguments for flag in ("--help", "-h", "--cfg", "-c"))
    if shows or not (several or command in ("train", "assess")):
        return []
    key, usual = ("hydra.sweep.dir", "multirun") if several else ("hydra.run.dir", "outputs")
    given = [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{key}=")]
    return [Path(given[-1].strip("'\"") if given else usual)]


def _refuse_undeclared(arguments: Sequence[str]) -> None:
    """Refuse a ``+key=value`` whose key is neither Hydra's nor a config group; Hydra itself would take any.

    Also its option that reads a pickle.

    Raises:
        UserError: names it.
    """
    for argument in arguments:
        if argument.startswith("--e"):  # however it is abbreviated
            raise UserError(f"{argument}: Hydra would unpickle the file, which can run anything. Give the overrides.")
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
