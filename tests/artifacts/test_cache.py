import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ercsatz.artifacts import manifest, marks
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind, State
from ercsatz.artifacts.inventory import prune
from ercsatz.errors import UserError

ARTIFACT = Artifact(Kind.tokens, {"dialogues": "abc", "version": 1}, "three dialogues", logs=("logs",))
FILES = {"weights.bin": bytes(range(64)), "folder/words.txt": "Où?".encode(), "empty": b"", "logs/run.csv": b"1,2"}

# Asks for ARTIFACT in another process. In turn: the folder, seconds to take, and whether to go on using it.
PROCESS = """
import sys, time
from pathlib import Path
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind

root, seconds = Path(sys.argv[1]), float(sys.argv[2])

def make(folder):
    with (root / "made").open("a") as file:
        file.write("again\\n" if (folder / "first").exists() else "once\\n")
    (folder / "first").write_bytes(b"1" * 5000)
    (root / "started").touch()
    time.sleep(seconds)
    (folder / "second").write_bytes(b"2" * 5000)

artifact = Artifact(Kind.tokens, {"dialogues": "abc", "version": 1}, "three dialogues")
print("cached:", Artifacts(root / "cache").get(artifact, make).cached, flush=True)
if "stay" in sys.argv:
    sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start ``PROCESS`` in the test's folder; what still runs at the end is killed."""
    started = []

    def run(seconds: float, *stay: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", PROCESS, str(tmp_path), str(seconds), *stay]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def write(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != manifest.NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def forget() -> None:
    """As another process would begin, which has verified nothing yet and uses nothing."""
    manifest._VERIFIED.clear()
    while marks._MARKS:
        marks._MARKS.popitem()[1]._end()


def never(_: Path) -> None:
    pytest.fail("made again")


# Once


def test_an_artifact_is_made_once_and_says_what_it_is(tmp_path):
    first = Artifacts(tmp_path).get(ARTIFACT, write)
    assert (first.path, first.cached) == (tmp_path / "tokens" / ARTIFACT.key, False)
    forget()
    assert Artifacts(tmp_path).get(ARTIFACT, never).cached
    assert content(first.path) == FILES
    found = manifest.read(first.path)
    assert (found.kind, found.key, found.owner) == ("tokens", ARTIFACT.key, "three dialogues")
    assert found.description == ARTIFACT.description
    assert {name: sum.size for name, sum in found.files.items()} == {
        name: len(data) for name, data in FILES.items() if not name.startswith("logs/")
    }
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == [ARTIFACT.key], "no lock, no part"


def test_another_description_is_another_artifact(tmp_path):
    Artifacts(tmp_path).get(ARTIFACT, write)
    other = Artifact(Kind.tokens, {**ARTIFACT.description, "version": 2}, ARTIFACT.owner)
    assert not Artifacts(tmp_path).get(other, write).cached
    assert Artifact(Kind.tokens, ARTIFACT.description, "named otherwise").key == ARTIFACT.key


def test_files_are_verified_once_in_a_process(tmp_path, monkeypatch):
    Artifacts(tmp_path).get(ARTIFACT, write)
    forget()
    read, original = [], manifest._sha256
    monkeypatch.setattr(manifest, "_sha256", lambda path: read.append(path.name) or original(path))
    for _ in range(3):
        Artifacts(tmp_path).get(ARTIFACT, never)
    assert sorted(read) == ["empty", "weights.bin", "words.txt"]


def test_two_processes_make_it_once_and_the_second_says_that_it_waits(tmp_path, start, wait_for):
    first = start(2)
    wait_for(tmp_path / "started")
    second = start(0)
    assert first.communicate(timeout=60) == ("cached: False\n", "")
    out, said = second.communicate(timeout=60)
    assert out == "cached: True\n"
    assert said == f"waiting for another process that is at {tmp_path}/cache/tokens/{ARTIFACT.key}\n"
    assert (tmp_path / "made").read_text() == "once\n"


@pytest.mark.parametrize("waiting", [False, True])
def test_what_a_killed_process_left_is_handed_on_and_made_whole(tmp_path, start, wait_for, waiting):
    killed = start(600)
    wait_for(tmp_path / "started")
    following = start(0) if waiting else None
    if following is not None:
        assert following.stderr is not None
        assert "waiting for another process" in following.stderr.readline()
    assert Artifacts(tmp_path / "cache").state(ARTIFACT) is State.running
    killed.kill()
    killed.communicate()
    following = following or start(0)
    assert following.communicate(timeout=60)[0] == "cached: False\n"
    assert (tmp_path / "made").read_text() == "once\nagain\n"
    folder = tmp_path / "cache" / "tokens" / ARTIFACT.key
    assert content(folder) == {"first": b"1" * 5000, "second": b"2" * 5000}
    manifest.verify(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_what_was_made_before_a_kill_while_it_went_to_the_disk_is_not_made_again(tmp_path, monkeypatch):
    def killed(folder: Path) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as changed:
        changed.setattr("ercsatz.artifacts.cache.settle", killed)
        with pytest.raises(SystemExit):
            Artifacts(tmp_path).get(ARTIFACT, write)
    (partial,) = (tmp_path / "tokens").iterdir()
    forget()
    shutil.copytree(tmp_path, tmp_path / "torn")
    assert content(Artifacts(tmp_path).get(ARTIFACT, never).path) == FILES
    (tmp_path / "torn" / "tokens" / partial.name / "weights.bin").write_bytes(b"torn")
    assert content(Artifacts(tmp_path / "torn").get(ARTIFACT, write).path) == FILES


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_one_is_not_there_and_goes_on(tmp_path, interruption):
    def interrupted(folder: Path) -> None:
        (folder / "last.ckpt").write_text("epoch 2")
        raise interruption

    with pytest.raises(interruption):
        Artifacts(tmp_path).get(ARTIFACT, interrupted)
    assert Artifacts(tmp_path).state(ARTIFACT) is State.missing
    found = Artifacts(tmp_path).get(ARTIFACT, write)
    assert content(found.path) == {**FILES, "last.ckpt": b"epoch 2"}


def test_the_state_is_told_without_a_trace(tmp_path, start, wait_for):
    cache = Artifacts(tmp_path / "cache")
    assert cache.state(ARTIFACT) is State.missing
    assert not (tmp_path / "cache").exists()
    running = start(600)
    wait_for(tmp_path / "started")
    assert cache.state(ARTIFACT) is State.running
    running.kill()
    running.communicate()
    before = sorted(tmp_path.rglob("*"))
    assert cache.state(ARTIFACT) is State.missing, "the lock of a killed process is free"
    assert sorted(tmp_path.rglob("*")) == before
    cache.get(ARTIFACT, write)
    assert cache.state(ARTIFACT) is State.cached


# Damage


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return Artifacts(tmp_path_factory.mktemp("kept")).get(ARTIFACT, write).path


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_byte_is_flipped_the_content_is_as_made(kept, caplog, data):
    caplog.clear()
    forget()
    files = [path for path in sorted(kept.rglob("*")) if path.is_file() and path.stat().st_size]
    file = data.draw(st.sampled_from([path for path in files if "logs" not in path.parts]))
    flipped = bytearray(file.read_bytes())
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(flipped)
    found = Artifacts(kept.parents[1]).get(ARTIFACT, write)
    assert content(found.path) == FILES
    if file.name != manifest.NAME:  # in which a byte may be white space
        name = file.relative_to(kept).as_posix()
        assert caplog.messages == [f"{kept} is damaged ({name} was changed): made again"]
        assert not found.cached
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name]


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.99])
def test_a_torn_manifest_is_named_and_all_is_made_again(kept, caplog, share):
    forget()
    file = kept / manifest.NAME
    os.truncate(file, int(share * file.stat().st_size))
    assert not Artifacts(kept.parents[1]).get(ARTIFACT, write).cached
    assert caplog.messages == [f"{kept} is damaged (manifest.json is torn): made again"]
    assert content(kept) == FILES


