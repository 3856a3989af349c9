"""Parts by name: one YAML in a config group, whose ``_target_`` is the class of the part's options.

The one mechanism for classifiers, backbones, generators, losses, loggers, callbacks, readers and measures, the shipped
ones and anybody's own. Own ones are found where Hydra finds their YAML: in a folder given with ``--config-dir`` or
``hydra.searchpath``, or in an installed package that names its folder of YAMLs as an entry point of the group
``ercsatz.conf``. Python files that lie in such a folder can be imported, so ``_target_: mine.MineConfig`` is the class
``MineConfig`` of ``mine.py`` beside the groups.

Imports nothing heavy: it is there before ``--help`` is answered.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from inspect import Parameter, signature
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from ercsatz.config.command_line import is_text
from ercsatz.config.yaml_files import load_yaml
from ercsatz.errors import UserError
from ercsatz.resources import resource

T = TypeVar("T")
ENTRY_POINTS = "ercsatz.conf"
NO_OPTIONS = frozenset({"wandb/sweep"})  # YAMLs that lie in a group's folder for somebody else: W&B's own command
_LOG = logging.getLogger(__name__)
_given: list[Path] = []  # config folders beside the shipped one, in the order they were given


def open_folders(folders: Iterable[Path]) -> None:
    """Look for parts in more config folders; Python files in them can be imported from now on."""
    for folder in map(Path.absolute, folders):
        if folder not in _given and folder != resource("conf"):
            _given.append(folder)
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # last: a file of a user's never hides a library


def config_folders() -> list[Path]:
    """Every config folder that is looked through, in Hydra's order: the shipped, given ones, installed packages'."""
    return [resource("conf"), *_given, *installed_folders()]


def own_folders() -> list[Path]:
    """The config folders that this run was given, without the shipped one and those of installed packages."""
    return list(_given)


def refuse_hidden(folders: Sequence[Path] | None = None) -> None:
    """Refuse a YAML that has the name of one in a folder before it, which Hydra would take in its place.

    Args:
        folders: config folders, the shipped one first; all that are looked through unless given.

    Also one that Hydra would take for the types of a command's keys, and a name that a terminal would obey.

    Raises:
        UserError: names both files.
    """
    taken = {file.relative_to(resource("conf")): "the shipped" for file in resource("conf").rglob("*.yaml")}
    for folder in (folders or config_folders())[1:]:
        for file in sorted(folder.glob("*_schema.yaml")):
            raise UserError(f"{file}: Hydra would take it for the types of a command's keys. Give it another name.")
        for file in sorted(folder.glob("*/*.yaml")):
            if not str(file.relative_to(folder)).isprintable():
                raise UserError(f"{str(file)!r}: the name has a control character. Give it another name.")
        for name, whose in taken.items():
            if (folder / name).is_file():
                raise UserError(f"{folder / name}: Hydra takes {whose} {name} in its place. Give yours another name.")
        taken |= {file.relative_to(folder): f"{folder}'s" for file in folder.glob("*/*.yaml")}


@cache
def installed_folders() -> tuple[Path, ...]:
    """Folders of YAMLs that installed packages bring: entry points of the group ``ercsatz.conf``, each a package."""
    specs = (find_spec(point.value) for point in entry_points(group=ENTRY_POINTS))
    return tuple(Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ())


def given_folders(arguments: Sequence[str]) -> list[Path]:
    """Folders that a command line gives: ``--config-dir``, ``-cd``, and ``hydra.searchpath=[...]``."""
    flags = ("--config-dir", "-cd")
    given = [following for argument, following in pairwise(arguments) if argument in flags]
    given += [argument.partition("=")[2] for argument in arguments if argument.startswith("--config-dir=")]
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.lstrip("+") == "hydra.searchpath":
            given += [entry.strip(" '\"").removeprefix("file://") for entry in value.strip("[]").split(",")]
    return [Path(folder) for folder in given if folder and "://" not in folder]


def choices(group: str, folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """The YAMLs of a config group by name; of two of one name, the one that Hydra takes.

    Args:
        group: the config group.
        folders: config folders, in Hydra's order; all that are looked through unless given.
    """
    looked_through = config_folders() if folders is None else folders
    files = [file for folder in looked_through for file in sorted((folder / group).glob("*.yaml"))]
    return {file.stem: file for file in reversed(files) if f"{group}/{file.stem}" not in NO_OPTIONS}


def options_class(name: str, group: str) -> Any:
    """The class that a YAML of a group names as its ``_target_``; None where there is no such YAML or it names none.

    Raises:
        UserError: its class cannot be imported.
    """
    file = choices(group).get(name)
    target = read(file).get("_target_") if file else None
    return None if target is None else _imported(str(target), f"{file}: _target_")


def read(file: Path) -> dict[str, Any]:
    """The keys of a YAML as they stand there; none where it holds no mapping.

    Raises:
        UserError: it is not YAML, or more than can be read.
    """
    found = load_yaml(file)
    return found if isinstance(found, dict) else {}


def check_overrides(
    arguments: Sequence[str], command: str, otherwise: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Refuse ``GROUP.OPTION=VALUE`` where a chosen part has no such option or no such value of it, before Hydra starts.

    Args:
        arguments: of the command line.
        command: whose configuration says what is chosen where the command line does not: ``train``, ...
        otherwise: what an experiment chooses in its place, by group.

    Raises:
        UserError: names the option and lists the right ones.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    given = [argument for argument in arguments if "=" in argument and not argument.startswith(("-", "+", "~"))]
    try:
        overrides = OverridesParser.create().parse_overrides(given)
    except HydraException:
        return  # Hydra says what is wrong
    values = {str(override.key_or_group): _values(override) for override in overrides}
    typed_in = {str(o.key_or_group): str(o.input_line).partition("=")[2] for o in overrides}
    for key, wanted in values.items():
        group, _, option = key.partition(".")
        if not option or not (resource("conf") / group).is_dir():
            continue
        for name in values.get(group) or (otherwise or {}).get(group) or _default(command, group):
            schema = options_class(str(name), group)
            for value in wanted if schema else ():
                _check_option(schema, option, value, group)
                _check_text(schema, option, value, group, typed_in[key])


def _values(override: Any) -> list[Any]:
    if override.is_sweep_override():
        return list(override.sweep_iterator()) if override.is_choice_sweep() else []
    return [override.value()]


def _default(command: str, group: str) -> list[str]:
    """What a command's own configuration chooses of a group."""
    entries = read(resource("conf") / f"{command}.yaml").get("defaults", [])
    return [str(entry[group]) for entry in entries if isinstance(entry, dict) and group in entry]


