import json
import math

import pytest

from ercsatz.assessment.record import read, rows, several, single
from ercsatz.errors import UserError
from ercsatz.quality.measure import Measure, undefined


def measure(value, error=None, **others):
    return Measure("labels", "tstr_w_f1_words", value, "higher", 5, 9, error=error, **others)


def test_what_is_written_is_what_is_read(tmp_path, assessment, line):
    lines = [line(), line(None, None, undefined="undefined because of that"), line(0.1, 0.2, emotion="joy", chance=0.3)]
    lines.append(line(0.1, 0.2, p=0.5, mark_p=0.25, test="some test"))
    found = assessment("<b>", lines, offenders=[{"turn": None, "text": "\u2028\U0001f600"}])
    found.write(tmp_path / "assessment.json")
    assert read(tmp_path / "assessment.json") == found


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "line 1: not JSON"), ('{"schema": 0}', "no assessment of schema 1"), ("[]", "no assessment")],
)
def test_other_files_are_refused(tmp_path, text, told):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=told):
        read(tmp_path / "a.json")


def test_a_value_that_is_no_number_is_never_written(tmp_path, assessment, line):
    with pytest.raises(ValueError, match="JSON"):
        assessment(lines=[line(math.nan)]).write(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_one_measurement_is_as_sure_as_its_standard_errors_are_small():
    found = single(measure(0.4, 0.03), measure(0.5, 0.04))
    assert (found.value, found.mark) == (0.4, 0.5)
    assert found.chance == pytest.approx(1.96 * 0.05)
    assert single(measure(0.4), measure(0.5, 0.04)).chance is None
    assert single(measure(0.4, 0.1), None).mark is None


def test_of_several_draws_the_means_count():
    found = several(
        [measure(0.1), measure(0.3)], [measure(0.5), measure(0.9)], lambda values, marks: len(values + marks)
    )
    assert (found.value, found.mark, found.chance) == (pytest.approx(0.2), pytest.approx(0.7), 4)
    assert (found.n, found.of) == (5, 9)


def test_a_figure_that_any_draw_lacks_is_undefined_and_says_why():
    lacks = undefined("labels", "tstr_w_f1_words", "higher", "there is nothing")
    found = several([measure(0.1), lacks], [measure(0.5), measure(0.9)], lambda *_: 1.0)
    assert (found.value, found.undefined, found.chance) == (None, "undefined because there is nothing", None)
    assert found.mark == pytest.approx(0.7)
    found = several([measure(0.1), measure(0.3)], [measure(0.5), lacks], lambda *_: 1.0)
    assert (found.value, found.mark, found.chance) == (pytest.approx(0.2), None, None)


def test_rows_have_a_place_for_every_data_set(assessment, line):
    a, b = line(name="recall"), line(name="frechet", emotion="joy")
    table = rows([assessment(lines=[line(), a, b]), assessment(lines=[line(1.0)])], "realism")
    assert [[each and each.name for each in row] for row in table] == [["frechet", "frechet"], ["recall", None]]
    assert rows([assessment()], "labels") == []


def test_the_file_is_json_that_others_can_read(tmp_path, assessment):
    assessment().write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["lines"][0]["values"] == [0.5]
