"""Write docs/reference.md, every configuration key: python docs/write_reference.py.

From what ``--help`` shows: the groups and keys of each command, and what the keys' dataclasses say of them.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ercsatz import config
from ercsatz.config import SCHEMAS, help, registry
from ercsatz.config.keys import Key, keys_of, meanings, plain
from ercsatz.resources import resource

PAGE = Path(__file__).with_name("reference.md")
COMMANDS = ("train", "generate", "assess", "rank", "predict", "knowledge")
LONGEST = 60  # characters of a value
INTRODUCTION = """# Reference: every configuration key

What `python COMMAND.py --help` shows, on one page. It is written by `python docs/write_reference.py` from the same
source, the docstrings of the dataclasses that type the configuration (`src/ercsatz/config/` and the file of each part).
Do not edit it by hand.

A key is changed by `KEY=VALUE`, a group's option chosen by `GROUP=OPTION`; after `-m` both take several, separated by
commas. `--help` shows your own parts too, with `--config-dir FOLDER`. `NAME` stands for names that are free. The values
are those without any choice; `${...}` is another key's value, `???` has to be given.
"""


def page() -> str:
    """The whole page."""
    GlobalHydra.instance().clear()
    config.register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        lines = [INTRODUCTION, *_commands(), *_sections(), *_parts()]
    GlobalHydra.instance().clear()
    return "\n".join(lines)


def _commands() -> Iterator[str]:
    for command in COMMANDS:
        groups, keys = _shown(command)
        sections = dict.fromkeys(_first(key) for key in keys if "." in key.name)
        yield f"\n## {command}.py\n"
        yield "| group | options |\n|---|---|"
        yield from (
            f"| `{group}` | {', '.join(f'`{each}`' for each in options)} |" for group, options in groups.items()
        )
        own = [key for key in keys if "." not in key.name]
        yield from _table(own)
        listed = (f"[`{each}`](#{_anchor(_title(command, each))})" for each in sections)
        yield f"\nAnd the keys of {', '.join(listed)}."


def _sections() -> Iterator[str]:
    """Those that are the same in several commands once."""
    seen = set()
    for command in COMMANDS:
        _, keys = _shown(command)
        parts = _part_groups(command)
        for section in dict.fromkeys(_first(key) for key in keys if "." in key.name):
            title = _title(command, section)
            if title in seen:
                continue
            seen.add(title)
            yield f"\n## {title}\n\n{_sentence(meanings(SCHEMAS[command])[section])}"
            if section in parts:
                yield f"\nIts keys are those of the chosen part: see `{section}=...` below."
            else:
                yield from _table([key for key in keys if _first(key) == section and "." in key.name])


def _parts() -> Iterator[str]:
    """The options of every part."""
    seen = set()
    for command in COMMANDS:
        groups, _ = _shown(command)
        for group in _part_groups(command):
            for option in groups[group]:
                _, keys = _shown(command, f"{group}={option}")
                own = [key for key in keys if key.name.startswith(f"{group}.")]
                if own and (group, option) not in seen:
                    yield f"\n## {group}={option}"
                    yield from _table(own)
                seen.add((group, option))


@cache
def _shown(command: str, *overrides: str) -> tuple[dict[str, list[str]], list[Key]]:
    """Groups and keys, as ``--help`` has them."""
    cfg = compose(command, [*overrides], return_hydra_config=True)
    groups = help.groups_of(command, cfg.hydra.runtime.choices)
    return groups, [*keys_of(SCHEMAS[command], plain(cfg))]


def _part_groups(command: str) -> list[str]:
    """The groups whose options are parts: their YAMLs name a class."""
    return [group for group in _shown(command)[0] if any(map(_names_class, registry.choices(group).values()))]


def _names_class(file: Path) -> bool:
    node = registry.read(file)
    return any("_target_" in each for each in (node, *node.values()) if isinstance(each, dict))


def _title(command: str, section: str) -> str:
    """Names a section; where commands differ in it, with those that it is of."""
    hint = SCHEMAS[command].__dataclass_fields__[section].type
    same = [
        each
        for each in COMMANDS
        if (field := SCHEMAS[each].__dataclass_fields__.get(section)) is not None and field.type == hint
    ]
    others = [each for each in COMMANDS if section in SCHEMAS[each].__dataclass_fields__]
    return section if same == others else f"{section} of {', '.join(f'{each}.py' for each in same)}"


def _sentence(meaning: str) -> str:
    text = meaning.replace("``", "`")
    return f"{text[0].upper()}{text[1:]}."


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _first(key: Key) -> str:
    return key.name.partition(".")[0]


def _table(keys: Sequence[Key]) -> list[str]:
    rows = ["\n| key | value | what it is |\n|---|---|---|"]
    for key in keys:
        value = "" if ".NAME." in key.name else help.shown(key.value)
        value = value if len(value) <= LONGEST else f"{value[: LONGEST - 4]} ..."
        cells = (f"`{key.name}`", f"`{value}`" if value else "", help.told(key))
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return rows


if __name__ == "__main__":
    PAGE.write_text(page() + "\n", encoding="utf-8")