def _check_option(schema: type, option: str, value: Any, group: str) -> None:
    names = option.split(".")
    if isinstance(value, str) and "${" in value:
        return
    for name in reversed(names):
        value = {name: value}
    merge(schema, value, group)


def _check_text(schema: type, option: str, value: Any, group: str, written: str) -> None:
    """Raise where an option is a text and Hydra has read it as a number: ``2024_11`` as 202411."""
    if not isinstance(value, (bool, int, float)) or str(value) in written or not is_text(schema, option):
        return
    raise UserError(
        f"{group}.{option}={written} would be read as {value}. Put it in quotes, for the shell and for Hydra: "
        f"\"{group}.{option}='{written}'\""
    )


def load(path: str, where: str) -> Any:
    """What a dotted path names, ``package.module.Name``; a line of the log says which code from outside it is.

    Args:
        path: the dotted path.
        where: the key that gave it, for messages.

    Raises:
        UserError: the module cannot be imported, or has no such name.
    """
    found = _imported(path, where)
    tell(path)
    return found


@cache
def tell(path: str) -> None:
    """Say, once a process, which code from outside is run: what a dotted path names, and its file."""
    module = path.rpartition(".")[0]
    if module.partition(".")[0] != "ercsatz":
        _LOG.info("Runs code from outside: %s of %s", path, getattr(sys.modules[module], "__file__", None) or "Python")


