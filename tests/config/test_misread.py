import pytest

from ercsatz.config.misread import refuse_misread
from ercsatz.errors import UserError


def write(folder, text):
    (folder / "benchmark").mkdir()
    (folder / "benchmark" / "mine.yaml").write_text(text)
    return [folder]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: mine\nlabels: [yes, no]\n", "line 2: labels: YAML reads yes as True. Write it in quotes: 'yes'."),
        ("labels:\n  - calm\n  - off\n", "line 3: labels: YAML reads off as False"),
        ("labels: [calm, null]\n", "labels: YAML reads null as None"),
        ("labels: [calm, ]\nspeakers: [Ann, ~]\n", "line 2: speakers: YAML reads ~ as None"),
        ("labels: [010, 2]\n", "labels: YAML reads 010 as 8"),
        ("labels: [1_0, 12:30]\n", "labels: YAML reads 1_0 as 10"),
        ("label_names: {on: calm}\n", "label_names: YAML reads on as True"),
        ("label_names: {ja: Yes}\n", "label_names: YAML reads Yes as True"),
        ("label_names: {0: calm}\n", "label_names: YAML reads 0 as a number. Write it in quotes: '0'."),
        ("sentiments: {no: negative}\n", "sentiments: YAML reads no as False"),
    ],
)
def test_a_word_that_yaml_reads_as_another_is_refused_with_its_line(tmp_path, text, told):
    with pytest.raises(UserError) as caught:
        refuse_misread(write(tmp_path, text))
    assert f"{tmp_path / 'benchmark' / 'mine.yaml'}, line" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "labels: ['yes', \"no\", calm, 0, 1.5, 2024-11-29]\n",
        "label_names: {xxx: null, '0': calm, '1': 2, oth: }\nsentiments: {calm: ~}\n",
        "labels: [unclosed\n",
        "- no mapping\n",
        "labels: calm\noptions: {skip: 010}\n",
        "",
    ],
)
def test_what_yaml_reads_as_written_and_what_hydra_refuses_are_left_alone(tmp_path, text):
    refuse_misread(write(tmp_path, text))
