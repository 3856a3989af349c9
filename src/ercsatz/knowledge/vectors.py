"""Vectors in the place of generated statements: ``knowledge/<data>.safetensors``.

A tensor ``<split>/<dialogue id>`` is float32 of (turns, 3, width): xIntent, xReact and oReact of each turn. The width
is the same everywhere; COSMIC's features of COMET have 768.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ercsatz.dialogue import SPLITS
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import RELATIONS
from ercsatz.knowledge.sidecar import check_place


def read_vectors(path: Path, split: str, sizes: Mapping[str, int]) -> Iterator[tuple[str, list[bytes]]]:
    """Read the vectors of a split.

    Args:
        path: the file.
        split: those of others are passed over.
        sizes: turns by dialogue id, of all dialogues of the split.

    Yields:
        Ids of dialogues and the bytes of each turn's vectors, as ``Knowledge`` has them.

    Raises:
        UserError: the file cannot be read, is not as described above, or is about a dialogue or turn that is not there.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            _check_shapes(path, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118
            for name in file.keys():  # noqa: SIM118
                tensor_split, _, dialogue = name.partition("/")
                if tensor_split == split:
                    tensor = file.get_tensor(name)
                    check_place(f"{path}, tensor {name}", path.stem, dialogue, sizes, len(tensor))
                    if len(tensor) < sizes[dialogue]:
                        raise UserError(f"{path}, tensor {name}: {len(tensor)} turns, but there are {sizes[dialogue]}.")
                    yield dialogue, [turn.tobytes() for turn in tensor]
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}). Make it again.") from None


def write_vectors(path: Path, tensors: Mapping[str, NDArray[np.float32]], by: str) -> None:
    """Write the vectors of a data set; the file appears whole or not at all.

    Args:
        path: the file.
        tensors: (turns, 3, width) by ``<split>/<dialogue id>``.
        by: where they are from.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, new, {"by": by})
        new.replace(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"Cannot write {path}: {error}. Make room or mend paths.data.") from error
    finally:
        new.unlink(missing_ok=True)


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
