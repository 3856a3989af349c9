"""The pages of docs/extend as a reader types them: their files, and their commands."""

import re
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "extend"


def write_files(page: str, folder: Path) -> dict[str, str]:
    """Write a page's files into a folder, the fenced blocks with ``# FILE: NAME`` at the top; their texts by name."""
    blocks = re.findall(r"```\w+\n((?:# @package[^\n]*\n)?\{?# FILE: (\S+).*?)```", _text(page), re.DOTALL)
    for text, name in blocks:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return {name: text for text, name in blocks}


def commands(page: str) -> list[list[str]]:
    """The words after ``python`` of the page's command lines, in order."""
    return [line.split()[1:] for line in _text(page).splitlines() if line.startswith("python ")]


def _text(page: str) -> str:
    return (PAGES / f"{page}.md").read_text(encoding="utf-8")
