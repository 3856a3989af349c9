"""Every key of a command, with what it means: the one source of ``--help`` and of docs/reference.md.

A meaning is what the docstring of a key's dataclass says below ``Attributes:``. Imports nothing heavy.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf

from ercsatz.config import registry

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)
_SECTION = re.compile(r"\n(?=\S)")


@dataclass(frozen=True)
class Key:
    """A key that can be set.

    Attributes:
        name: dotted; a part in capitals stands for names that are free.
        value: as it was composed, unresolved; None also where it has none of its own.
        meaning: one line; empty where its dataclass does not say.
        choices: the values that it can have, where they are few and fixed.
        schema: the dataclass that declares it; None: an argument of somebody else's class.
    """

    name: str
    value: Any
    meaning: str
    choices: tuple[str, ...] = ()
    schema: type | None = None


def meanings(schema: type) -> dict[str, str]:
    """What each field of a dataclass means, of those that its docstring or that of a class above it names."""
    found: dict[str, str] = {}
    for each in reversed(schema.__mro__):
        found |= _listed(each.__doc__, "Attributes")
    return found


def _listed(docstring: str | None, section: str) -> dict[str, str]:
    """What a section of a docstring says of each name."""
    _, _, listed = cleandoc(docstring or "").partition(f"\n{section}:\n")
    found = _ATTRIBUTE.findall(_SECTION.split(listed)[0])
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def keys_of(schema: type, node: Mapping[str, Any], before: str = "") -> Iterator[Key]:
    """The keys of a dataclass, those below its own nodes and its parts among them, in their order.

    Args:
        schema: the dataclass.
        node: what was composed of it, as plain values; may lack keys.
        before: the beginning of the names, with its dot.

    Raises:
        UserError: the class of a part cannot be imported.
    """
    hints, said = get_type_hints(schema), meanings(schema)
    for each in fields(schema):
        name, value, meaning = f"{before}{each.name}", node.get(each.name), said.get(each.name, "")
        inner = _schema_of(hints[each.name], value)
        of_dict = _values_of(hints[each.name])
        if inner is not None and isinstance(value, Mapping):
            yield from keys_of(inner, value, f"{name}.")
        elif of_dict is not None:
            yield Key(name, [*(value or {})], meaning, schema=schema)
            yield from keys_of(of_dict, {}, f"{name}.NAME.")
        elif hints[each.name] == dict[str, Any] and isinstance(value, Mapping) and _holds_parts(value):
            yield Key(name, [*value], meaning, schema=schema)
            yield from _arguments(value, f"{name}.")
        else:
            yield Key(name, value, meaning, _choices(hints[each.name]), schema)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """What was composed, as plain values; references as they are written."""
    made = OmegaConf.to_container(cfg, resolve=False, enum_to_str=True)
    assert isinstance(made, dict)
    return {str(name): value for name, value in made.items()}


def _schema_of(hint: Any, value: Any) -> type | None:
    """The dataclass of a node: the declared one, or of a part the one that its YAML names."""
    declared = next((kind for kind in _kinds(hint) if is_dataclass(kind)), None)
    if declared is None and hint is Any and isinstance(value, Mapping) and value.get("_target_", MISSING) != MISSING:
        declared = registry.load(str(value["_target_"]), "_target_")
    return declared if isinstance(declared, type) and is_dataclass(declared) else None


def _values_of(hint: Any) -> type | None:
    """The dataclass that the values of a mapping have."""
    for kind in _kinds(hint):
        if get_origin(kind) is dict and is_dataclass(get_args(kind)[1]):
            return get_args(kind)[1]  # type: ignore[no-any-return]
    return None


def _holds_parts(value: Mapping[str, Any]) -> bool:
    return any(isinstance(each, Mapping) and "_target_" in each for each in value.values())


def _arguments(parts: Mapping[str, Any], before: str) -> Iterator[Key]:
    """What the YAMLs of parts by name give their classes, which are not imported: Lightning's take seconds."""
    for name, node in parts.items():
        given = node if isinstance(node, Mapping) else {}
        target = str(given.get("_target_"))
        said = _arguments_of(target)
        for key, value in given.items():
            if key != "_target_":
                yield Key(f"{before}{name}.{key}", value, said.get(key, f"argument of {target}"))


def _arguments_of(target: str) -> dict[str, str]:
    """What the docstring of a class says below ``Args:``; read from its file, where a module of the path is its own."""
    module, _, name = target.rpartition(".")
    top, *inner = module.split(".")
    try:
        spec = find_spec(top)
    except ValueError:
        spec = None
    if spec is None or spec.origin is None:
        return {}
    file = Path(spec.origin).parent.joinpath(*inner).with_suffix(".py") if inner else Path(spec.origin)
    if not file.is_file() or file.suffix != ".py":
        return {}
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):  # importing it will say what is wrong
        return {}
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    return next((_listed(ast.get_docstring(node), "Args") for node in classes if node.name == name), {})


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(hint: Any) -> tuple[str, ...]:
    return tuple(
        member.name for kind in _kinds(hint) if isinstance(kind, type) and issubclass(kind, Enum) for member in kind
    )
