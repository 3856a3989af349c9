"""Write one part of a sidecar and keep the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError
from ercsatz.knowledge.sidecar import SidecarEntry, read_known, writing
from ercsatz.knowledge.texts import Key, Splits, Texts


@contextmanager
def adding(path: Path, splits: Splits, part: str, by: str, overwrite: bool) -> Iterator[Callable[[SidecarEntry], None]]:
    """Give what takes one entry after the other and writes it with what the sidecar says already.

    Lines about utterances that no entry comes for stay as they are. The file changes at the end, or not at all.

    Args:
        path: the sidecar, which need not be there.
        splits: all that the data set has.
        part: ``retrieved`` or ``generated``, in which the entries have something new.
        by: where that is from.
        overwrite: whether the part may replace what is from elsewhere.

    Raises:
        UserError: the sidecar cannot be read or written or is about other texts, it has the part from elsewhere, or
            no entry has anything new.
    """
    there = _read(path, splits) if path.is_file() else {}
    others = {entry.by.get(part, "an unnamed source") for entry in there.values() if getattr(entry, part)} - {by}
    if others and not overwrite:
        listed = "; ".join(sorted(others))
        raise UserError(
            f"{path} has {part} knowledge from {listed}; what is to come is from {by}. "
            "Replace it with overwrite=true; the other part is kept."
        )
    n_new = 0
    with writing(path) as write:

        def put(entry: SidecarEntry) -> None:
            old = there.pop(entry.key, entry)
            new: Any = {part: getattr(entry, part)}
            nonlocal n_new
            n_new += bool(new[part])
            write(replace(old, **new, by={**old.by, part: by}))

        yield put
        if not n_new:
            raise UserError(f"Nothing is {part} for any utterance (from {by}), so {path} was not written.")
        for entry in there.values():
            write(entry)


def _read(path: Path, splits: Splits) -> dict[Key, SidecarEntry]:
    texts, entries = Texts(path.stem, splits), {}
    for where, entry in read_known(path):
        texts.check(where, entry.key, entry.text)
        entries[entry.key] = entry
    return entries
