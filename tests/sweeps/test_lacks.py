"""What the cells of a sweep miss, told once."""

from ercsatz.sweeps.lacks import Lacks

NAT, BAL = ({f"meld_{v}": f"There is no data set meld_{v} in data/meld_{v}."} for v in ("nat", "bal"))


def test_nothing_is_told_of_nothing():
    assert Lacks().told() == ""


def test_one_data_set_has_its_own_sentence():
    lacks = Lacks(data_sets=NAT, others={"meld: no file": None}, folder="data")
    assert lacks.told() == "There is no data set meld_nat in data/meld_nat.\nmeld: no file"


def test_several_data_sets_are_one_command():
    lacks = Lacks(data_sets=NAT | BAL, others={"meld: no file": None}, folder="corpora")
    assert lacks.told() == (
        "There are no data sets meld_nat, meld_bal in corpora. Make them with: "
        "python generate.py -m data=meld_nat,meld_bal\nmeld: no file"
    )


def test_those_of_an_experiment_are_made_by_its_own():
    lacks = Lacks(data_sets=NAT | BAL, written_by="kaplan2025_small", folder="data")
    assert lacks.told().endswith("python generate.py -m experiment=kaplan2025_small data=meld_nat,meld_bal")
    names = [f"{b}_{v}" for b in ("meld", "emorynlp", "iemocap_made_up") for v in ("nat", "bal")]
    lacks = Lacks(data_sets=dict.fromkeys(names, ""), written_by="kaplan2025_small", folder="data")
    assert lacks.told().endswith("Make them with: python generate.py -m experiment=kaplan2025_small")
