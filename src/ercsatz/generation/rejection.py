"""Why a dialogue is not kept."""

from enum import Enum


class Reason(Enum):
    """The code is the name; the value says in a line what it means."""

    empty = "the answer is empty"
    cut_off = "the answer ends in the middle"
    no_turns = "no line reads as a labelled turn"
    no_text = "a turn has no words"
    no_label = "a turn has no label"
    unknown_label = "a turn's label is not one of those asked for"
    two_labels = "a turn has two labels that differ"
    two_turns = "a line holds more than one turn"
    stray_line = "a line inside the dialogue is no turn"

    too_few_turns = "fewer turns than plan.min_turns"
    too_many_turns = "more turns than plan.max_turns"
    unknown_speaker = "someone speaks who was not asked for"
    one_speaker = "only one person speaks"
    long_turn = "a turn is longer than any person's"
    repeated_turn = "a turn is repeated word for word"
    no_target = "the emotion asked for does not occur"

    duplicate = "the same dialogue came before in this run"
    near_duplicate = "a dialogue much like it came before in this run"
    leaked = "it repeats the benchmark's real validation or test set"

    refused = "the server refused the request"
    unanswered = "no answer came, however often it was asked for"
    bad_background = "the background of a speaker is no plain paragraph"
    bad_situation = "the situation is not told in the lines asked for"
