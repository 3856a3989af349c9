import pickle

import numpy as np
import pytest

from ercsatz.errors import UserError
from ercsatz.knowledge.cosmic import ORDER, by_id, by_order, read_cosmic

WIDTH = 5


def made(splits, ids=None, plain=False):
    """Nine dicts as COSMIC's extraction writes them, each vector a row of a turn's array; and what is in them."""
    rng = np.random.default_rng(0)
    dialogues = [(split, d) for split, own in splits.items() for d in own]
    dicts = tuple({} for _ in ORDER)
    truth = {}
    for (split, dialogue), name in zip(dialogues, ids or [d.id for _, d in dialogues], strict=True):
        turns = [rng.standard_normal((len(ORDER), WIDTH)).astype(np.float32) for _ in dialogue.utterances]
        for place, own in enumerate(dicts):
            own[name] = [turn[place].tolist() if plain else turn[place] for turn in turns]
        truth[f"{split}/{dialogue.id}"] = np.stack([turn[[0, 5, 8]] for turn in turns])
    return dicts, truth


@pytest.fixture
def write(tmp_path):
    def write(value, protocol=4):
        path = tmp_path / "features.pkl"
        path.write_bytes(pickle.dumps(value, protocol))
        return path

    return write


def one_split(splits):
    return {"train": splits["train"]}


def same(tensors, truth):
    assert tensors.keys() == truth.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, truth[name])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("plain", [False, True])
def test_the_three_relations_are_found_by_id(write, splits, plain, protocol):
    dicts, truth = made(one_split(splits), plain=plain)
    path = write(dicts if protocol % 2 else list(dicts), protocol)
    same(by_id(read_cosmic(path), one_split(splits), path), truth)


def test_numbers_serve_as_ids(write, splits):
    dicts, truth = made(one_split(splits), ids=[0, 1])
    path = write(dicts)
    same(by_id(read_cosmic(path), one_split(splits), path), truth)


def test_other_ids_are_matched_by_order(write, splits):
    dicts, truth = made(splits, ids=[10, 11, 12, 13])
    path = write(dicts)
    same(by_order(read_cosmic(path), splits, path), truth)


def test_ids_of_two_splits_that_are_the_same_are_refused(write, splits):
    dicts, _ = made(splits, ids=range(4))
    path = write(dicts)
    with pytest.raises(UserError, match=r"'0' is in train and in validation.*cosmic\.match=order"):
        by_id(read_cosmic(path), splits, path)


def test_a_missing_dialogue_is_named(write, splits):
    dicts, _ = made(one_split(splits), ids=["0", "x"])
    path = write(dicts)
    with pytest.raises(UserError, match=r"no dialogue '1' \(train\); the first ones are '0', 'x'"):
        by_id(read_cosmic(path), one_split(splits), path)


def test_other_numbers_of_turns_are_refused(write, splits):
    dicts, _ = made({"train": splits["train"][::-1]})
    path = write(dicts)
    with pytest.raises(UserError, match=r"'1': 2 utterances, but '0' \(train\) has 4"):
        by_order(read_cosmic(path), one_split(splits), path)
    path = write(made({"train": splits["train"]}, ids=["1", "0"])[0])
    with pytest.raises(UserError, match=r"'0': 2 utterances, but '0' \(train\) has 4"):
        by_id(read_cosmic(path), one_split(splits), path)


def test_other_numbers_of_dialogues_are_refused(write, splits):
    dicts, _ = made(splits, ids=range(4))
    path = write(dicts)
    with pytest.raises(UserError, match=r"4 dialogues, but train have 2.*cosmic\.splits"):
        by_order(read_cosmic(path), one_split(splits), path)


def changed(dicts, relation, dialogue, value):
    copy = [dict(own) for own in dicts]
    copy[ORDER.index(relation)][dialogue] = value
    return copy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dicts: dicts[:8], "must hold 9 dicts"),
        (lambda dicts: {"a": dicts}, "must hold 9 dicts"),
        (lambda dicts: [*dicts[:8], []], "must hold 9 dicts"),
        (lambda dicts: [{}] * 9, "there are no vectors"),
        (lambda dicts: [*dicts[:8], {}], "not in the dicts of all"),
        (lambda dicts: changed(dicts, "oReact", "1", [[1.0] * WIDTH]), "not a list of equally long vectors"),
        (lambda dicts: changed(dicts, "xReact", "1", [[1.0], [1.0, 2.0]]), "not a list of equally long vectors"),
        (lambda dicts: changed(dicts, "xIntent", "1", [["a"] * WIDTH] * 2), "not a list of equally long vectors"),
        (lambda dicts: changed(dicts, "xIntent", "1", [[float("nan")] * WIDTH] * 2), "finite numbers"),
        (lambda dicts: changed(dicts, "xIntent", "1", None), "not a list of equally long vectors"),
    ],
)
def test_other_content_is_refused(write, splits, change, words):
    dicts, _ = made(one_split(splits))
    with pytest.raises(UserError, match=words):
        read_cosmic(write(change(dicts)))


def test_relations_that_are_not_used_may_be_anything(write, splits):
    dicts, truth = made(one_split(splits))
    path = write(changed(dicts, "xNeed", "1", "nothing"))
    same(by_id(read_cosmic(path), one_split(splits), path), truth)
