"""docs/knowledge.md says what the code does."""

import json
import re
from pathlib import Path

import pytest
import yaml

from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.knowledge.answers import AnswerReason, read_answer
from ercsatz.knowledge.ask import HOPELESS
from ercsatz.knowledge.relations import Inference, statements
from ercsatz.knowledge.sidecar import read_entries
from ercsatz.knowledge.texts import text_hash

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "knowledge.md").read_text(encoding="utf-8")


def test_the_example_of_a_line_can_be_read_and_made(tmp_path, capsys):
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "s.jsonl").write_text(json.dumps(json.loads(example)) + "\n")
    ((_, entry),) = read_entries(tmp_path / "s.jsonl")
    assert entry.retrieved
    assert entry.generated
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.strip() == entry.text == text_hash("Sorry I'm late.")


def test_the_example_of_an_answer_can_be_read():
    (example,) = re.findall(r"```\n(xIntent.*?)```", PAGE, re.DOTALL)
    assert isinstance(read_answer(Answer(example, FinishReason.stop)), Inference)


def test_statements_are_as_they_are_shown():
    known = Inference(("to be kind", "to help"), ("proud",), ("grateful",))
    assert re.findall(r"\| `(Person[XY] .*?)` \|", PAGE) == list(statements(known))


def test_all_reasons_are_listed():
    (listed,) = re.findall(r"Reasons are counted: (.*?)\.", PAGE, re.DOTALL)
    assert re.findall(r"`(\w+)`", listed) == [reason.name for reason in AnswerReason]
    assert f"the first {HOPELESS}, the run stops" in PAGE


@pytest.mark.parametrize("group", ["retrieve", "generate", "text", "cosmic"])
def test_all_keys_and_defaults_are_in_the_table(group):
    values = yaml.safe_load((ROOT / "conf" / "knowledge.yaml").read_text(encoding="utf-8"))[group]
    row, *_ = re.findall(rf"^\| `{group}\.(.*?)\|(.*?)\|", PAGE, re.MULTILINE)
    assert [key.strip("`., ") for key in f"`.{row[0]}".replace("`", "").split(", ")] == list(values)
    shown = row[1].replace("`", "").strip()
    defaults = list(
        dict.fromkeys("null" if value is None else str(value).replace("'", "") for value in values.values())
    )
    assert shown == ", ".join(defaults)
