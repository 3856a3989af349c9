"""What ``--help`` of a command prints: the config groups that it uses, and every key with what it means.

Hydra prints the text of ``hydra.help.template``, which each command's YAML has as ``${help:}``. Imports nothing heavy.
"""

import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from ercsatz.config import registry
from ercsatz.config.experiment import listed
from ercsatz.config.keys import Key, keys_of, meanings, plain
from ercsatz.resources import resource

_COMPOSED_BY = {"data": ("benchmark", "mode")}  # which a data set chooses
_WIDEST, _NARROWEST = 120, 60


def register(command: str, schema: type, title: str, hide: Callable[[str], str], resolve: bool = False) -> None:
    """Have Hydra print the help of a command.

    Args:
        command: its name.
        schema: the dataclass of its configuration.
        title: a line that says what it does.
        hide: masks passwords and keys in a text.
        resolve: show what references stand for.
    """

    def text(*, _root_: DictConfig) -> str:
        composed = OmegaConf.create({key: _root_._get_node(key) for key in _root_ if key != "hydra"})
        if resolve:
            OmegaConf.resolve(composed)
        width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
        groups = groups_of(command, _root_.hydra.runtime.choices)
        keys = [_hidden(key, hide) for key in keys_of(schema, plain(composed))]
        return page(title, groups, keys, meanings(schema), width, listed(command)).replace("$", "$$")

    OmegaConf.register_new_resolver("help", text, replace=True)


def groups_of(command: str, chosen: Iterable[str]) -> dict[str, list[str]]:
    """The config groups that a command uses, each with its options.

    Args:
        command: its name.
        chosen: the groups from which its configuration is composed, as Hydra names them.
    """
    used = {group.partition("@")[0] for group in map(str, chosen)}
    used = {group for group in used if not group.startswith("hydra/")}
    used |= {other for group in used for other in _COMPOSED_BY.get(group, ())}
    options = GlobalHydra.instance().config_loader().get_group_options
    inner = {
        f"{group}/{each}" for group in used for folder in registry.config_folders() for each in _below(folder, group)
    }
    found = {group: sorted(options(group)) for group in sorted((used | inner) - _computed(command))}
    if "experiment" in found:
        found["experiment"] = [name for name in found["experiment"] if name in listed(command)]
    return found


def page(
    title: str,
    groups: Mapping[str, Sequence[str]],
    keys: Sequence[Key],
    sections: Mapping[str, str],
    width: int,
    experiments: Mapping[str, str],
) -> str:
    """The text, in lines of at most ``width`` characters.

    Args:
        title: what the command does.
        groups: options by config group.
        keys: of the command.
        sections: what the first parts of their names mean.
        width: at least 60.
        experiments: what each finds out, by name.
    """
    lines = [*_wrapped(title, width), "", "== Configuration groups =="]
    lines += [*_wrapped("Choose with GROUP=OPTION; after -m also several: GROUP=A,B", width), ""]
    for group, names in groups.items():
        lines += _wrapped(f"{group}: {', '.join(names)}", width, "", "    ")
    lines += ["", *(["Whole experiments, with -m:"] if experiments else ())]
    for name, about in experiments.items():
        lines += _beside(f"  experiment={name}", about, width)
    lines += ["", "== Keys =="] if experiments else ["== Keys =="]
    lines += _wrapped("Change with KEY=VALUE; after -m also several: KEY=A,B", width)
    section = None
    for key in sorted(keys, key=lambda key: "." in key.name):
        first = key.name.partition(".")[0] if "." in key.name else ""
        if first != section:
            lines += ["", *(_wrapped(f"{first}: {_plain(sections.get(first, ''))}", width) if first else ())]
        section = first
        lines += _described(key, width)
    last = "--cfg job prints all values as YAML, --hydra-help what Hydra itself takes."
    return "\n".join([*lines, "", *_wrapped(last, width)])


def shown(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {shown(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def told(key: Key) -> str:
    """The meaning of a key in plain text, with its choices unless it names them all."""
    text = _plain(key.meaning)
    if all(choice in text for choice in key.choices):
        return text
    return f"{text} ({', '.join(key.choices)})"


def _described(key: Key, width: int) -> list[str]:
    """A key and its value, and beside or below it what it means."""
    value = "" if ".NAME." in key.name else f"={shown(key.value)}"
    head = f"  {textwrap.shorten(f'{key.name}{value}', width - 2, placeholder=' ...')}"
    return _beside(head, told(key), width)


def _beside(head: str, text: str, width: int) -> list[str]:
    """A text in a column beside what it is about, or below where that is long."""
    column = 36 if width >= 100 else 30
    lines = _wrapped(text, width, " " * column, " " * column)
    if len(head) <= column - 2 and lines:
        lines[0] = head.ljust(column) + lines[0][column:]
        return lines
    return [head, *lines]


def _hidden(key: Key, hide: Callable[[str], str]) -> Key:
    """The same without passwords and keys in its value, before a part of one is cut off and no longer known as such."""
    return replace(key, value=hide(f"{key.name}={shown(key.value)}").partition("=")[2])


def _plain(text: str) -> str:
    return text.replace("``", "")


def _wrapped(text: str, width: int, first: str = "", further: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def _below(folder: Path, group: str) -> list[str]:
    return [each.name for each in (folder / group).glob("*") if any(each.glob("*.yaml"))]


def _computed(command: str) -> set[str]:
    """Groups of which the command's own YAML computes the option from others, so that nobody chooses it."""
    entries = registry.read(resource("conf") / f"{command}.yaml").get("defaults", [])
    given = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return {str(group).rpartition(" ")[2] for group, option in given if "${" in str(option)}
