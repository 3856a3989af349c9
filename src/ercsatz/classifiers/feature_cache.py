"""Vectors of an encoder that is not trained: computed once, kept, and memory-mapped."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.classifiers.base import Classifier
from ercsatz.classifiers.encoder.packing import pack
from ercsatz.classifiers.encoder.pretrained import Encoder
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue
from ercsatz.errors import UserError

VERSION = 1  # raise it when the same weights and tokens give other vectors: here, in pretrained.py or in packing.py
BATCH_TOKENS = 8192


def with_vectors(
    classifier: Classifier, dialogues: Sequence[TokenisedDialogue], device: torch.device, cache: Path | None
) -> list[TokenisedDialogue]:
    """Dialogues with what the classifier's frozen encoder makes of them; unchanged if it has none or nothing to read.

    Args:
        classifier: whose ``frozen`` encoder it is; left on ``device``.
        dialogues: a split.
        device: where to compute.
        cache: a folder to keep the vectors in, as float32; None keeps them in memory.

    Raises:
        UserError: a vector is no number.
    """
    encoder = classifier.frozen()
    if encoder is None:
        return list(dialogues)
    sequences = [classifier.frozen_sequences(dialogue) for dialogue in dialogues]
    flat = [sequence for own in sequences for sequence in own]
    if not flat:
        return list(dialogues)
    table = _kept(encoder, flat, device, cache) if cache else _encode(encoder, flat, device)
    ends = np.cumsum([len(own) for own in sequences])
    return [
        replace(dialogue, vectors=table[end - len(own) : end])
        for dialogue, own, end in zip(dialogues, sequences, ends, strict=True)
    ]


def _kept(encoder: Encoder, sequences: Sequence[Ids], device: torch.device, cache: Path) -> NDArray[np.float32]:
    folder = Artifacts(cache).get(_artifact(encoder, sequences), partial(_write, encoder, sequences, device)).path
    mapped: NDArray[np.float32] = np.load(folder / _FILE, mmap_mode="r")
    _check(mapped, f"{folder / _FILE}", "Remove the folder, and take another backbone.")
    return mapped


def _write(encoder: Encoder, sequences: Sequence[Ids], device: torch.device, folder: Path) -> None:
    np.save(folder / _FILE, _encode(encoder, sequences, device))


_FILE = "vectors.npy"


def _encode(encoder: Encoder, sequences: Sequence[Ids], device: torch.device) -> NDArray[np.float32]:
    """Each distinct sequence once, those of similar length together."""
    ordered = sorted({sequence.tobytes(): sequence for sequence in sequences}.values(), key=len)
    place = {sequence.tobytes(): i for i, sequence in enumerate(ordered)}
    table = np.empty((len(ordered), encoder.width), np.float32)
    encoder.to(device).eval()
    # A chunk takes what begins within its share of the tokens.
    begins = np.cumsum([0, *map(len, ordered[:-1])])
    cuts = [*np.unique(begins // BATCH_TOKENS, return_index=True)[1], len(ordered)]
    with torch.inference_mode():
        for first, last in itertools.pairwise(cuts):
            chunk = pack(ordered[first:last], encoder.worth).to(device)
            table[first:last] = encoder(chunk).float().cpu().numpy()
    _check(table, "The frozen encoder's vectors", "Take another backbone.")
    return table[[place[sequence.tobytes()] for sequence in sequences]]


def _check(table: NDArray[np.float32], where: str, mend: str) -> None:
    if not np.isfinite([table.min(), table.max()]).all():  # both pass a NaN on, and neither copies a mapped file
        raise UserError(f"{where}: not all numbers are finite (there is NaN or infinity). {mend}")


def _artifact(encoder: Encoder, sequences: Sequence[Ids]) -> Artifact:
    weights, read = hashlib.sha256(), hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.cpu().contiguous().numpy().data)
    for sequence in sequences:
        read.update(len(sequence).to_bytes(4, "little"))
        read.update(sequence.tobytes())
    description = {
        "version": VERSION,
        "pooling": encoder.pooling.value,
        "weights": weights.hexdigest(),
        "sequences": read.hexdigest(),
    }
    return Artifact(Kind.vectors, description, f"{len(sequences):,} sequences, frozen encoder of width {encoder.width}")
