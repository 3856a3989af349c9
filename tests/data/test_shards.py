from pathlib import Path

import pytest

from ercsatz.data.shards import JOURNAL, Shard, beside, instead_of, whole_of
from ercsatz.errors import UserError


def test_shards_share_all_indices():
    for n, of in ((10, 4), (4, 4), (101, 7)):
        indices = [index for number in range(of) for index in Shard(number, of).indices(n)]
        assert sorted(indices) == list(range(n))


@pytest.mark.parametrize("text", ["4/4", "0", "a/b", "-1/4", "0/0", "1/2/3", ""])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UserError, match="must be K/N"):
        Shard.parse(text)


def test_shards_lie_beside_the_whole_and_lead_back_to_it(tmp_path):
    whole = tmp_path / "meld_bal"
    for number in (10, 2):
        Shard(number, 11).folder(whole).mkdir()
    (tmp_path / "meld_ba.shard-0-of-2").mkdir()
    names = ["meld_bal.shard-2-of-11", "meld_bal.shard-10-of-11"]
    assert [path.name for path in beside(whole)] == names
    assert whole_of(tmp_path / names[0]) == whole
    with pytest.raises(UserError, match="--to FOLDER"):
        whole_of(whole)
    assert beside(Path("nowhere") / "meld_bal") == []


def test_a_shard_is_told_from_a_data_set(tmp_path):
    whole, part = tmp_path / "d", tmp_path / "d.shard-0-of-2"
    assert instead_of(whole) is None
    part.mkdir()
    (part / JOURNAL).touch()
    command = f"ercsatz merge {part}"
    assert str(instead_of(whole)).endswith(command)
    assert str(instead_of(part)).endswith(command)
    whole.mkdir()
    assert instead_of(whole) is None