@pytest.mark.parametrize("name", ["manifest.json", "weights.bin", "folder/words.txt", "empty"])
def test_a_missing_file_is_named_and_all_is_made_again(kept, caplog, name):
    forget()
    (kept / name).unlink()
    assert not Artifacts(kept.parents[1]).get(ARTIFACT, write).cached
    assert caplog.messages == [f"{kept} is damaged ({name}: No such file or directory): made again"]
    assert content(kept) == FILES


def test_a_copy_of_another_artifact_is_not_taken(kept, caplog):
    other = Artifact(Kind.tokens, {"other": 1}, "other")
    shutil.copytree(kept, kept.with_name(other.key))
    found = Artifacts(kept.parents[1]).get(other, lambda folder: (folder / "own").touch())
    assert "about another artifact" in caplog.text
    assert list(content(found.path)) == ["own"]
    shutil.rmtree(found.path)


def test_logs_may_change(tmp_path):
    found = Artifacts(tmp_path).get(ARTIFACT, write)
    (found.path / "logs" / "run.csv").write_text("3,4")
    (found.path / "logs" / "more").touch()
    forget()
    assert Artifacts(tmp_path).get(ARTIFACT, never).cached


# A cache that cannot be written


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told(tmp_path, number):
    def full(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match=r"Cannot write .*Make room.*paths\.cache"):
        Artifacts(tmp_path).get(ARTIFACT, full)


