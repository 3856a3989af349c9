from collections.abc import Callable
from pathlib import Path

import pytest

from ercsatz.config import BenchmarkConfig, PromptStyle

SPLIT_FILES = {"train": "train.csv", "validation": "validation.csv", "test": "test.csv"}
GOOD_CSV = """Dialogue_ID,Speaker,Utterance,Emotion
0,Ann,"Tea, or ""tea""?",Calm
0,Bo,No!,cross
7,Ann,Fine.,
7,Bo,Good.,calm
"""


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., BenchmarkConfig]:
    """Write three split files (``train`` as given, the others good) and return settings that read them."""

    def write(train: str | bytes = GOOD_CSV, reader: str = "meld", suffix: str = ".csv", **changes) -> BenchmarkConfig:
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        content = train if isinstance(train, bytes) else train.encode()
        files = {split: str(Path(name).with_suffix(suffix)) for split, name in SPLIT_FILES.items()}
        for name in files.values():
            (folder / name).write_bytes(content if name.startswith("train") or suffix != ".csv" else GOOD_CSV.encode())
        keys = {
            "name": "small",
            "title": "Small",
            "reader": reader,
            "path": str(folder),
            "labels": ["calm", "cross"],
            "speakers": ["Ann", "Bo"],
            "style": PromptStyle.cast,
            "files": files,
        }
        return BenchmarkConfig(**(keys | changes))

    return write
