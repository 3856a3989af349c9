"""IEMOCAP as USC releases it: turns in ``Session*/dialog/transcriptions``, labels in ``.../EmoEvaluation``."""

import re
from pathlib import Path

from ercsatz.data.benchmarks.parsing import Source
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.text_files import read_text
from ercsatz.errors import UserError

# Everything else in these files is comments, the annotators' single votes, or remarks that open with "M:" or "F:".
_TURN = re.compile(r"(?P<id>Ses\w+_(?P<speaker>[FM])\w+) \[[^\]]*\]:(?P<text>.*)")
_RATING = re.compile(r"\[[\d. -]+\]\t(?P<id>Ses\w+)\t(?P<emotion>\w+)\t")


def read(source: Source) -> list[Dialogue]:
    """Read one split of the release; a dialogue's id is its file's name, the speakers are F and M.

    Turns stand in the order of the transcription. Session 5 is the test set. Options: ``validation`` (ids of the
    dialogues that are the validation set), ``unlabelled`` (``context`` keeps turns without one of the labels as context
    only, ``drop`` leaves them out).

    Raises:
        UserError: the folder is not the release, a file is missing, or an option is wrong.
    """
    options = source.choices({"validation": [], "unlabelled": "context"})
    if options["unlabelled"] not in ("context", "drop"):
        raise UserError(f"benchmark.options.unlabelled={options['unlabelled']}: must be context or drop.")
    files = [
        file
        for session in (*source.path.glob("Session[1-5]"), *source.path.glob("*/Session[1-5]"))
        for file in session.glob("dialog/transcriptions/Ses*.txt")
    ]
    if not files:
        raise UserError(
            f"No Session1/dialog/transcriptions/Ses*.txt in {source.path} or one folder below it. "
            f"Set benchmark.path=FOLDER to the folder that holds Session1 to Session5."
        )
    dialogues = []
    for file in sorted(files, key=lambda file: file.name):
        if _split(file.stem, options["validation"]) == source.split:
            turns = _turns(source, file)
            kept = (turn for turn in turns if turn.emotion or options["unlabelled"] == "context")
            dialogues.append(Dialogue(file.stem, tuple(kept)))
    return dialogues


def _split(dialogue: str, validation: list[str]) -> str:
    if dialogue.startswith("Ses05"):
        return "test"
    return "validation" if dialogue in validation else "train"


def _turns(source: Source, transcription: Path) -> list[Utterance]:
    ratings_file = transcription.parents[1] / "EmoEvaluation" / transcription.name
    emotions = {}
    for number, line in enumerate(read_text(ratings_file).split("\n"), 1):
        if match := _RATING.match(line):
            emotions[match["id"]] = (match["emotion"], f"{ratings_file}, line {number}")
    turns = []
    for number, line in enumerate(read_text(transcription).split("\n"), 1):
        if match := _TURN.fullmatch(line):
            # A turn that nobody rated has no line in EmoEvaluation.
            emotion, where = emotions.get(match["id"], ("", f"{transcription}, line {number}"))
            turns.append(source.turn(match["speaker"], match["text"], emotion, where))
    return turns
