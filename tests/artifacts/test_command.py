import re

import pytest

from ercsatz.artifacts import command, marks
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind


@pytest.fixture
def cache(tmp_path):
    for kind, owner in ((Kind.stages, "meld_bal compm pretrain seed 0"), (Kind.vectors, "9 sequences\x1b[31m")):
        artifact = Artifact(kind, {"owner": owner}, owner)
        Artifacts(tmp_path).get(artifact, lambda folder: (folder / "data").write_bytes(bytes(2000)))
    return tmp_path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = command.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_the_list_has_kind_key_size_age_owner_and_total(cache, capsys):
    status, out, _ = run(capsys, cache)
    assert status == 0
    (stage,) = (path.name for path in (cache / "stages").iterdir())
    (line,) = (line for line in out.splitlines() if line.lstrip().startswith("stages"))
    assert re.match(rf" *stages +{stage} +2\.\d+ KB +now +meld_bal compm pretrain seed 0", line)
    assert "9 sequences\\x1b[31m" in out.replace("\n", "").replace("  ", "")
    assert re.search(r"^2 entries, 4\.\d+ KB in ", out, re.MULTILINE)


def test_the_cache_is_found_where_jobs_have_it(cache, capsys, monkeypatch):
    monkeypatch.setenv("ERCSATZ_CACHE", str(cache))
    assert "2 entries" in run(capsys)[1]


def test_pruning_says_what_it_removed_and_what_it_kept(cache, capsys, monkeypatch):
    kept = run(capsys, cache, "--older-than", "0m")[1]
    assert kept.count("kept, in use: ") == 2
    assert "Removed 0 entries, 0 B; 2 entries, 4" in kept
    monkeypatch.setattr(marks, "in_use", lambda _: set())  # as when this process has ended
    removed = run(capsys, cache, "--keep-under", "2.8KB")[1]
    assert re.search(r"^removed stages/[0-9a-f]{16} \(2\.\d+ KB, now, meld_bal compm", removed, re.MULTILINE)
    assert "Removed 1 entry, 2" in removed
    assert "; 1 entry, 2" in removed


def test_no_cache_is_told(tmp_path, capsys):
    status, _, error = run(capsys, tmp_path / "none")
    assert (status, "There is no cache in" in error, "ercsatz cache FOLDER" in error) == (1, True, True)


def test_an_empty_cache_has_no_table(tmp_path, capsys):
    assert run(capsys, tmp_path)[1] == f"0 entries, 0 B in {tmp_path}\n"


@pytest.mark.parametrize("arguments", [("--older-than", "soon"), ("--keep-under", "20"), ("--older-than", "3 years")])
def test_what_is_no_time_or_size_is_refused_with_an_example(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(list(arguments))
    assert "30d" in (error := capsys.readouterr().err) or "20GB" in error


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (512_000_000, "512 MB"), (2 * 10**12, "2 TB")]
)
def test_sizes_are_for_people(size, text):
    assert command.size_text(size) == text


def test_sizes_and_times_are_read():
    assert command._size("1.5GB") == 1_500_000_000
    assert command._age("2w").days == 14
    assert command._age("90m").total_seconds() == 5400
