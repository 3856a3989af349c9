"""MELD's ``*_sent_emo.csv`` (declare-lab/MELD): a row an utterance, dialogues numbered within the file."""

from ercsatz.data.benchmarks.parsing import Source, csv_rows, filled, grouped, in_order
from ercsatz.data.dialogue import Dialogue


def read(source: Source) -> list[Dialogue]:
    """Read one split; a dialogue's id is its ``Dialogue_ID``, its turns keep the order of the rows.

    The column ``Sentiment`` is read where it is there; so is ``Utterance_ID``, which must count the turns.

    Raises:
        UserError: the file is not as published; the message names the line.
    """
    source.choices({})
    rows = csv_rows(source.path, ("Dialogue_ID", "Speaker", "Utterance", "Emotion"))
    return grouped(
        (
            filled(row["Dialogue_ID"], "Dialogue_ID", where),
            source.turn(row["Speaker"], row["Utterance"], row["Emotion"], where, row.get("Sentiment", "")),
        )
        for where, row in in_order(rows, ("Dialogue_ID",))
    )
