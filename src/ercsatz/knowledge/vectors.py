"""Vectors in the place of generated statements: ``knowledge/<data>.safetensors``.

A tensor ``<split>/<dialogue id>`` is float32 of (turns, 3, width): xIntent, xReact and oReact of each turn. The width
is the same everywhere; COSMIC's features of COMET have 768. The file's metadata have ``texts``, a JSON object from each
tensor's name to the ``text_hash`` of its dialogue's utterances: a file that was made for other texts is refused. Files
that are written here have ``crc`` too, an object from each name to the CRC-32 of its numbers.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ercsatz.data.dialogue import SPLITS
from ercsatz.data.text_files import parse_json
from ercsatz.disk import told, whole
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import RELATIONS
from ercsatz.knowledge.texts import Splits, Texts, text_hash


def read_vectors(path: Path, texts: Texts) -> Iterator[tuple[str, str, list[bytes]]]:
    """Read the vectors of some splits.

    Args:
        path: the file.
        texts: of the splits; the vectors of others are passed over.

    Yields:
        The split, the id of a dialogue, and the bytes of each turn's vectors, as ``Knowledge`` has them.

    Raises:
        UserError: the file cannot be read, is not as described above, has a number that is not finite, or is about a
            dialogue, turn or text that is not there.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            _check_shapes(path, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118
            metadata = file.metadata() or {}
            hashes = _object(path, metadata, "texts")
            sums = _object(path, metadata, "crc") if "crc" in metadata else None
            for name in file.keys():  # noqa: SIM118
                split, _, dialogue = name.partition("/")
                if split in texts.splits:
                    tensor = file.get_tensor(name)
                    if sums is not None and sums.get(name) != zlib.crc32(tensor.tobytes()):
                        raise UserError(f"{path}, tensor {name}: its numbers have changed. Make the file again.")
                    texts.check_whole(f"{path}, tensor {name}", split, dialogue, len(tensor), hashes.get(name))
                    if not np.isfinite(tensor).all():
                        raise UserError(f"{path}, tensor {name}: a number is NaN or infinite. Make the file again.")
                    yield split, dialogue, [turn.tobytes() for turn in tensor]
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}). Make it again.") from None


def write_vectors(path: Path, tensors: Mapping[str, NDArray[np.float32]], splits: Splits, by: str) -> None:
    """Write the vectors of a data set; the file appears whole or not at all.

    Args:
        path: the file.
        tensors: (turns, 3, width) by ``<split>/<dialogue id>``.
        splits: the dialogues that they are about.
        by: where they are from.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    hashes = {
        f"{split}/{dialogue.id}": text_hash(*(turn.text for turn in dialogue.utterances))
        for split, dialogues in splits.items()
        for dialogue in dialogues
    }
    metadata = {
        "by": by,
        "texts": json.dumps({name: hashes[name] for name in tensors if name in hashes}),
        "crc": json.dumps(
            {name: zlib.crc32(np.ascontiguousarray(tensor).tobytes()) for name, tensor in tensors.items()}
        ),
    }
    with told(path, "Make room or mend paths.data."), whole(path) as new:
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, new, metadata)


def _object(path: Path, metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        values = parse_json(metadata[key])
    except (KeyError, ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: the metadata lack {key!r}, as docs/knowledge.md describes it: without, nobody would notice that "
            "the data set has other texts by now. Make the file again."
        )
    return values


def _check_shapes(path: Path, slices: Mapping[str, object]) -> None:
    widths = set()
    for name, tensor in slices.items():
        shape, dtype = tensor.get_shape(), tensor.get_dtype()  # type: ignore[attr-defined]
        split, slash, _ = name.partition("/")
        if split not in SPLITS or not slash:
            raise UserError(f"{path}: a tensor {name!r}; names are SPLIT/DIALOGUE, SPLIT one of {', '.join(SPLITS)}.")
        if dtype != "F32" or len(shape) != 3 or shape[1] != len(RELATIONS) or shape[2] < 1:
            raise UserError(f"{path}, tensor {name}: {dtype} of {shape}; must be F32 of (turns, 3, width).")
        widths.add(shape[2])
    if len(widths) > 1:
        raise UserError(f"{path}: the vectors have different widths: {', '.join(map(str, sorted(widths)))}.")
