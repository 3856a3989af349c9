import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.data.dialogue import SPLITS, Dialogue, Utterance, label_counts
from ercsatz.data.files import read_jsonl, to_json
from ercsatz.errors import UserError
from ercsatz.generation.dataset.folder import new_folder
from ercsatz.generation.dataset.store import Shelf, assign

LABELS = ("joy", "anger", "neutral")


def dialogue(index: int, target: str | None = None, **provenance) -> Dialogue:
    turns = (Utterance("Maya", f"Line {index}.", LABELS[index % 3]), Utterance("Tomas", "Hm.", None))
    own = {"index": index, "seed": 2**63 - 1 - index, "attempt": 0, "generator": "offline", "model": "m", "mode": "x"}
    return Dialogue(f"{index:06d}", turns, own | {"target": target, "prompt_sha256": "0f" * 32} | provenance)


def shelf_of(folder, dialogues) -> Shelf:
    shelf = Shelf(folder)
    for each in dialogues:
        shelf.add(each)
    return shelf


shares = st.floats(0.05, 0.45)
strata_of = st.lists(st.integers(0, 4), min_size=40, max_size=300)


@given(strata_of, shares, shares, st.integers(0, 9))
def test_shares_are_exact_over_all_and_close_in_every_stratum(strata, validation, test, seed):
    n, strata = len(strata), np.array(strata)
    places = assign(np.arange(n), strata, validation, test, seed)
    for split, share in (("validation", validation), ("test", test), ("train", 1 - validation - test)):
        chosen = places == SPLITS.index(split)
        assert abs(chosen.sum() - share * n) <= 1
        for stratum in range(5):
            assert abs(chosen[strata == stratum].sum() - share * (strata == stratum).sum()) <= 2


@given(strata_of, st.randoms(use_true_random=False))
def test_assignment_does_not_depend_on_the_order(strata, random):
    order = list(range(len(strata)))
    random.shuffle(order)
    places = assign(np.arange(len(strata)), np.array(strata), 0.1, 0.2, 0)
    assert (assign(np.array(order), np.array(strata)[order], 0.1, 0.2, 0) == places[order]).all()


