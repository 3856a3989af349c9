import json
import platform
from importlib import metadata

import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import scores
from ercsatz.sweeps import result_file
from ercsatz.sweeps.result_file import SCHEMA, read_result, versions, write_result

RESULT = {"status": "completed", "labels": ["Freude", "Überraschung"], "seconds": 1.5, "stages": [{"w_f1": 1 / 3}]}


def test_a_result_is_read_as_it_was_written(tmp_path):
    write_result(tmp_path, RESULT)
    found = read_result(tmp_path / "result.json")
    assert {key: value for key, value in found.items() if key != "sha256"} == {"schema": SCHEMA, **RESULT}
    assert "Überraschung" in (tmp_path / "result.json").read_text(encoding="utf-8")


def test_a_result_that_was_read_can_be_written_again(tmp_path):
    write_result(tmp_path, RESULT)
    write_result(tmp_path, {**read_result(tmp_path / "result.json"), "status": "failed"})
    assert read_result(tmp_path / "result.json")["status"] == "failed"


def test_no_byte_of_a_result_changes_unseen(tmp_path):
    write_result(tmp_path, RESULT)
    file = tmp_path / "result.json"
    whole, written = file.read_bytes(), read_result(file)
    for place, byte in enumerate(whole):
        for changed in (b"", *(bytes([byte ^ bit]) for bit in (1, 2, 16, 128))):  # cut off, or one byte
            file.write_bytes(whole[:place] + (changed + whole[place + 1 :] if changed else b""))
            try:
                found = read_result(file)
            except UserError:
                continue
            assert {**found, "schema": SCHEMA} == {**written, "schema": SCHEMA}  # white space, or its schema became 1


def test_a_result_of_the_first_version_is_read(tmp_path):
    (tmp_path / "result.json").write_text('{"schema": 1, "status": "running"}')
    assert read_result(tmp_path / "result.json")["status"] == "running"


@pytest.mark.parametrize(
    "text", ["{}", "[]", "3", '{"schema": 3}', '{"schema": 2}', "[" * 100_000, "{", '{"schema": [1]}']
)
def test_json_that_is_no_result_is_refused(text, tmp_path):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError, match=r"result\.json.*Delete it and run the job again"):
        read_result(tmp_path / "result.json")


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


def test_default_is_that_of_the_ranking():
    assert result_file._DEFAULT == scores.DEFAULT
