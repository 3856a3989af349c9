import pytest

from ercsatz.config.yaml_files import load_yaml
from ercsatz.errors import UserError


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: 2\na: 3\n", 3), ("- x: {y: 1, y: 2}\n", 1), ("a: [1, {b: 1}]\nc: {b: 1}\nc: 2\n", 3)],
)
def test_a_key_that_is_there_twice_is_refused_with_its_line(tmp_path, text, line):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=f"line {line}: the key '.' is there twice"):
        load_yaml(file)


def test_a_value_may_be_there_as_often_as_it_likes(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: b\nb: a\nc: [a, a, {a: a}, {a: a}]\nd: &x {a: 1}\ne: {<<: *x, b: 2}\n")
    assert load_yaml(file)["c"] == ["a", "a", {"a": "a"}, {"a": "a"}]
