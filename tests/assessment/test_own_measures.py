"""Measures of the user's own: figures like any other, from their options to all reports."""

import io
import json
from dataclasses import asdict, dataclass, replace

import pytest
from rich.console import Console

from ercsatz.assessment.record import read
from ercsatz.assessment.report import to_html, to_markdown
from ercsatz.assessment.tables import glance
from ercsatz.assessment.terminal import show
from ercsatz.assessment.verdict import verdict
from ercsatz.config import MeasureConfig
from ercsatz.config.measure import measures
from ercsatz.errors import UserError


@dataclass
class Length(MeasureConfig):
    """Words of a turn, over those of the reference if wanted."""

    relative: bool = False

    title = "turn [length]"
    what = "words of a turn, on |average|"
    better = "higher"

    def value(self, dialogues, reference):
        return self._mean(dialogues) / (self._mean(reference) if self.relative else 1)

    def _mean(self, dialogues):
        words = [len(turn.text.split()) for dialogue in dialogues for turn in dialogue.utterances]
        return sum(words) / len(words)


@dataclass
class Given(Length):
    """Whatever it is given."""

    gives: object = None

    def value(self, dialogues, reference):
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


def split(dialogues):
    return {"train": dialogues[16:], "validation": dialogues[:8], "test": dialogues[8:16]}


def own_lines(found):
    return [line for line in found.lines if line.family == "own"]


def test_a_figure_is_taken_of_the_data_set_and_of_real_dialogues_in_the_same_way(assess, real, others):
    found = assess(split(others), measures={"length": Length(), "relative": Length(relative=True)}, halves=3)

    length, relative = own_lines(found)
    assert (length.name, length.title, length.what) == ("length", "turn [length]", "words of a turn, on |average|")
    assert len(length.values) == len(length.marks) == 3
    counts = [len(turn.text.split()) for dialogue in others[16:] for turn in dialogue.utterances]
    assert min(counts) < length.value < max(counts)
    assert relative.value == pytest.approx(length.value / length.mark, rel=0.2)
    assert relative.mark == pytest.approx(1, abs=0.2)
    assert verdict(length).word in {"as real", "better", "worse"}


def test_longer_turns_are_better_where_more_is_better(assess, others):
    longer = [
        replace(each, utterances=tuple(replace(turn, text=f"{turn.text} {turn.text}") for turn in each.utterances))
        for each in others
    ]
    (length,) = own_lines(assess(split(longer), measures={"length": Length()}, halves=3))
    assert verdict(length).word == "better"


def test_other_figures_stay_what_they_are(assess, others):
    without, beside = assess(split(others)), assess(split(others), measures={"distinct_2": Length()})
    assert [line for line in beside.lines if line.family != "own"] == list(without.lines)


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (lambda others: {**split(others), "train": ()}, "there are no dialogues"),
        (split, "the measure finds nothing to measure"),
    ],
)
def test_what_cannot_be_measured_is_undefined(assess, others, own, why):
    (line,) = own_lines(assess(own(others), measures={"given": Given()}))
    assert (line.value, line.undefined) == (None, f"undefined because {why}")


@pytest.mark.parametrize("gives", [float("nan"), float("inf"), "7", [1.0]])
def test_what_is_no_number_is_refused(assess, others, gives):
    with pytest.raises(UserError, match=r"^measure.given: Given.value gave .*\. It must give a finite number, or None"):
        assess(split(others), measures={"given": Given(gives=gives)})


def test_a_measure_that_fails_is_named(assess, others):
    with pytest.raises(UserError, match=r"^measure.given: Given.value failed \(KeyError: 'persona'\)\.$"):
        assess(split(others), measures={"given": Given(gives=KeyError("persona"))})


def test_every_report_shows_it_by_the_words_of_its_class(assess, assessment, others, tmp_path):
    found = assess(split(others), measures={"entropy": Length()})
    assessment(lines=found.lines).write(tmp_path / "assessment.json")
    again = read(tmp_path / "assessment.json")
    (line,) = own_lines(again)

    shown = io.StringIO()
    show([again], Console(file=shown, width=100))
    assert "Measures of your own" in shown.getvalue()
    assert "turn [length]" in shown.getvalue()
    text = to_markdown([again])
    assert "| turn \\[length\\]: words of a turn, on \\|average\\| |" in text
    page = to_html([again])
    assert "words of a turn, on |average|; higher is better" in page
    assert page.count("turn [length]") >= 2, "in the table and in the picture of all figures"
    assert ("own", "Measures of your own") in [(key, title) for key, title, _ in glance([again])]
    assert json.loads((tmp_path / "assessment.json").read_text())["lines"][-1] == json.loads(json.dumps(asdict(line)))


def named(kind):
    return {"_target_": f"{__name__}.{kind}"}


@dataclass
class Untold(MeasureConfig):
    """A measure that does not say what it is."""

    def value(self, dialogues, reference):
        return 1.0


@dataclass
class Undecided(Untold):
    """A measure that does not say which way is better."""

    title = "undecided"
    what = "a number"
    better = "more"


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (named("Untold"), "Untold: must have a title, a class attribute with a text for the tables"),
        (named("Undecided"), "Undecided: must have better, a class attribute that is one of higher, lower, real"),
        (named("split"), "split: must be a dataclass that derives from MeasureConfig"),
        (named("Missing"), "Missing: cannot be imported"),
        ({**named("Length"), "relativ": True}, "relativ: there is no such option. There are: relative."),
        ({"relative": True}, "its YAML has no _target_"),
        ("Length", "must be a mapping: in a YAML of measure/, below the name are _target_ and options"),
    ],
)
def test_a_wrong_measure_is_refused_with_what_one_must_be(node, told):
    with pytest.raises(UserError) as refused:
        measures({"mine": node})
    assert str(refused.value).startswith("measure.mine")
    assert told in str(refused.value)
