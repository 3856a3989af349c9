"""docs/architecture.md, its picture and the glossary, against the code."""

import ast
import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("grimp")
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "ercsatz"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = {
    path.stem for path in PACKAGE.iterdir() if path.stem.isidentifier() and path.stem not in {"__init__", "__pycache__"}
}
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))


def test_the_page_has_a_line_for_every_room():
    table = PAGE.partition("## The rooms")[2].partition("## The arrows")[0]
    assert set(re.findall(r"^\| `(\w+)` \| \w", table, re.MULTILINE)) == ROOMS


def test_the_picture_shows_the_rooms_and_the_arrows_of_the_code(script):
    drawn = (ROOT / "docs" / "img" / "architecture.svg").read_text(encoding="utf-8")
    assert set(re.findall(r'id="room-(\w+)"', drawn)) == ROOMS
    arrows = {(room, other) for room, to in script["reduced"](script["arrows"]()).items() for other in to}
    assert set(re.findall(r'id="arrow-(\w+)-(\w+)"', drawn)) == arrows, "draw it anew: python docs/draw_architecture.py"
    rows = {room: number for number, row in enumerate(script["layers"]()) for room in row}
    assert rows.keys() == ROOMS
    assert all(rows[room] <= rows[other] for room, other in arrows)


def test_an_arrow_that_follows_from_others_is_left_out(script):
    assert script["reduced"]({"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}) == {
        "a": {"b"},
        "b": {"c"},
        "c": {"d"},
        "d": set(),
    }


def names_in(file: Path) -> set[str]:
    """Every class, function and method of a file, methods after their class."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{each.name}" for each in inner}
    return found


def test_every_file_and_function_that_the_page_names_is_there():
    files = re.findall(r"`([\w/]+\.py)`", PAGE)
    assert len(files) > 40
    places = {name: [path for path in (PACKAGE / name, ROOT / name) if path.is_file()] for name in files}
    assert [name for name, found in places.items() if not found] == []
    named = re.findall(r"`([\w/]+\.py)`\s+\(((?:`[\w.]+`(?:,\s+)?)+)\)", PAGE)
    assert len(named) > 40
    for name, listed in named:
        assert set(re.findall(r"`([\w.]+)`", listed)) <= names_in(places[name][0]), name


def test_every_folder_and_yaml_that_the_page_names_is_there():
    for name in re.findall(r"`([\w/]+(?:/|\.yaml))`", PAGE):
        assert any((place / name).exists() for place in (ROOT, PACKAGE, *PACKAGE.iterdir())), name


def test_the_glossary_is_in_the_order_of_the_alphabet():
    words = re.findall(r"^\| ([\w -]+) \| \S", GLOSSARY, re.MULTILINE)[1:]
    assert len(words) > 50
    assert words == sorted(words, key=str.casefold)


def test_the_glossary_names_every_choice_of_what_it_lists():
    for word in ("benchmark", "classifier", "generator", "loss", "mode", "phase", "sampler"):
        (line,) = re.findall(rf"^\| {word} \|.*$", GLOSSARY, re.MULTILINE)
        shipped = {file.stem for file in (ROOT / "conf" / word).glob("*.yaml")}
        listed = set(re.findall(r"`([\w-]+)`", line))
        assert listed <= shipped, word
        assert listed == shipped or word == "benchmark", word