@given(st.integers(500, 1000), st.integers(1, 7), st.integers(0, 9))
def test_growth_keeps_most_assignments_and_never_swaps_validation_and_test(n, n_strata, seed):
    before, after = (assign(np.arange(m), np.arange(m) % n_strata, 0.1, 0.1, seed) for m in (n, n + n // 10))
    moved = before != after[:n]
    assert moved.mean() < 0.05
    assert (np.minimum(before, after[:n])[moved] == SPLITS.index("train")).all()


def test_seed_decides():
    assert (
        assign(np.arange(50), np.zeros(50, int), 0.2, 0.2, 0) != assign(np.arange(50), np.zeros(50, int), 0.2, 0.2, 1)
    ).any()


@pytest.mark.parametrize(
    ("n", "validation", "test", "split"),
    [(0, 0.1, 0.1, "train"), (1, 0.2, 0.7, "train"), (4, 0.1, 0.4, "validation"), (4, 0.4, 0.1, "test")],
)
def test_empty_split_is_refused(tmp_path, n, validation, test, split):
    with shelf_of(tmp_path, map(dialogue, range(n))) as shelf:
        words = rf"^{n} dialogues are too few: the {split} split would be empty.*plan\.n_dialogues"
        with pytest.raises(UserError, match=words):
            shelf.write_splits(tmp_path, validation, test, seed=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", [None, "joy"])
def test_files_hold_what_was_added_in_its_order(tmp_path, target):
    kept = [dialogue(index, target) for index in range(3, 2603, 2)]
    with shelf_of(tmp_path, kept) as shelf:
        assert (len(shelf), shelf.n_utterances, shelf.labels) == (1300, 2600, label_counts(kept))
        summaries = shelf.write_splits(tmp_path, 0.1, 0.1, seed=0)
    found = {split: read_jsonl(tmp_path / f"{split}.jsonl") for split in SPLITS}
    assert sorted((each for split in found.values() for each in split), key=lambda each: each.id) == kept
    for split, dialogues in found.items():
        assert list(dialogues) == sorted(dialogues, key=lambda each: each.id)
        summary = summaries[split]
        assert (summary.dialogues, summary.utterances) == (len(dialogues), 2 * len(dialogues))
        assert summary.labels == label_counts(dialogues)
        parquet = pq.ParquetFile(tmp_path / f"{split}.parquet")
        assert without_nulls(parquet.read().to_pylist()) == without_nulls(map(to_json, dialogues))
        assert parquet.metadata.num_row_groups == -(-len(dialogues) // 1000)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{s}.{kind}" for s in SPLITS for kind in ("jsonl", "parquet")
    }


def without_nulls(rows) -> list[str]:
    """Rows as JSON; a provenance key that a mode does not have is null in Parquet."""
    cut = [row | {"provenance": {k: v for k, v in row["provenance"].items() if v is not None}} for row in rows]
    return [json.dumps(row, sort_keys=True) for row in cut]


def test_splits_are_stratified_by_target(tmp_path):
    targets = [*["joy"] * 70, *["anger"] * 20, *[None] * 10]
    with shelf_of(tmp_path, [dialogue(i, target) for i, target in enumerate(targets)]) as shelf:
        shelf.write_splits(tmp_path, 0.1, 0.1, seed=4)
    for split, factor in (("train", 8), ("validation", 1), ("test", 1)):
        found = Counter(each.provenance["target"] for each in read_jsonl(tmp_path / f"{split}.jsonl"))
        assert found == {"joy": 7 * factor, "anger": 2 * factor, None: factor}


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
persona = st.fixed_dictionaries(
    {"speaker": text, "age": st.none() | st.integers(0, 99)}
    | dict.fromkeys(("gender", "occupation", "mbti", "background"), st.none() | text)
)
situation = st.none() | st.fixed_dictionaries({"text": text, "relation": st.none() | text})


@settings(deadline=None, max_examples=30)  # the first call is slow
@given(st.lists(st.tuples(text, st.lists(persona, max_size=3), situation), min_size=3, max_size=6))
def test_any_text_and_any_persona_survive_both_formats(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("any")
    kept = [
        Dialogue(
            f"{i:06d}",
            (Utterance("A", f"x{words}", "joy"),),
            dialogue(i, "joy", personas=who, situation=what).provenance,
        )
        for i, (words, who, what) in enumerate(contents)
    ]
    with shelf_of(folder, kept) as shelf:
        shelf.write_splits(folder, 0.34, 0.33, seed=0)
    expected = {each.id: each for each in kept}
    for split in SPLITS:
        rows = pq.read_table(folder / f"{split}.parquet").to_pylist()
        assert [expected[row["id"]] for row in rows] == list(read_jsonl(folder / f"{split}.jsonl"))
        for row in rows:
            wanted = expected[row["id"]].provenance
            assert row["utterances"][0]["text"] == expected[row["id"]].utterances[0].text
            assert (row["provenance"]["personas"], row["provenance"]["situation"]) == (
                wanted["personas"],
                wanted["situation"],
            )


def test_provenance_that_the_schema_lacks_is_an_error_and_not_lost(tmp_path):
    shelf = shelf_of(tmp_path, [dialogue(index, mood="good") for index in range(10)])
    with pytest.raises(ValueError, match="unexpected field"):
        shelf.write_splits(tmp_path, 0.2, 0.2, seed=0)


# As on a full disk: from a stage on, no file may grow beyond the limit.
FULL = """
import resource, sys
from pathlib import Path
n, limit, stage, scratch, folder, here = sys.argv[1:]
sys.path.insert(0, here)
from ercsatz.generation.dataset.folder import writing
from test_store import Shelf, UserError, dialogue, new_folder

def reach(now):
    print(now)
    if now == stage:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit),) * 2)

try:
    with new_folder(Path(folder)) as new, Shelf(Path(scratch)) as shelf:
        reach("open")
        for index in range(int(n)):
            shelf.add(dialogue(index))
        reach("shelved")
        shelf.write_splits(new, 0.1, 0.1, seed=0)
        reach("split")
        with writing(folder):
            (new / "README.md").write_text("new" * 100_000)
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("n", "limit", "last"),
    [(2000, 100_000, "open"), (2000, 100_000, "shelved"), (10, 5000, "shelved"), (10, 100_000, "split")],
    ids=["scratch file", "jsonl", "parquet", "readme"],
)
def test_full_disk_is_told_and_leaves_the_old_data_set(tmp_path, n, limit, last):
    folder, scratch = tmp_path / "data" / "d", tmp_path / "scratch"
    scratch.mkdir()
    with new_folder(folder) as new:
        (new / "README.md").write_text("old")
    arguments = [sys.executable, "-c", FULL, str(n), str(limit), last, scratch, folder, Path(__file__).parent]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True)
    *reached, error = done.stdout.splitlines()
    assert reached[-1] == last
    assert "Cannot write" in error
    assert "File too large" in error
    assert (folder / "README.md").read_text() == "old"
    assert [path.name for path in folder.parent.iterdir()] == ["d"]
    assert not list(scratch.iterdir())
