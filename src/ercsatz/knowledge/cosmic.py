"""COSMIC's features of COMET (Ghosal et al., Findings of EMNLP 2020), turned into our vectors.

Its pickles hold nine dicts, one for each of ATOMIC's relations, from a dialogue's id to a vector for each utterance.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import RELATIONS
from ercsatz.knowledge.texts import Splits
from ercsatz.knowledge.unpickle import Array, load_plain

ORDER = ("xIntent", "xAttr", "xNeed", "xWant", "xEffect", "xReact", "oWant", "oEffect", "oReact")
Features = Mapping[str, NDArray[np.float32]]


def read_cosmic(path: Path) -> dict[str, NDArray[np.float32]]:
    """The vectors of the three relations in a pickle, which is read without running anything of it.

    Returns:
        (turns, 3, width) by dialogue id, in the file's order.

    Raises:
        UserError: the pickle holds something else.
    """
    value = load_plain(path)
    if not isinstance(value, tuple | list) or len(value) != len(ORDER) or not all(isinstance(d, dict) for d in value):
        raise UserError(f"{path}: must hold {len(ORDER)} dicts, for {', '.join(ORDER)}.")
    wanted = [value[ORDER.index(relation)] for relation in RELATIONS]
    features = {}
    for dialogue in wanted[0]:
        where = f"{path}, dialogue {dialogue!r}"
        if not isinstance(dialogue, str | int) or not all(dialogue in of for of in wanted):
            raise UserError(f"{where}: not in the dicts of all of {', '.join(RELATIONS)}, or no id.")
        features[str(dialogue)] = _vectors([of[dialogue] for of in wanted], where)
    if len({vectors.shape[2] for vectors in features.values()}) != 1:
        raise UserError(f"{path}: there are no vectors, or they have different widths.")
    return features


def by_id(features: Features, splits: Splits, where: Path) -> dict[str, NDArray[np.float32]]:
    """The vectors of our dialogues, found by their ids.

    Returns:
        (turns, 3, width) by ``<split>/<dialogue id>``.

    Raises:
        UserError: an id occurs in two of our splits, or is not in the file, or the numbers of turns differ.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    splits_of: dict[str, str] = {}
    for split, dialogues in splits.items():
        for dialogue in dialogues:
            if dialogue.id in splits_of:
                raise UserError(
                    f"Dialogue {dialogue.id!r} is in {splits_of[dialogue.id]} and in {split}, so ids do not tell which "
                    f"is meant in {where}. Match by the order of the dialogues: cosmic.match=order"
                )
            if dialogue.id not in features:
                listed = ", ".join(map(repr, list(features)[:5]))
                raise UserError(
                    f"{where}: there is no dialogue {dialogue.id!r} ({split}); the first ones are {listed}. "
                    "If the file has them in our order under other ids: cosmic.match=order"
                )
            splits_of[dialogue.id] = split
            tensors[f"{split}/{dialogue.id}"] = _fitting(features[dialogue.id], dialogue.id, dialogue, split, where)
    return tensors


def by_order(features: Features, splits: Splits, where: Path) -> dict[str, NDArray[np.float32]]:
    """The vectors of our dialogues, found by their place: those of the first split first.

    Returns:
        (turns, 3, width) by ``<split>/<dialogue id>``.

    Raises:
        UserError: the numbers of dialogues, or of turns of a dialogue, differ.
    """
    ours = [(split, dialogue) for split, dialogues in splits.items() for dialogue in dialogues]
    if len(ours) != len(features):
        listed = " and ".join(splits)
        raise UserError(
            f"{where}: {len(features)} dialogues, but {listed} have {len(ours)}. "
            "Say which splits are in the file, in their order: cosmic.splits=[train,validation,test]"
        )
    pairs = zip(ours, features.items(), strict=True)
    return {
        f"{split}/{dialogue.id}": _fitting(vectors, name, dialogue, split, where)
        for (split, dialogue), (name, vectors) in pairs
    }


def _fitting(
    vectors: NDArray[np.float32], name: str, dialogue: Dialogue, split: str, where: Path
) -> NDArray[np.float32]:
    if len(vectors) != len(dialogue.utterances):
        raise UserError(
            f"{where}, dialogue {name!r}: {len(vectors)} utterances, but {dialogue.id!r} ({split}) has "
            f"{len(dialogue.utterances)}. The file is about other dialogues, or in another order (cosmic.splits)."
        )
    return vectors


def _vectors(relations: Sequence[Any], where: str) -> NDArray[np.float32]:
    """(turns, 3, width) from the lists of three relations."""
    try:
        stacked = np.stack([np.asarray([_plain(v) for v in _plain(of)], np.float32) for of in relations], axis=1)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: not a list of equally long vectors for each relation ({error}).") from None
    if stacked.ndim != 3 or not stacked.size or not np.isfinite(stacked).all():
        raise UserError(f"{where}: must have a vector of finite numbers for each utterance, has {stacked.shape}.")
    return stacked


def _plain(value: Any) -> Any:
    return value.values if isinstance(value, Array) else value
