"""EmoryNLP as cut for the MELD repository, ``emorynlp_*_final.csv``: a row an utterance, fewer of them."""

import ast

from ercsatz.data.benchmarks.parsing import Source, csv_rows, grouped, in_order, several
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError


def read(source: Source) -> list[Dialogue]:
    """Read one split; a scene is a dialogue, with an id like the full release's ``s01_e02_c03``.

    A line that several characters speak at once has one speaker, ``Monica Geller and Phoebe Buffay``. The column
    ``Utterance_ID``, where it is there, must count the turns.

    Raises:
        UserError: the file is not as published; the message names the line.
    """
    source.choices({})
    rows = csv_rows(source.path, ("Utterance", "Speaker", "Emotion", "Scene_ID", "Season", "Episode"))
    return grouped(
        (_scene(row, where), source.turn(_speaker(row["Speaker"], where), row["Utterance"], row["Emotion"], where))
        for where, row in in_order(rows, ("Season", "Episode", "Scene_ID"))
    )


def _scene(row: dict[str, str], where: str) -> str:
    try:
        season, episode, scene = (int(row[column]) for column in ("Season", "Episode", "Scene_ID"))
    except ValueError as error:
        raise UserError(f"{where}: Season, Episode and Scene_ID must be whole numbers ({error}).") from None
    return f"s{season:02d}_e{episode:02d}_c{scene:02d}"


def _speaker(field: str, where: str) -> str:
    try:
        return several(ast.literal_eval(field), where)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two where it is nested too deeply
        raise UserError(f"{where}: Speaker must be a list of names like ['Ross Geller'], not {field!r}.") from None
