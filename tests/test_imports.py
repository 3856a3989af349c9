"""The contracts on imports in pyproject.toml, as ``lint-imports`` sees them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
pytest.importorskip("importlinter")


@pytest.fixture
def lint(tmp_path):
    """Add lines to modules of a copy of the package and check the copy."""

    def run(**added: str) -> "subprocess.CompletedProcess[str]":
        package = tmp_path / "src" / "ercsatz"
        shutil.copytree(REPOSITORY / "src" / "ercsatz", package, ignore=shutil.ignore_patterns("mini", "__pycache__"))
        shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
        for module, line in added.items():
            with package.joinpath(*module.split("__")).with_suffix(".py").open("a", encoding="utf-8") as file:
                file.write(line)
        command = [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ]
        variables = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "200"}
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)

    return run


def test_the_package_keeps_its_contracts(lint):
    done = lint()

    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        (
            "llm__seeds",
            "from ercsatz.generation import plan\n",
            "ercsatz.llm is not allowed to import ercsatz.generation",
        ),
        ("data__ngrams", "def f():\n    import ercsatz.cli\n", "ercsatz.data is not allowed to import ercsatz.cli"),
        ("ranking__read", "from ercsatz.data.files import read_jsonl\n", "to import ercsatz.data.files"),
        ("quality__measure", "import hydra\n", "to import hydra"),
        ("data__contamination", "from ercsatz.config import Leakage\n", "to import ercsatz.config"),
        ("knowledge__vectors", "from ercsatz.knowledge import sidecar\n", "No cycles are allowed in ercsatz.knowledge"),
        ("loose", "x = 1\n", "ercsatz.loose"),
    ],
)
def test_what_breaks_them_is_named(lint, module, line, broken):
    done = lint(**{module: line})

    assert done.returncode == 1, done.stdout
    assert broken in " ".join(done.stdout.split())
