from pathlib import Path

import pytest

from ercsatz.data.text_files import atomic_write, json_lines, read_text
from ercsatz.errors import UserError


def test_lines_end_with_a_line_feed_alone(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes("\ufeff".encode() + '["a\u2028b"]\r\n{"c": null}'.encode())
    assert list(json_lines(path)) == [(f"{path}, line 1", ["a\u2028b"]), (f"{path}, line 2", {"c": None})]
    path.write_bytes(b"[]\n\n[]\n")
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: not JSON"):
        list(json_lines(path))
    path.write_bytes(b"")
    assert list(json_lines(path)) == []


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_atomic_write_leaves_the_old_file_on_an_error(tmp_path, interruption):
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as file:
        file.write("old")

    def fail_halfway() -> None:
        with atomic_write(path) as file:
            file.write("half of the ne")
            raise interruption

    with pytest.raises(interruption):
        fail_halfway()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_read_text_names_a_missing_file():
    with pytest.raises(UserError, match=r"There is no file nowhere\.txt"):
        read_text(Path("nowhere.txt"))


def test_read_text_refuses_a_folder_and_a_file_used_as_one(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}: Is a directory\\.$"):
        read_text(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory"):
        read_text(tmp_path / "file" / "below")
