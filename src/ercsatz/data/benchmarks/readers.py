"""What ``benchmark.reader`` names: the shipped readers by name, one's own as ``MODULE.FUNCTION``."""

import sys
from collections.abc import Callable, Iterable, Mapping
from inspect import signature

from ercsatz.config.registry import load
from ercsatz.data.benchmarks import emorynlp, emorynlp_csv, iemocap, jsonl, meld, tab, table
from ercsatz.data.benchmarks.parsing import Source
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError

Reader = Callable[[Source], Iterable[Dialogue]]

READERS: Mapping[str, Reader] = {
    "meld": meld.read,
    "emorynlp": emorynlp.read,
    "emorynlp_csv": emorynlp_csv.read,
    "iemocap": iemocap.read,
    "jsonl": jsonl.read,
    "tab": tab.read,
    "table": table.read,
}
_CONTRACT = "A reader is a function of one argument, the Source of a split, that returns the Dialogues of the split"


def reader(name: str) -> Reader:
    """The function that reads a split.

    Args:
        name: of a shipped reader, or the dotted path of any function.

    Raises:
        UserError: there is no such reader, or it is no function of one argument.
    """
    if name in READERS:
        return READERS[name]
    key = "benchmark.reader"
    if "." not in name:
        known = ", ".join(READERS)
        raise UserError(f"{key}={name}: no such reader; there are: {known}. One of your own is named MODULE.FUNCTION.")
    if name.partition(".")[0] in sys.stdlib_module_names:  # whose functions do other things than read
        raise UserError(f"{key}={name}: Python's own modules have no readers. {_CONTRACT}.")
    found = load(name, key)
    try:
        signature(found).bind(None)
    except (TypeError, ValueError):
        raise UserError(f"{key}={name}: cannot be called with a Source. {_CONTRACT}.") from None
    return found  # type: ignore[no-any-return]


def read_split(name: str, source: Source) -> tuple[Dialogue, ...]:
    """The dialogues that a reader finds in a split.

    Raises:
        UserError: there is no such reader, it refuses the file, or it returns something else.
    """
    found = reader(name)(source)
    dialogues = tuple(found) if isinstance(found, Iterable) else (found,)
    for each in dialogues:
        if not isinstance(each, Dialogue):
            raise UserError(f"benchmark.reader={name}: returned a {type(each).__name__}. {_CONTRACT}.")
    return dialogues
