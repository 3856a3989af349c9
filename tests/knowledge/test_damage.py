"""A sidecar that is not as it was written says so; it never gives other knowledge."""

import json
import random
import re
import subprocess

import numpy as np
import pytest

from ercsatz.errors import UserError
from ercsatz.knowledge.merge import adding
from ercsatz.knowledge.relations import Found, Inference
from ercsatz.knowledge.sidecar import Sidecar, SidecarEntry, attach, read_entries, write_entries
from ercsatz.knowledge.vectors import write_vectors


@pytest.fixture
def known(splits):
    """An entry for every turn of the training dialogues."""
    told = Found("PersonX is late", 0.71, Inference(x_react=("sorry",)))
    return [
        SidecarEntry.about("train", dialogue, turn, (told,), Inference(("to explain",), (f"tired {turn}",), ()))
        for dialogue in splits["train"]
        for turn in range(len(dialogue.utterances))
    ]


@pytest.fixture
def look(splits):
    """All that training takes from a sidecar; the message, where it is refused."""

    def read(path, vectors=None):
        try:
            return attach({"train": splits["train"]}, Sidecar("m", path, vectors))
        except UserError as error:
            return str(error)

    return read


def test_any_changed_byte_is_told_or_harmless(tmp_path, known, look):
    path = tmp_path / "s.jsonl"
    write_entries(path, known)
    content, whole = path.read_bytes(), look(path)
    rng, refused = random.Random(0), 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        found = look(path)
        assert isinstance(found, str) or found == whole, place
        assert not isinstance(found, str) or str(path) in found
        refused += isinstance(found, str)
    assert refused > 0.97 * len(content)


def test_a_file_that_was_cut_off_anywhere_is_told(tmp_path, known, look):
    path = tmp_path / "s.jsonl"
    write_entries(path, known)
    content = path.read_bytes()
    for length in range(len(content) - 1):
        path.write_bytes(content[:length])
        assert isinstance(look(path), str), length


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: lines[:-1],
        lambda lines: lines[:2] + lines[3:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines, lines[0]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:-1], re.sub(', "crc": "[0-9a-f]*"', "", lines[-1])],
        lambda lines: [re.sub(', "crc": "[0-9a-f]*"', "", lines[0]), *lines[1:]],
        lambda lines: [],
    ],
)
def test_lines_that_are_missing_moved_or_added_are_told(tmp_path, known, splits, look, change):
    path = tmp_path / "s.jsonl"
    write_entries(path, known)
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
    assert "the file is not as it was written" in look(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="not as it was written"), adding(path, splits, "retrieved", "x", True):
        pass
    assert path.read_bytes() == before


def test_what_was_changed_on_purpose_is_read_after_the_command_of_the_message(tmp_path, known, look):
    path = tmp_path / "s.jsonl"
    write_entries(path, known)
    path.write_text(path.read_text().replace("tired 0", "glad"))
    _, _, command = look(path).partition("take out the checksums: ")
    subprocess.run(command, shell=True, check=True)
    assert not isinstance(look(path), str)
    entries = [entry for _, entry in read_entries(path)]
    assert [entry.generated.x_react for entry in entries if entry.turn == 0] == [("glad",), ("glad",)]
    assert not [line for line in map(json.loads, path.read_text().splitlines()) if {"crc", "lines"} & line.keys()]


def test_any_changed_byte_of_vectors_is_told_or_harmless(tmp_path, splits, look):
    path, rng = tmp_path / "s.safetensors", random.Random(0)
    tensors = {f"train/{each.id}": np.ones((len(each.utterances), 3, 4), np.float32) for each in splits["train"]}
    write_vectors(path, tensors, splits, "COSMIC")
    content, whole = path.read_bytes(), look(None, path)
    assert not isinstance(whole, str)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        found = look(None, path)
        assert isinstance(found, str) or found == whole, place
