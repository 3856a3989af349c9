"""Scores as people write them: ``65.2 ± 0.4``, ``65,2``, ``65.2%``, ``**65.2**``."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal

from ercsatz.errors import UserError
from ercsatz.ranking.spreadsheet import Cell

_NUMBER = r"[-+\u2212]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?"
_SPREAD = (
    rf"(?:±|\+/-|\+-|\\pm)\s*{_NUMBER}\s*%?|\(\s*±?\s*{_NUMBER}\s*%?\s*\)|\[\s*{_NUMBER}\s*[,;\u2013-]\s*{_NUMBER}\s*\]"
)
_SCORE = re.compile(rf"({_NUMBER})\s*(%?)\s*((?:(?:{_SPREAD})\s*)*)(%?)")
_LATEX = re.compile(r"\\(?:textbf|underline|mathbf|bm|textit)\s*\{([^{}]*)\}")
_MARKS = re.compile(r"[*†‡]+$")


def is_score(cell: Cell) -> bool:
    """Whether a cell is a number, or a text in which a score stands."""
    return is_number(cell) or (isinstance(cell, str) and _SCORE.fullmatch(_unmarked(cell)) is not None)


def is_number(cell: Cell) -> bool:
    """Whether a cell is a number, or a text that is nothing but one; NaN is."""
    if cell is None or (isinstance(cell, str) and "_" in cell):  # which Python would pass over
        return False
    try:
        float(cell)
    except (ValueError, OverflowError):
        return False
    return True


def read_numbers(cells: Sequence[tuple[str, Cell]]) -> tuple[list[float], list[str]]:
    """The scores of a table.

    Args:
        cells: all of them, each with its place.

    Returns:
        The numbers, NaN where there is none, and a sentence for each way of writing that had to be read.

    Raises:
        UserError: a cell is no score, or could be two; names its place.
    """
    written = [(where, cell) for where, cell in cells if isinstance(cell, str) and not is_number(cell)]
    found = {cell: match for _, cell in written if (match := _SCORE.fullmatch(_unmarked(cell)))}
    _check_commas(cells, found)
    _check_percent(cells, found)
    numbers = [_number(where, cell, found) for where, cell in cells]
    return numbers, _notes(found)


def values(cells: Sequence[Cell]) -> list[float]:
    """The numbers of a column as far as there are any, else NaN."""
    found = {cell: match for cell in cells if isinstance(cell, str) and (match := _SCORE.fullmatch(_unmarked(cell)))}
    return [_number("", cell, found) if is_score(cell) and _is_finite(cell) else math.nan for cell in cells]


def _is_finite(cell: Cell) -> bool:
    return not is_number(cell) or math.isfinite(float(cell or 0))


def _number(where: str, cell: Cell, found: dict[str, "re.Match[str]"]) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, str) and cell in found:
        match = found[cell]
        text = match[1].replace(",", ".").replace("\u2212", "-")
        return float(Decimal(text) / 100) if match[2] or match[4] else float(text)
    value = float(cell) if is_number(cell) else math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {str(cell)!r} is not a number. Leave the cell empty where there is no score.")
    return value


def _check_commas(cells: Sequence[tuple[str, Cell]], found: dict[str, "re.Match[str]"]) -> None:
    """Raise where a comma may divide thousands: none of the table's has other than three digits after it."""
    commas = [cell for cell in found if "," in found[cell][1]]
    if not commas:
        return
    where = next(where for where, cell in cells if cell == commas[0])
    pointed = [cell for _, cell in cells if isinstance(cell, str) and "." in _first(cell, found)]
    if pointed:
        raise UserError(
            f"{where}: {commas[0]!r} has a comma where {pointed[0]!r} has a point. Write all with decimal points."
        )
    if not any(re.fullmatch(r"[-+\u2212]?(0?,\d+|\d+,(\d{0,2}|\d{4,}))", found[cell][1]) for cell in commas):
        raise UserError(
            f"{where}: {commas[0]!r} is not a number that can be told from thousands. Write decimal points."
        )


def _first(cell: str, found: dict[str, "re.Match[str]"]) -> str:
    return found[cell][1] if cell in found else cell


def _check_percent(cells: Sequence[tuple[str, Cell]], found: dict[str, "re.Match[str]"]) -> None:
    signed = {cell for cell, match in found.items() if match[2] or match[4]}
    with_sign = [(where, cell) for where, cell in cells if cell in signed]
    if with_sign and len(with_sign) < sum(cell is not None for _, cell in cells):
        where, cell = with_sign[0]
        raise UserError(f"{where}: {cell!r} is not a number as others are, without %. Remove the % in every cell.")


def _notes(found: dict[str, "re.Match[str]"]) -> list[str]:
    kinds = {
        "Only the first number of scores such as {0!r} is read: not what follows it.": [
            c for c in found if found[c][3]
        ],
        "Commas, as in {0!r}, are read as decimal points.": [c for c in found if "," in found[c][1]],
        "Scores in per cent, as {0!r}, are read as shares of 1.": [c for c in found if found[c][2] or found[c][4]],
        "Marks at scores, as in {0!r}, are passed over.": [c for c in found if _unmarked(c) != c],
    }
    return [sentence.format(cells[0]) for sentence, cells in kinds.items() if cells]


def _unmarked(cell: str) -> str:
    plain = _LATEX.sub(r"\1", cell).replace("$", "").replace("**", "").strip()
    return _MARKS.sub("", plain).strip()
