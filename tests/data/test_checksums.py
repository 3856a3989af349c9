import subprocess

import pytest

from ercsatz.data import checksums
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.files import read_jsonl, write_jsonl
from ercsatz.errors import UserError

DIALOGUE = Dialogue("1", (Utterance("Ann", "Hello.", "joy"),))


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", [DIALOGUE])
    checksums.write(tmp_path, ["train.jsonl", "test.jsonl"])
    return tmp_path


def test_they_are_those_of_sha256sum(folder):
    assert subprocess.run(["sha256sum", "--check", checksums.NAME], cwd=folder, capture_output=True).returncode == 0


def test_a_letter_that_was_changed_is_noticed_and_can_be_accepted(folder):
    path = folder / "train.jsonl"
    path.write_text(path.read_text().replace("Hello", "Jello"))
    with pytest.raises(UserError, match=r"train\.jsonl is not the file that was written.*delete .*SHA256SUMS\.$"):
        read_jsonl(path)
    assert read_jsonl(folder / "test.jsonl") == (DIALOGUE,)
    (folder / checksums.NAME).unlink()
    assert read_jsonl(path)[0].utterances[0].text == "Jello."


def test_a_folder_without_checksums_or_with_those_of_other_files_is_read(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [DIALOGUE])
    assert read_jsonl(tmp_path / "train.jsonl") == (DIALOGUE,)
    (tmp_path / checksums.NAME).write_bytes(b"0123 other.jsonl\n\xff\n")
    assert read_jsonl(tmp_path / "train.jsonl") == (DIALOGUE,)


def test_a_missing_file_is_the_readers_to_tell(folder):
    (folder / "train.jsonl").unlink()
    with pytest.raises(UserError, match="There is no file"):
        read_jsonl(folder / "train.jsonl")
