"""Tab-separated text, as CoMPM and EmoOne release their data: a line an utterance, a blank line between dialogues."""

from ercsatz.data.benchmarks.parsing import Source
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.text_files import read_text
from ercsatz.errors import UserError


def read(source: Source) -> list[Dialogue]:
    """Read one split; dialogues are numbered from 1 in the order of the file.

    Options: ``columns`` names the fields in order, ``speaker``, ``text`` and ``emotion`` among them (``sentiment`` is
    read, too, others are passed over); ``skip`` is the number of header lines. A line with more fields than columns has
    tabs in its text: the surplus belongs to ``text``.

    Raises:
        UserError: a line has too few fields, or an option is wrong.
    """
    options = source.choices({"columns": ["speaker", "text", "emotion"], "skip": 0})
    columns = options["columns"]
    if missing := {"speaker", "text", "emotion"} - set(columns):
        raise UserError(f"benchmark.options.columns: {', '.join(sorted(missing))} must be among them.")
    dialogues: list[list[Utterance]] = [[]]
    for number, line in enumerate(read_text(source.path).split("\n"), 1):
        if number <= options["skip"]:
            continue
        if line.strip():
            dialogues[-1].append(_turn(source, line, columns, f"{source.path}, line {number}"))
        elif dialogues[-1]:
            dialogues.append([])
    return [Dialogue(str(number), tuple(turns)) for number, turns in enumerate(dialogues, 1) if turns]


def _turn(source: Source, line: str, columns: list[str], where: str) -> Utterance:
    fields = line.split("\t")
    if len(fields) < len(columns):
        raise UserError(f"{where}: {len(fields)} fields where there are {len(columns)} columns: {', '.join(columns)}.")
    start = columns.index("text")
    stop = start + 1 + len(fields) - len(columns)
    row = dict(zip(columns, [*fields[:start], " ".join(fields[start:stop]), *fields[stop:]], strict=True))
    return source.turn(row["speaker"], row["text"], row["emotion"], where, row.get("sentiment", ""))
