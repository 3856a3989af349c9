"""Every hostile file is refused fast, in bounded memory, with a message that names it."""

import pytest

from tests.hostile.corpus import CORPUS, Hostile


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused(measured, tmp_path, hostile: Hostile):
    file = tmp_path / hostile.name
    file.parent.mkdir(parents=True, exist_ok=True)
    hostile.write(file)
    assert file.stat().st_size < 5 << 20
    done = measured(hostile.read, file, hostile.seconds, hostile.mebibytes)
    assert (done.seconds < hostile.seconds, done.peak < hostile.mebibytes) == (True, True), done
    assert done.status == 1, done.printed[-2000:]
    assert "Traceback" not in done.printed
    assert str(file) in done.printed or hostile.name.partition("/")[0] in done.printed
    assert hostile.told in done.printed
    assert not (tmp_path / "harmed").exists()
