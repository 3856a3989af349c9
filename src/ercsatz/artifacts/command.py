"""``ercsatz cache``: what is kept, how large and old it is and what it belongs to; pruning by age or size."""

import argparse
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from omegaconf import OmegaConf
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ercsatz import signals
from ercsatz.artifacts.inventory import Item, Pruned, items, prune
from ercsatz.config.command_line import named
from ercsatz.errors import UserError
from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log
from ercsatz.reporting.text import plain
from ercsatz.resources import resource

_SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_AGES = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: listed or pruned. 1: there is no cache, or it cannot be written, and the message says so.
    """
    options = _parser().parse_args(arguments)
    show_log()
    console = SafeConsole(soft_wrap=True)
    try:
        cache = options.folder or default_cache()
        if not cache.is_dir():
            raise UserError(f"There is no cache in {cache}. Name its folder (paths.cache): ercsatz cache FOLDER")
        if options.older_than is None and options.keep_under is None:
            _show(items(cache), cache, console)
        else:
            _show_pruned(_pruned(cache, options.older_than, options.keep_under), cache, console)
    except UserError as error:
        report(error)
        return 1
    return 0


def default_cache() -> Path:
    """The cache that commands use unless they are given another."""
    return Path(str(OmegaConf.load(resource("conf") / "paths" / "default.yaml").cache)).expanduser()


def _pruned(cache: Path, older_than: timedelta | None, keep_under: int | None) -> Pruned:
    try:
        return prune(cache, older_than, keep_under)
    except OSError as error:
        raise UserError(f"Cannot remove from {cache}: {error.strerror or error}. Mend its permissions.") from None


def _show(found: Sequence[Item], cache: Path, console: SafeConsole) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("kind", "key"):
        table.add_column(title, no_wrap=True)
    for title in ("size", "last used"):
        table.add_column(title, no_wrap=True, justify="right")
    table.add_column("belongs to", overflow="fold")
    for item in found:
        owner = f"{item.owner} (in use)" if item.in_use else item.owner
        cells = (item.kind, item.key, size_text(item.size), age_text(item), owner)
        table.add_row(*(Text(plain(cell)) for cell in cells))
    if found:
        console.print(table, soft_wrap=False)
    _say(console, f"{_counted(found)} in {cache}")


def _show_pruned(pruned: Pruned, cache: Path, console: SafeConsole) -> None:
    for verb, found in (("removed", pruned.removed), ("kept, in use:", pruned.kept)):
        for item in found:
            _say(console, f"{verb} {item.kind}/{item.key} ({size_text(item.size)}, {age_text(item)}, {item.owner})")
    _say(console, f"Removed {_counted(pruned.removed)}; {_counted(items(cache))} left in {cache}")


def _say(console: SafeConsole, text: str) -> None:
    console.print(Text(plain(text)))


def _counted(found: Sequence[Item]) -> str:
    return f"{len(found):,} {'entry' if len(found) == 1 else 'entries'}, {size_text(sum(item.size for item in found))}"


def size_text(size: int) -> str:
    """Bytes for people: ``512 MB``."""
    unit = next((unit for unit in reversed(_SIZES) if size >= _SIZES[unit]), None)
    return f"{size} B" if unit is None else f"{size / _SIZES[unit]:.3g} {unit}"


def age_text(item: Item) -> str:
    """How long an item was not used, for people: ``3 d``."""
    seconds = max(0.0, time.time() - item.used)
    unit = next((unit for unit in ("d", "h", "m") if seconds >= _AGES[unit]), None)
    return "now" if unit is None else f"{seconds / _AGES[unit]:.0f} {unit}"


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time. Give minutes, hours, days or weeks: 90m, 12h, 30d, 4w")
    return timedelta(seconds=float(match[1]) * _AGES[match[2]])


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]b)", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size. Give KB, MB, GB or TB: 500MB, 20GB")
    return int(float(match[1]) * _SIZES[match[2].upper()])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ercsatz cache", description="List what was computed once and kept, or prune it. What runs is not touched."
    )
    parser.add_argument(
        "folder", type=named, nargs="?", metavar="FOLDER", help="paths.cache; default: $ERCSATZ_CACHE, or cache"
    )
    parser.add_argument("--older-than", type=_age, metavar="TIME", help="remove what was not used for 30d, 12h, 4w")
    parser.add_argument(
        "--keep-under", type=_size, metavar="SIZE", help="remove what was not used for longest, down to 20GB"
    )
    return parser


if __name__ == "__main__":
    signals.run(main)
