import itertools

import pytest
from torch.utils.data import SequentialSampler

from ercsatz.classifiers.segments import TokenBudgetSampler
from ercsatz.training.ranks.share import InTurn, Place, shared


@pytest.mark.parametrize("of", [1, 2, 3, 4])
@pytest.mark.parametrize("costs", [[], [5], [9, 1, 1, 1, 1, 1, 1, 1, 1, 1], [3, 3, 3], list(range(1, 30))])
def test_every_part_is_given_once_and_the_work_is_alike(costs, of):
    given = shared(costs, of)
    assert len(given) == of
    assert sorted(itertools.chain.from_iterable(given)) == list(range(len(costs)))
    assert all(own == sorted(own) for own in given)
    spent = [sum(costs[i] for i in own) for own in given]
    assert max(spent) <= max(1 / of * sum(costs) * 4 / 3, max(costs, default=0))


def test_alone_a_process_has_everything_in_its_order():
    assert shared([3, 9, 1], 1) == [[0, 1, 2]]


@pytest.mark.parametrize("of", [1, 2, 3, 4, 9])
def test_processes_take_turns_at_whole_batches_and_all_have_as_many(of):
    batches = TokenBudgetSampler([4, 9, 2, 3, 8, 8, 1], 8, 0)
    own = [InTurn(batches, Place(rank, of)) for rank in range(of)]
    seen = [list(each) for each in own]
    assert {len(each) for each in seen} == {len(own[0])} == {-(-len(batches) // of)}
    taken = [batch for turn in zip(*seen, strict=True) for batch in turn]
    assert [batch for batch in taken if batch] == list(batches)
    assert not [batch for batch in taken[: len(batches)] if not batch]


def test_nobody_has_a_turn_where_there_is_nothing():
    assert list(InTurn(SequentialSampler([]), Place(1, 2))) == []
