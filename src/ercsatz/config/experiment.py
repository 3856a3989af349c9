"""Whole experiments under a name: a YAML of ``experiment/`` that chooses parts, sets keys and says what it sweeps.

Imports nothing heavy: it is there before ``--help`` is answered.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from ercsatz.config.registry import choices, read
from ercsatz.errors import UserError

COMMANDS = ("generate", "train")
"""What experiments can be for."""

_KEY = re.compile(r"[A-Za-z_][\w.@/-]*")
_SHOWS = ("--help", "-h", "--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")
_VALUE = str | bool | int | float | None


@dataclass
class ExperimentConfig:
    """A sweep that is described in a YAML.

    Attributes:
        name: of the YAML.
        command: which it is for, ``generate`` or ``train``.
        about: what it finds out, on one line.
        cuts: sentences on what it leaves out of a published experiment.
        written_by: the experiment of ``generate`` that writes its data sets; null: ``generate.py`` as it is.
        sweep: products, each a mapping of keys to lists of values; the jobs are their union.
    """

    name: str = MISSING
    command: str = MISSING
    about: str = MISSING
    cuts: list[str] = field(default_factory=list)
    written_by: str | None = None
    sweep: list[Any] = MISSING


def plain(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``experiment=NAME`` for ``+experiment=NAME``, which Hydra would refuse: it means the same."""
    return [re.sub(r"^\+{1,2}experiment=", "experiment=", argument) for argument in arguments]


def chosen(arguments: Sequence[str]) -> str | None:
    """The experiment that a command line names, the last one as for every key; None where it names none."""
    given = [argument.partition("=")[2].strip("'\"") for argument in arguments if argument.startswith("experiment=")]
    return given[-1] if given and given[-1] != "null" else None


def described(name: str, seen: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What a YAML says under ``experiment``, with what it takes over from the experiments in its defaults.

    Raises:
        UserError: it is not YAML.
    """
    file = choices("experiment").get(name)
    if file is None or name in seen:
        return {}
    content, found = read(file), dict[str, Any]()
    for entry in content.get("defaults") or ():
        if isinstance(entry, str) and entry != "_self_":
            found |= described(entry, seen | {name})
    own = content.get("experiment")
    return found | (own if isinstance(own, dict) else {})


def parts(arguments: Sequence[str]) -> dict[str, list[str]]:
    """The parts that the experiment of a command line chooses, by config group; several where it sweeps over them."""
    name = chosen(arguments) or ""
    content = read(choices("experiment")[name]) if name in choices("experiment") else {}
    found: dict[str, list[str]] = {}
    for entry in content.get("defaults") or ():
        for key, value in entry.items() if isinstance(entry, dict) else ():
            found[str(key).split()[-1].strip("/")] = [str(value)]
    for product in described(name).get("sweep") or ():
        for key, values in product.items() if isinstance(product, dict) else ():
            found[str(key)] = [*found.get(str(key), []), *map(str, values if isinstance(values, list) else [])]
    return found


def refuse_wrong(arguments: Sequence[str], command: str) -> None:
    """Refuse an experiment that cannot be run by this command line, before Hydra starts.

    Args:
        arguments: of the command line.
        command: that is run.

    Raises:
        UserError: it is another command's, there are several, or ``-m`` is missing; the message says what to type.
    """
    name = chosen(arguments)
    if name is None:
        return
    if command not in COMMANDS:
        raise UserError(f"experiment={name}: {command} has no experiments; {' and '.join(COMMANDS)} have.")
    if not name.isidentifier() and re.search(r"[,()]", name):
        raise UserError(f"experiment={name}: one at a time. Each is a sweep of its own.")
    if name not in choices("experiment"):
        known = ", ".join(listed(command))
        raise UserError(f"experiment={name}: there is no such experiment. Those of {command} are: {known}.")
    node, file = described(name), choices("experiment")[name]
    if node.get("command") not in COMMANDS:
        raise UserError(f"{file}: experiment.command: must be {' or '.join(COMMANDS)}, the command that it is for.")
    others = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    if node["command"] != command:
        line = shlex.join(["python", f"{node['command']}.py", "-m", f"experiment={name}"])
        raise UserError(f"experiment={name} is for {node['command']}: {line}")
    several = {"-m", "--multirun", "hydra.mode=MULTIRUN"} & {*arguments}
    if not several and not any(argument.split("=")[0] in _SHOWS for argument in arguments):
        line = shlex.join(["python", f"{command}.py", "-m", *others])
        raise UserError(f"experiment={name} is a sweep, and needs -m: {line}")


def listed(command: str) -> dict[str, str]:
    """The experiments of a command, each with its line ``about``."""
    found = {name: described(name) for name in sorted(choices("experiment"))}
    return {name: str(node.get("about", "")) for name, node in found.items() if node.get("command") == command}


def check(experiment: ExperimentConfig, name: str) -> None:
    """Refuse an experiment that makes no sense.

    Args:
        experiment: as it was composed.
        name: of its YAML.

    Raises:
        UserError: names the file and the key.
    """
    for problem in _problems(experiment, name):
        raise UserError(f"{choices('experiment').get(name, name)}: experiment.{problem}")


def _problems(experiment: ExperimentConfig, name: str) -> Iterator[str]:
    if experiment.name != name:
        yield f"name: {experiment.name}: must be {name}, the name of the YAML."
    if experiment.command not in COMMANDS:
        yield f"command: {experiment.command}: must be {' or '.join(COMMANDS)}."
    if not experiment.sweep:
        yield "sweep: is empty. It must be a list of products, each a mapping of keys to lists: {seed: [0, 1, 2]}."
    for number, product in enumerate(experiment.sweep):
        if not isinstance(product, Mapping) or not product:
            yield f"sweep[{number}]: {product}: must be a mapping of keys to lists of values: {{seed: [0, 1, 2]}}."
            return
        for key, values in product.items():
            if problem := _key_problem(str(key)) or _values_problem(values):
                yield f"sweep[{number}].{key}: {problem}"


def _key_problem(key: str) -> str | None:
    if not _KEY.fullmatch(key):
        return "is no key. Keys are written as on the command line, without '+' and '~'."
    parts = re.split("[./@]", key)
    if parts[0] in ("hydra", "experiment"):
        return f"only the command line says {parts[0]}.KEY=VALUE."
    if "_target_" in parts or key.endswith("benchmark.reader"):
        return "names code, which only the YAML of a part may do."
    return None


def _values_problem(values: Any) -> str | None:
    if not isinstance(values, list) or not values:
        return f"{values}: must be a list of values, of one at least: [{values}]."
    for number, value in enumerate(values):
        flat = value if isinstance(value, list) else [value]
        if not all(isinstance(each, _VALUE) for each in flat):
            return f"{value}: a value must be a word, a number, true, false, null, or a list of these."
        if value in values[:number]:
            return f"{value}: is there twice."
    return None
