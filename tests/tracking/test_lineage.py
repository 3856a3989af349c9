from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.tracking.lineage import artifact, data_artifact, data_hash, use

pytestmark = pytest.mark.usefixtures("logged_out")


def dialogue(id: str, *texts: str) -> Dialogue:
    return Dialogue(id, tuple(Utterance("Ann", text, "joy") for text in texts))


@given(texts=st.lists(st.text(max_size=5), min_size=1, max_size=3), other=st.text(max_size=5))
def test_a_data_set_is_named_by_its_content_and_the_split_that_it_is_in(texts, other):
    one = {"train": (dialogue("a", *texts),), "test": ()}
    assert data_hash(one) == data_hash({"test": (), "train": (dialogue("a", *texts),)})
    assert data_hash(one) != data_hash({"train": (), "test": one["train"]})
    changed = replace(one["train"][0], utterances=(Utterance("Ann", other, "joy"),))
    assert (data_hash(one) == data_hash({**one, "train": (changed,)})) == (texts == [other])


def test_equal_files_are_one_version_whoever_names_them(tmp_path):
    for folder in ("written", "read"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.jsonl").write_text("{}\n")
        (tmp_path / folder / "leakage.jsonl").write_text(f'"a benchmark\'s text, beside what was {folder}"\n')
    one, other = (data_artifact("mini_bal", tmp_path / folder, "0", {}, upload=False) for folder in ("written", "read"))
    assert one.digest == other.digest
    assert list(one.manifest.entries) == ["train.jsonl"]
    (tmp_path / "read" / "train.jsonl").write_text("{ }\n")
    assert data_artifact("mini_bal", tmp_path / "read", "0", {}, upload=False).digest != one.digest


class Live:
    """A run as far as it is used here."""

    def __init__(self, offline: bool) -> None:
        self.offline, self.used = offline, []

    def use_artifact(self, made: object) -> None:
        assert not self.offline, "W&B raises there"
        self.used.append(made)


def test_what_a_run_reads_is_told_online_only():
    for offline in (True, False):
        live, made = Live(offline), object()
        use(live, made)
        assert live.used == ([] if offline else [made])


def test_without_upload_an_artifact_has_a_files_checksum_and_not_the_file(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text("a secret corpus\n")
    for upload in (False, True):
        made = artifact("a b/c", "dataset", {"train.jsonl": file, "gone": tmp_path / "gone"}, {"seed": 3}, upload)
        assert (made.name, made.type, made.metadata) == ("a-b-c", "dataset", {"seed": 3})
        ((name, entry),) = made.manifest.entries.items()
        assert name == "train.jsonl"
        assert entry.digest
        assert (entry.ref is None, entry.local_path is not None) == (upload, upload)