def test_another_error_of_the_maker_is_its_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        Artifacts(tmp_path).get(ARTIFACT, lambda _: Path("elsewhere").read_text())


def test_a_file_in_the_place_of_the_cache_is_told(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(UserError, match=r"Cannot write .*cache.*paths\.cache"):
        Artifacts(tmp_path / "cache").get(ARTIFACT, write)


READER = """
import os, sys
from pathlib import Path
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.errors import UserError

if os.getuid() == 0:  # for whom no permission counts
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
cache = Path(sys.argv[1])
for kind in (Kind.tokens, Kind.vectors, Kind.stages):
    artifact = Artifact(kind, {"dialogues": "abc", "version": 1}, "")
    try:
        for _ in range(2):
            entry = Artifacts(cache).get(artifact, lambda folder: (folder / "made").write_text("here"))
            print(kind, entry.cached, cache in entry.path.parents)
    except UserError as error:
        print(error)
print(Artifacts(cache).state(artifact))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's; what is in it may lose its permissions."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        for folder in (Path(name), *Path(name).rglob("*")):
            folder.chmod(0o755)


def test_a_read_only_cache_is_read_and_nothing_is_written(open_folder):
    cache = open_folder / "cache"
    Artifacts(cache).get(ARTIFACT, write)
    damaged = Artifacts(cache).get(Artifact(Kind.vectors, ARTIFACT.description, ""), write).path
    (damaged / "empty").write_text("no longer")
    for path in (*cache.rglob("*"), cache):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    done = subprocess.run([sys.executable, "-c", READER, str(cache)], capture_output=True, text=True, check=True)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    *read, stage, state = done.stdout.splitlines()
    assert read == ["tokens True True", "tokens True True", "vectors False False", "vectors True False"]
    assert stage.startswith(f"{cache}/stages/{ARTIFACT.key} is not there, and the cache cannot be written.")
    assert "paths.cache=FOLDER" in stage
    assert state == "missing"
    assert f"{damaged} is damaged (empty was changed): made again, but not kept" in done.stderr


def test_a_full_cache_is_read(small_disk):
    small = small_disk(2_000_000)
    made = Artifacts(small.folder).get(ARTIFACT, write).path
    forget()
    with suppress(OSError), (small.folder / "filler").open("wb") as file:
        file.write(bytes(4_000_000))
    assert Artifacts(small.folder).get(ARTIFACT, never).path == made


def test_a_cache_on_a_read_only_file_system_is_read(small_disk):
    small = small_disk(2_000_000)
    made = Artifacts(small.folder).get(ARTIFACT, write).path
    forget()
    small.read_only()
    assert Artifacts(small.folder).get(ARTIFACT, never).path == made


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_decides_who_may_read_what_is_kept(umask, tmp_path):
    before = os.umask(umask)
    try:
        made = Artifacts(tmp_path / "cache").get(ARTIFACT, lambda folder: (folder / "a").touch(mode=0o600)).path
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in (made, *made.iterdir())} == {
        made.name: 0o777 & ~umask,
        "a": 0o666 & ~umask,
        manifest.NAME: 0o666 & ~umask,
    }


# Pruning while others are at work


def test_what_another_process_uses_is_not_pruned_and_what_a_killed_one_used_is(tmp_path, start):
    cache = tmp_path / "cache"
    user = start(0, "stay")
    assert user.stdout is not None
    assert user.stdout.readline() == "cached: False\n"
    pruned = prune(cache, None, 0)
    assert (pruned.removed, [item.key for item in pruned.kept]) == ([], [ARTIFACT.key])
    assert pruned.kept[0].in_use
    assert (cache / "tokens" / ARTIFACT.key).is_dir()
    user.kill()
    user.communicate()
    assert [item.key for item in prune(cache, None, 0).removed] == [ARTIFACT.key]
    assert not list((cache / "tokens").iterdir())
    assert not list((cache / marks.FOLDER).iterdir())


def test_what_another_process_makes_is_not_pruned(tmp_path, start, wait_for):
    maker = start(2)
    wait_for(tmp_path / "started")
    pruned = prune(tmp_path / "cache", None, 0)
    assert [item.key for item in pruned.kept] == [f"{ARTIFACT.key}.partial"]
    assert maker.communicate(timeout=60)[0] == "cached: False\n"


def test_marks_of_processes_do_not_pile_up(tmp_path, start):
    for _ in range(3):
        process = start(0, "stay")
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate()
    ended = start(0)
    ended.communicate(timeout=60)
    assert not list((tmp_path / "cache" / marks.FOLDER).iterdir())


HAMMER = """
import sys
from pathlib import Path
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind

artifact, over = Artifact(Kind.tokens, {"x": 1}, ""), Path(sys.argv[1], "over")
artifacts, made = Artifacts(Path(sys.argv[1])), 0
from ercsatz.artifacts import manifest, marks
while not over.exists():
    entry = artifacts.get(artifact, lambda folder: (folder / "content").write_text("whole"))
    made += not entry.cached
    assert (entry.path / "content").read_text() == "whole"
    manifest._VERIFIED.clear()
    mark = marks._MARKS.popitem()[1]  # as a process that ends
    mark._end()
print(made)
"""


def test_readers_and_a_pruner_never_see_half_an_artifact(tmp_path):
    readers = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    removed = 0
    while removed < 3:  # how long that takes depends on the machine
        removed += len(prune(tmp_path, None, 0).removed)
    (tmp_path / "over").touch()
    made = 0
    for reader in readers:
        out, error = reader.communicate()
        assert reader.returncode == 0, error.decode()
        assert b"damaged" not in error
        made += int(out)
    assert made >= removed


MANY = """
import sys
from pathlib import Path
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind

def make(folder):
    for number in range(3):
        (folder / str(number)).write_bytes(bytes(100_000))

for n in range(int(sys.argv[2])):
    Artifacts(Path(sys.argv[1])).get(Artifact(Kind.vectors, {"n": n}, str(n)), make)
    print(n, flush=True)
"""


def test_whenever_a_writer_is_killed_what_is_there_is_whole(tmp_path):
    for delay in (0.0, 0.003, 0.011, 0.024):
        writer = subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path), "1000"], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.kill()
        writer.communicate()
        whole = [path for path in (tmp_path / "vectors").iterdir() if not path.suffix]
        assert whole
        for path in whole:
            manifest.verify(path)
            assert content(path) == {str(number): bytes(100_000) for number in range(3)}
    done = subprocess.run([sys.executable, "-c", MANY, str(tmp_path), str(len(whole) + 2)], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list((tmp_path / "vectors").glob("*.*"))


FORKED = """
import os, sys
from pathlib import Path
from ercsatz.artifacts import marks
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind

def get(n):
    Artifacts(Path(sys.argv[1])).get(Artifact(Kind.vectors, {"n": n}, ""), lambda folder: None)
    return len(marks.in_use(Path(sys.argv[1])))

get(1)
if os.fork() == 0:
    sys.exit(get(2) != 2)
assert os.wait()[1] == 0
print(len(marks.in_use(Path(sys.argv[1]))))
"""


def test_a_forked_process_has_a_mark_of_its_own(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    assert not marks.in_use(tmp_path)