def _imported(path: str, where: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(
            f"{where}={path}: cannot be imported ({error}). It must be MODULE.NAME, of a Python file in a folder given "
            "with --config-dir, or of an installed package."
        ) from None


def part(node: Any, base: Any, key: str, default: Any = None) -> Any:
    """The typed options of a part, made from what Hydra composed.

    Args:
        node: a mapping with ``_target_`` and the options; an object of ``base`` comes back as it is.
        base: what the class must derive from.
        key: the configuration's key, for messages.
        default: the class where the mapping names none.

    Raises:
        UserError: the class is not of this kind, or an option is unknown or has the wrong type.
    """
    if not isinstance(node, Mapping):
        return node
    target = node.get("_target_")
    if target is None and default is not None:
        return typed(node, default, key)
    if target is None:
        raise UserError(f"{key}: its YAML has no _target_. It must name the class of the options, a {base.__name__}.")
    found = load(str(target), f"{key}._target_")
    if not (isinstance(found, type) and issubclass(found, base) and is_dataclass(found)):
        raise UserError(f"{key}._target_={target}: must be a dataclass that derives from {base.__name__}.")
    return typed({name: value for name, value in node.items() if name != "_target_"}, found, key)


def instantiate(node: Mapping[str, Any], key: str, base: type[T]) -> T:
    """An object of the class that a part's YAML names as ``_target_``, made with its options as keyword arguments.

    Args:
        node: a mapping with ``_target_`` and the options.
        key: the configuration's key, for messages.
        base: what the class must derive from; nothing else is called.

    Raises:
        UserError: the class cannot be imported, is not of this kind, or does not take the options; the message says
            which it takes.
    """
    found, given = call_of(node, key)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"{key}._target_={node['_target_']}: must be a class that derives from {base.__name__}.")
    try:
        return found(**given)
    except Exception as error:
        raise UserError(f"{key}: {node['_target_']} could not be made ({type(error).__name__}: {error}).") from error


def call_of(node: Mapping[str, Any], key: str) -> tuple[Any, dict[str, Any]]:
    """The class and the arguments of a part that ``instantiate`` makes.

    Raises:
        UserError: the class cannot be imported, or does not take one of the arguments.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{key}: must have a _target_, the class to make, and its arguments.")
    found = load(str(node["_target_"]), f"{key}._target_")
    given = {str(name): value for name, value in node.items() if name != "_target_"}
    takes = signature(found).parameters
    unknown = [name for name in given if name not in takes]
    if unknown and not any(parameter.kind == Parameter.VAR_KEYWORD for parameter in takes.values()):
        known = ", ".join(takes)
        raise UserError(f"{key}.{unknown[0]}: {node['_target_']} takes no such argument. There are: {known}.")
    return found, given


def typed(options: Mapping[str, Any], schema: type[T], key: str) -> T:
    """Options as an object of their dataclass.

    Raises:
        UserError: an option is unknown (the message lists the right ones), is missing or has the wrong type.
    """
    merged = merge(schema, options, key)
    try:
        made: Any = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{key}: {reason}. Give it a value: {_place(key, error)}=VALUE") from None
    return made  # type: ignore[no-any-return]


def merge(schema: type, options: Mapping[str, Any], key: str) -> DictConfig:
    """Options in the structure of their dataclass.

    Raises:
        UserError: an option is unknown or has the wrong type.
    """
    try:
        return OmegaConf.merge(OmegaConf.structured(schema), dict(options))  # type: ignore[return-value]
    except ConfigKeyError as error:
        known = ", ".join(field.name for field in fields(schema))
        raise UserError(f"{_place(key, error)}: there is no such option. There are: {known}.") from None
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{_place(key, error)}: {reason}. Give it another value.") from None


def _place(key: str, error: OmegaConfBaseException) -> str:
    return f"{key}.{error.full_key}" if error.full_key else key
