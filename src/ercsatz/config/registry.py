"""Parts by name: one YAML in a config group, whose ``_target_`` is the class of the part's options.

The one mechanism for classifiers, backbones, generators, losses, loggers, callbacks, readers and measures, the shipped
ones and anybody's own. Own ones are found where Hydra finds their YAML: in a folder given with ``--config-dir`` or
``hydra.searchpath``, or in an installed package that names its folder of YAMLs as an entry point of the group
``ercsatz.conf``. Python files that lie in such a folder can be imported, so ``_target_: mine.MineConfig`` is the class
``MineConfig`` of ``mine.py`` beside the groups.

Imports nothing heavy: it is there before ``--help`` is answered.
"""

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

from ercsatz.errors import UserError
from ercsatz.resources import resource

T = TypeVar("T")
ENTRY_POINTS = "ercsatz.conf"
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


def refuse_hidden() -> None:
    """Refuse a YAML in a given folder that has the name of a shipped one, which Hydra would take in its place.

    Raises:
        UserError: names the file.
    """
    for folder in _given:
        for file in sorted(folder.glob("*/*.yaml")):
            name = file.relative_to(folder)
            if (resource("conf") / name).is_file():
                raise UserError(f"{file}: Hydra takes the shipped {name} in its place. Give yours another name.")


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
    return {file.stem: file for file in reversed(files)}


def options_class(name: str, group: str) -> Any:
    """The class that a YAML of a group names as its ``_target_``; None where there is no such YAML or it names none.

    Raises:
        UserError: its class cannot be imported.
    """
    file = choices(group).get(name)
    target = read(file).get("_target_") if file else None
    return None if target is None else load(str(target), f"{file}: _target_")


def read(file: Path) -> dict[str, Any]:
    """The keys of a YAML as they stand there; none where it holds no mapping."""
    import yaml

    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def check_overrides(arguments: Sequence[str], command: str) -> None:
    """Refuse ``GROUP.OPTION=VALUE`` where a chosen part has no such option or no such value of it, before Hydra starts.

    Args:
        arguments: of the command line.
        command: whose configuration says what is chosen where the command line does not: ``train``, ...

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
    for key, wanted in values.items():
        group, _, option = key.partition(".")
        if not option or not (resource("conf") / group).is_dir():
            continue
        for name in values.get(group) or _default(command, group):
            schema = options_class(str(name), group)
            for value in wanted if schema else ():
                _check_option(schema, option, value, group)


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


def load(path: str, where: str) -> Any:
    """What a dotted path names: ``package.module.Name``.

    Args:
        path: the dotted path.
        where: the key that gave it, for messages.

    Raises:
        UserError: the module cannot be imported, or has no such name.
    """
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


def instantiate(node: Mapping[str, Any], key: str) -> Any:
    """An object of the class that a part's YAML names as ``_target_``, made with its options as keyword arguments.

    Raises:
        UserError: the class cannot be imported, or does not take the options; the message says which it takes.
    """
    found, given = call_of(node, key)
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
        raise UserError(f"{key}: {reason}. Give it a value: {key}.{error.full_key}=VALUE") from None
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
        raise UserError(f"{key}.{error.full_key}: there is no such option. There are: {known}.") from None
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{key}.{error.full_key}: {reason}. Give it another value.") from None
