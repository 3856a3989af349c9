from ercsatz.ranking import bonferroni


def test_bonferroni_multiplies_by_the_number_of_comparisons_up_to_one():
    assert bonferroni([0.25, 0.125, 0.5]).tolist() == [0.75, 0.375, 1.0]


def test_bonferroni_of_nothing_is_nothing():
    assert bonferroni([]).tolist() == []
