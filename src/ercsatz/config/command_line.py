"""What of a command line Hydra would misread: names of files and folders, values that are empty.

Imports nothing heavy: it is there before ``--help`` is answered.
"""

import os
import re
import shlex
from argparse import ArgumentTypeError
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import ListConfig, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException

from ercsatz.errors import UserError

_FROM_OUTSIDE = ("ERCSATZ_", "HF_", "HUGGING", "OPENAI_", "TRANSFORMERS_", "WANDB_", "XDG_")

_REFERENCE = re.compile(r"(?<!\\)\$\{([\w.]+)\}")
# Last parts of keys that name a file or a folder, where even a quoted empty text is none.
_PLACES = {"data", "cache", "path", "output", "scores", "checkpoint", "dialogues", "journal", "sweep", "dir", "atomic"}
_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c", "--package", "-p")


def unset_empty() -> None:
    """Take variables without a value out of the environment: for each library that reads them, empty is unset.

    Of those that name folders an empty one would be the root of the file system, or the working directory.
    """
    for name in [name for name in os.environ if name.startswith(_FROM_OUTSIDE) and not os.environ[name].strip()]:
        del os.environ[name]


def named(text: str) -> Path:
    """A file or folder of an argument, for ``argparse``, which says that an empty one is none."""
    if not text.strip():
        raise ArgumentTypeError("the name is empty. Was a variable of the shell empty?")
    return Path(text)


def readable(arguments: Sequence[str], schema: type) -> list[str]:
    """The arguments as Hydra reads what the user means: where a key is a text, numbers and odd names are quoted.

    ``scores=2024_11`` would be 202411, and Hydra's grammar has no ``=``, ``#`` or letter beyond ASCII in a value.

    Args:
        arguments: of the command line.
        schema: the dataclass of the command's configuration.

    Raises:
        UserError: a value is empty, or cannot be read; the message says how to write it.
    """
    if any(first in _FLAGS and not second.strip() for first, second in pairwise(arguments)) or any(
        argument.startswith("--") and argument.endswith("=") for argument in arguments
    ):
        raise UserError("--config-dir, or another option, has an empty value. Was a variable of the shell empty?")
    several = bool({"-m", "--multirun"} & set(arguments))
    values = {second for first, second in pairwise(arguments) if first in _FLAGS}
    return [
        argument
        if argument.startswith(("-", "~")) or "=" not in argument or argument in values
        else _readable(argument, schema, several)
        for argument in arguments
    ]


def refuse_blocked(folders: Iterable[Path]) -> None:
    """Refuse folders to write to that cannot be made, because they or one above them is a file.

    Raises:
        UserError: names the file.
    """
    for folder in folders:
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise UserError(
                    f"{place} is a file where a folder is to be made. Move it away, or give another folder."
                )


def _readable(argument: str, schema: type, several: bool) -> str:
    key, _, raw = argument.partition("=")
    name = key.lstrip("+")
    if not raw.strip() or (not raw.strip("'\" ") and name.split(".")[-1] in _PLACES):
        raise UserError(
            f"{argument}: the value is empty. Leave it out for the default, or write {key}=null for none. Was a "
            "variable of the shell empty?"
        )
    try:
        value = _value(argument)
    except ValueError as error:
        if (meant := _meant(raw, schema, name, several)) != raw:
            return f"{key}={meant}"
        written = shlex.quote(f"{key}={quoted(raw)}")
        raise UserError(f"{argument}: Hydra cannot read it ({error}). Put odd values in quotes: {written}") from None
    plain = value is None or (str(value) == raw and "${" not in raw)
    return argument if plain else f"{key}={_meant(raw, schema, name, several)}"


def _meant(raw: str, schema: type, key: str, several: bool) -> str:
    """A value with quotes around each text in it that Hydra would not read as it stands; others as they are."""
    node = _node(schema, key)
    if is_text(schema, key) and raw[0] not in "'\"":
        if Path(raw).exists():
            return quoted(raw)
        _refuse_unresolved(raw, schema, key)
        if several and "," in raw and "(" not in raw:  # a sweep over texts
            return ",".join(map(_word, raw.split(",")))
        return _word(raw)
    listed = isinstance(node, ListConfig) and node._metadata.element_type is str
    if listed and raw[0] == "[" and raw[-1] == "]" and not set(raw[1:-1]) & set("[]'\""):
        return f"[{','.join(_word(word.strip()) for word in raw[1:-1].split(','))}]" if raw[1:-1].strip() else raw
    return raw


def _refuse_unresolved(raw: str, schema: type, key: str) -> None:
    """Raise where ``${...}`` is no other key's value: Hydra would end in a traceback."""
    known = {"hydra", *(field.name for field in fields(schema))}
    if unknown := [found[0] for found in _REFERENCE.finditer(raw) if found[1].partition(".")[0] not in known]:
        raise UserError(
            f"{key}={raw}: {unknown[0]} is no other key's value. Where ${{ is part of a name, write \\${{ in quotes: "
            f"{shlex.quote(f'{key}={quoted(raw)}')}"
        )


def _word(text: str) -> str:
    """A text in quotes, unless it is one without them, or asks Hydra for more: another key's value, a sweep."""
    try:
        value = _value(f"key={text}")
    except ValueError:
        return quoted(text)
    return quoted(text) if isinstance(value, (bool, int, float)) and str(value) != text else text


def _value(argument: str) -> Any:
    """What Hydra makes of an override; a sweep as it is.

    Raises:
        ValueError: it cannot be parsed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        (override,) = OverridesParser.create().parse_overrides([argument])
        return override if override.is_sweep_override() else override.value()
    except HydraException as error:
        raise ValueError(str(error).splitlines()[0]) from None


def written(value: object) -> str:
    """A value as it is typed on the command line: a text, a number, true, false, null, or a list of them.

    Example:
        >>> written("compm"), written("2024_11"), written(["org", None])
        ('compm', "'2024_11'", '[org,null]')
    """
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if not isinstance(value, str):
        return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    bare = re.fullmatch(r"[\w./:+-]+", value, re.ASCII) and _word(value) == value and _value(f"key={value}") == value
    return value if bare else quoted(value)


def quoted(value: str) -> str:
    """A text in the quotes that Hydra's grammar has, read back as it is."""
    plain = value.replace("${", "\\${")
    # a backslash is itself, unless it stands before a quotation mark
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), plain) + "'"


def is_text(schema: type, key: str) -> bool:
    """Whether a key of a dataclass is a text."""
    return isinstance(_node(schema, key), StringNode)


def _node(schema: type, key: str) -> Any:
    """The typed place of a key; None where there is none or its type is not known."""
    node: Any = OmegaConf.structured(schema)
    try:
        for part in key.split("."):
            node = node._get_node(part)
    except (AttributeError, TypeError, OmegaConfBaseException):
        return None
    return node
