import pytest

from ercsatz.config.objective import GOALS, goals_of
from ercsatz.errors import UserError


def test_one_name_or_a_list():
    assert [goal.name for goal in goals_of("validation/w_f1")] == ["validation/w_f1"]
    assert [goal.name for goal in goals_of(["validation/macro_f1", "seconds"])] == ["validation/macro_f1", "seconds"]


def test_scores_are_maximised_and_seconds_minimised():
    assert {name: goal.maximise for name, goal in GOALS.items()} == {
        "validation/w_f1": True,
        "validation/macro_f1": True,
        "validation/accuracy": True,
        "seconds": False,
    }


@pytest.mark.parametrize("objective", ["test/w_f1", "test/org/w_f1", ["validation/w_f1", "test/org/macro_f1"]])
def test_a_test_set_is_refused(objective):
    with pytest.raises(UserError, match="a search on the test set would report what it was chosen by"):
        goals_of(objective)


@pytest.mark.parametrize("objective", ["validation/f1", "", 3, None, ["validation/w_f1", "speed"]])
def test_other_names_are_refused_with_those_there_are(objective):
    with pytest.raises(UserError, match="There are: validation/w_f1, validation/macro_f1, validation/accuracy"):
        goals_of(objective)


@pytest.mark.parametrize("objective", [[], ["seconds", "seconds"]])
def test_none_at_all_and_one_twice_are_refused(objective):
    with pytest.raises(UserError, match="each once"):
        goals_of(objective)
