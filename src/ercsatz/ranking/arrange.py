"""The names under which treatments and blocks are shown, and the order in which they stand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from ercsatz.errors import UserError
from ercsatz.ranking.scores import ScoreTable


class Arranged(NamedTuple):
    """A table under other names, and what each name was changed to."""

    table: ScoreTable
    treatments: Mapping[str, str]
    blocks: Mapping[str, str]


def arrange(table: ScoreTable, names: Mapping[str, str], order: Sequence[str]) -> Arranged:
    """Order treatments and blocks by the parts of their names, and show other names for these parts.

    Args:
        table: the scores, with the parts of its treatments and blocks.
        names: part to what it is shown as; others stay. Where there are any, the parts of a name are joined by a space.
        order: parts in the order in which they stand; what is not named comes behind, in the order of the table.

    Raises:
        UserError: two treatments, or two blocks, would be shown under one name.

    Example:
        >>> frame = pd.DataFrame({"nat": [0.5], "org": [0.4]}, index=["meld"])
        >>> arrange(ScoreTable.from_frame(frame), {"org": "Org"}, ["org", "nat"]).table.cells.columns.tolist()
        ['Org', 'nat']
    """
    block_keys = {str(block): table.block_keys.get(str(block), (str(block),)) for block in table.cells.index}
    treatments, blocks = (_ordered(keys, order) for keys in (table.keys, block_keys))
    new, new_blocks = (_named(keys, names) for keys in (table.keys, block_keys))

    def arranged(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.loc[blocks, treatments].rename(index=new_blocks, columns=new)

    shown = replace(
        table,
        cells=arranged(table.cells),
        seeds=arranged(table.seeds),
        spread=arranged(table.spread),
        keys={new[name]: _shown(table.keys[name], names) for name in treatments},
        block_keys={new_blocks[name]: _shown(block_keys[name], names) for name in blocks} if table.block_keys else {},
        unlearnt=frozenset((new_blocks[block], new[treatment]) for block, treatment in table.unlearnt),
    )
    return Arranged(shown, new, new_blocks)


def _shown(key: Iterable[str], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names.get(part, part) for part in key)


def _named(keys: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> dict[str, str]:
    if not names:
        return {name: name for name in keys}
    new = {name: " ".join(_shown(key, names)) for name, key in keys.items()}
    for name, shown in new.items():
        if twin := next((other for other in new if other != name and new[other] == shown), None):
            raise UserError(f"ranking.names would show {name} and {twin} under one name, {shown!r}. Give them two.")
    return new


def _ordered(keys: Mapping[str, tuple[str, ...]], order: Sequence[str]) -> list[str]:
    if not order:
        return list(keys)
    places = {part: place for place, part in reversed(list(enumerate(order)))}
    for key in keys.values():
        for part in key:
            places.setdefault(part, len(order) + len(places))
    return sorted(keys, key=lambda name: [places[part] for part in keys[name]])
