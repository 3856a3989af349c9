import json
import platform
from importlib import metadata

import pytest

from ercsatz.sweeps.result_file import SCHEMA, versions, write_result


def test_a_result_is_json_with_its_schema(tmp_path):
    write_result(tmp_path, {"status": "completed", "labels": ["Freude", "Überraschung"]})
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"schema": SCHEMA, "status": "completed", "labels": ["Freude", "Überraschung"]}
    assert "Überraschung" in text


def test_a_result_that_cannot_be_written_leaves_the_one_before(tmp_path):
    write_result(tmp_path, {"status": "running"})
    with pytest.raises(TypeError):
        write_result(tmp_path, {"status": "completed", "stages": [object()]})
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "running"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_versions_are_of_python_and_of_what_is_installed():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == metadata.version("torch")
    assert {"ercsatz", "transformers", "scikit-learn"} < found.keys()
