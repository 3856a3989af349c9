"""YAML files, which may come from anybody: read in bounded time and memory. Imports nothing heavy."""

import re
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError

LARGEST = 4 << 20  # bytes
DEEPEST = 50  # mappings and lists in one another
MOST = 100_000  # values, each counted as often as aliases repeat it

_NUMBER = re.compile(r"[-+]?\d[\d:_]{100}")  # YAML reads 1:30 as 90, in a time that grows with the square


def load_yaml(file: Path) -> Any:
    """What a YAML file holds.

    Raises:
        UserError: it cannot be read, is not YAML, has a key twice, or is too large, too deep or too often repeated by
            aliases.
    """
    try:
        with file.open("rb") as stream:
            return parse_yaml(stream.read(LARGEST + 1), file)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}.") from None


def parse_yaml(content: bytes, file: Path) -> Any:
    """What the content of a YAML file holds.

    Raises:
        UserError: as of ``load_yaml``; begins with ``file``.
    """
    import yaml

    if len(content) > LARGEST:
        raise UserError(f"{file}: larger than {LARGEST:,} bytes, which is the most that a YAML may have.")
    try:
        text = content.decode("utf-8-sig")
        _check(text, file)
        return yaml.load(text, _loader())
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}. Convert it, e.g. with iconv -t UTF-8.") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # the last two of impossible dates, numbers and keys
        raise UserError(f"{file}: not valid YAML: {error}") from None


def _loader() -> Any:
    """The C loader, ten times as fast, where there is one; what would overflow its stack has been refused by then."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check(text: str, file: Path) -> None:
    """Look at the parser's events, which come before any value is made."""
    import yaml

    sizes: dict[str | None, int] = {}
    outer: list[tuple[str | None, int]] = []  # anchor and values so far of each mapping or list that is open
    keys = _Keys(file)
    total = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = outer.pop()
            sizes[anchor] = total - size
            keys.close()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        line = event.start_mark.line + 1 if event.start_mark else 0
        keys.node(event, line)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in outer}:
                raise UserError(f"{file}, line {line}: *{event.anchor} stands in what it repeats.")
            total += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            outer.append((event.anchor, total))
        elif isinstance(event, yaml.ScalarEvent):
            if not event.style and _NUMBER.match(event.value):
                raise UserError(f"{file}, line {line}: a number of more than 100 digits.")
            sizes[event.anchor] = 1
        total += 1
        if len(outer) > DEEPEST:
            raise UserError(f"{file}, line {line}: more than {DEEPEST} mappings and lists in one another.")
        if total > MOST:
            raise UserError(f"{file}, line {line}: more than {MOST:,} values, those of aliases (*name) included.")


class _Keys:
    """The keys of the mappings that are open: of a key that is there twice, YAML would take one and say nothing."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: list[set[str] | None] = []  # None: a list
        self._key_next: list[bool] = []

    def node(self, event: Any, line: int) -> None:
        """A key, a value, or the beginning of one."""
        import yaml

        if self._open and (keys := self._open[-1]) is not None:
            if self._key_next[-1] and isinstance(event, yaml.ScalarEvent) and event.value != "<<":
                if event.value in keys:
                    raise UserError(f"{self._file}, line {line}: the key {event.value!r} is there twice. Leave one.")
                keys.add(event.value)
            self._key_next[-1] = not self._key_next[-1]
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
            self._key_next.append(True)

    def close(self) -> None:
        """The end of a mapping or list."""
        self._open.pop()
        self._key_next.pop()
