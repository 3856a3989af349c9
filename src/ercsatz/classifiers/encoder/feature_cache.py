"""Vectors of an encoder that is not trained: computed once, kept, and memory-mapped."""

import hashlib
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ercsatz.classifiers.base import Classifier
from ercsatz.classifiers.encoder.packing import pack
from ercsatz.classifiers.encoder.pretrained import Encoder
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue
from ercsatz.training.fingerprint import code_sha256

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
    """
    encoder = classifier.frozen()
    if encoder is None:
        return list(dialogues)
    sequences = [classifier.frozen_sequences(dialogue) for dialogue in dialogues]
    flat = [sequence for own in sequences for sequence in own]
    if not flat:
        return list(dialogues)
    table = _kept(encoder, flat, device, cache / "vectors") if cache else _encode(encoder, flat, device)
    ends = np.cumsum([len(own) for own in sequences])
    return [
        replace(dialogue, vectors=table[end - len(own) : end])
        for dialogue, own, end in zip(dialogues, sequences, ends, strict=True)
    ]


def _kept(encoder: Encoder, sequences: Sequence[Ids], device: torch.device, folder: Path) -> NDArray[np.float32]:
    file = folder / f"{_key(encoder, sequences)}.npy"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        table = _encode(encoder, sequences, device)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{file.stem}.") as partial:
            np.save(Path(partial) / file.name, table)
            (Path(partial) / file.name).replace(file)
    mapped: NDArray[np.float32] = np.load(file, mmap_mode="r")
    return mapped


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
    return table[[place[sequence.tobytes()] for sequence in sequences]]


def _key(encoder: Encoder, sequences: Sequence[Ids]) -> str:
    code = [
        Path(__file__).with_name(name)
        for name in ("pretrained.py", "packing.py", "packed_layers.py", "feature_cache.py")
    ]
    digest = hashlib.sha256(f"{code_sha256(code)} {encoder.pooling.value}".encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().data)
    for sequence in sequences:
        digest.update(len(sequence).to_bytes(4, "little"))
        digest.update(sequence.tobytes())
    return digest.hexdigest()[:32]
