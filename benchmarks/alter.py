"""Real dialogues altered on purpose, to see whether assess.py notices.

    python benchmarks/alter.py FOLDER [--meld FOLDER_OF_MELD] [--seed N]

Half of MELD's training split, drawn by dialogue, plays the real one: FOLDER/meldhalf, with MELD's validation and test
sets and FOLDER/conf/benchmark/meldhalf.yaml. The other half plays data sets, in FOLDER/data:

- meldhalf_same: as it is. The half is real, so nothing should be found.
- meldhalf_shuffled: all words of the half shuffled among its turns, which keep their lengths, speakers and labels.
- meldhalf_permuted: the labels of a random 20 % of its turns permuted among them.
- meldhalf_planted: a tenth of its dialogues replaced by dialogues of MELD's test set.

docs/quality.md has the table that comes of it.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from models import on_meld

from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import SPLITS, Dialogue, Utterance
from ercsatz.data.files import write_jsonl
from ercsatz.data.text_files import atomic_write

NAME = "meldhalf"
HELD_OUT = 0.1  # of a data set, for its validation and for its test split
PERMUTED = 0.2
PLANTED = 0.1
YAML = """\
name: {name}
title: half of MELD
reader: jsonl
path: {folder}
labels: [{labels}]
speakers: [Chandler, Joey, Monica, Phoebe, Rachel, Ross]
style: cast
files: {{train: train.jsonl, validation: validation.jsonl, test: test.jsonl}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--meld", type=Path, help="MELD's folder; where ercsatz fetch puts it by default")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    corpus, draw = load(on_meld("compm", given.meld).benchmark), random.Random(given.seed)
    real, other = halves(corpus.splits["train"], draw)
    for split, dialogues in {**corpus.splits, "train": real}.items():
        write_jsonl(given.folder / NAME / f"{split}.jsonl", dialogues)
    with atomic_write(given.folder / "conf" / "benchmark" / f"{NAME}.yaml") as file:
        folder = (given.folder / NAME).absolute()
        file.write(YAML.format(name=NAME, folder=folder, labels=", ".join(corpus.labels)))
    altered = {
        "same": other,
        "shuffled": shuffle_words(other, draw),
        "permuted": permute_labels(other, draw),
        "planted": plant(other, corpus.splits["test"], draw),
    }
    for name, dialogues in altered.items():
        write_data(given.folder / "data" / f"{NAME}_{name}", dialogues)
        print(f"Wrote {given.folder}/data/{NAME}_{name} ({len(dialogues)} dialogues).")


def halves(dialogues: Sequence[Dialogue], draw: random.Random) -> tuple[list[Dialogue], list[Dialogue]]:
    mixed = draw.sample(dialogues, len(dialogues))
    return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def shuffle_words(dialogues: Sequence[Dialogue], draw: random.Random) -> list[Dialogue]:
    """All words of all turns in random order; each turn gets as many as it had."""
    words = [word for dialogue in dialogues for turn in dialogue.utterances for word in turn.text.split()]
    draw.shuffle(words)
    rest = iter(words)
    return [
        rewritten(dialogue, [replace(turn, text=" ".join(islice(rest, len(turn.text.split())))) for turn in
                             dialogue.utterances])
        for dialogue in dialogues
    ]  # fmt: skip


def permute_labels(dialogues: Sequence[Dialogue], draw: random.Random) -> list[Dialogue]:
    """Labels of a share of the turns change places, so that there are as many of each as before."""
    places = [(d, t) for d, dialogue in enumerate(dialogues) for t in range(len(dialogue.utterances))]
    chosen = draw.sample(places, round(PERMUTED * len(places)))
    labels = [dialogues[d].utterances[t].emotion for d, t in chosen]
    draw.shuffle(labels)
    new = dict(zip(chosen, labels, strict=True))
    return [
        rewritten(
            dialogue,
            [replace(turn, emotion=new.get((d, t), turn.emotion)) for t, turn in enumerate(dialogue.utterances)],
        )
        for d, dialogue in enumerate(dialogues)
    ]


def plant(dialogues: Sequence[Dialogue], test: Sequence[Dialogue], draw: random.Random) -> list[Dialogue]:
    """A share of the dialogues give way to real ones of the test set."""
    planted = dict(zip(draw.sample(range(len(dialogues)), round(PLANTED * len(dialogues))), test, strict=False))
    return [rewritten(dialogue, planted.get(d, dialogue).utterances) for d, dialogue in enumerate(dialogues)]


def rewritten(dialogue: Dialogue, turns: Sequence[Utterance]) -> Dialogue:
    return Dialogue(dialogue.id, tuple(turns))


def write_data(folder: Path, dialogues: Sequence[Dialogue]) -> None:
    """In the layout of a data set; a tenth each for validation and test."""
    size = round(HELD_OUT * len(dialogues))
    parts = (dialogues[2 * size :], dialogues[:size], dialogues[size : 2 * size])
    for split, part in zip(SPLITS, parts, strict=True):
        write_jsonl(folder / f"{split}.jsonl", part)


if __name__ == "__main__":
    main()
