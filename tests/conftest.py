import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Real corpora, models and published tables, where the machine has them; the test is skipped where it has not."""
    folder = Path(os.environ.get("ERCSATZ_TEST_SHARED", REPOSITORY.parent / "shared"))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"no {folder / name}: set ERCSATZ_TEST_SHARED to a folder that has {name}")
        return folder / name

    return find
