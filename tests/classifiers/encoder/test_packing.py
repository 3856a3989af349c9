from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.classifiers.encoder.packing import MAX_PADDED_TOKENS, MAX_PADDING, Sequences, pack

lengths = st.lists(st.integers(1, 600), min_size=1, max_size=120)


def numbered(lengths: list[int]) -> list[np.ndarray]:
    """Sequences that all differ, token by token."""
    ends = np.cumsum(lengths)
    return [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def unpacked(packed: Sequences) -> list[list[int]]:
    starts = packed.starts[packed.order].tolist()
    return [
        packed.ids[start : start + length].tolist()
        for start, length in zip(starts, packed.lengths[packed.order].tolist(), strict=True)
    ]


@given(lengths)
def test_every_sequence_is_packed_once_without_padding(lengths):
    packed = pack(numbered(lengths))
    assert unpacked(packed) == [sequence.tolist() for sequence in numbered(lengths)]
    assert len(packed.ids) == sum(lengths)
    for row in packed.rows.unique().tolist():
        assert packed.positions[packed.rows == row].tolist() == list(range(int(packed.lengths[row])))


@given(lengths, st.sampled_from([0, 64, 4096]))
def test_groups_hold_every_token_once_where_scatter_says(lengths, worth):
    packed = pack(numbered(lengths), worth)
    rows = torch.cat([packed.ids[group.index].flatten() for group in packed.groups])
    assert torch.equal(rows[packed.scatter], packed.ids)
    real = torch.cat(
        [
            torch.ones_like(group.index, dtype=torch.bool).flatten() if group.mask is None else group.mask.flatten()
            for group in packed.groups
        ]
    )
    assert real.nonzero().flatten().tolist() == sorted(packed.scatter.tolist())
    assert packed.padding == int((~real).sum())


@given(lengths)
def test_groups_have_little_padding(lengths):
    for group in pack(numbered(lengths)).groups:
        real = group.index.numel() if group.mask is None else int(group.mask.sum())
        assert len(group.index) == 1 or group.index.numel() <= min(MAX_PADDED_TOKENS, MAX_PADDING * real)


@given(lengths)
def test_a_group_without_padding_is_a_stretch_of_the_packed_tokens(lengths):
    for group in pack(numbered(lengths)).groups:
        if group.mask is None:
            assert group.index.flatten().tolist() == list(range(group.start, group.start + group.index.numel()))


def test_padding_that_costs_no_more_than_a_group_saves_the_group():
    sequences = numbered([100, 50, 10, 1])
    assert len(pack(sequences).groups) == 4
    assert len(pack(sequences, worth=239).groups) == 1
    assert len(pack(sequences, worth=238).groups) == 2


def test_sequences_of_one_length_are_one_group():
    assert [tuple(group.index.shape) for group in pack(numbered([6] * 40)).groups] == [(40, 6)]


def test_all_that_is_in_it_moves_together():
    seen = []
    changed = pack(numbered([3, 1])).each(lambda tensor: (seen.append(tensor), tensor + 0)[1])
    assert unpacked(changed) == [[0, 1, 2], [3]]
    assert len(seen) == 6 + len(changed.groups) * 1 + 1


def open_files() -> int:
    """Of this process; 0 where the system does not say."""
    return len([*Path("/proc/self/fd").glob("*")])


def test_from_one_process_to_another_it_is_copied_and_needs_no_file():
    packed = pack(numbered([5, 30, 1, 8]), worth=16)
    before = open_files()
    sent = bytes(ForkingPickler.dumps((packed, packed)))
    assert len(sent) > 2 * packed.ids.nbytes
    copy, _ = ForkingPickler.loads(sent)
    assert open_files() == before
    parts, others = [], []
    packed.each(lambda tensor: (parts.append(tensor), tensor)[1])
    copy.each(lambda tensor: (others.append(tensor), tensor)[1])
    assert len(parts) > 8
    assert all(map(torch.equal, parts, others))
    assert [part.dtype for part in parts] == [other.dtype for other in others]
    copy.ids.zero_()  # it may be written to
    assert packed.ids.any()
