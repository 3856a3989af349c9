"""Words that YAML reads as something else: ``yes`` is true, ``010`` is 8."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ercsatz.config.yaml_files import load_yaml
from ercsatz.errors import UserError

if TYPE_CHECKING:
    import yaml

_NAMES = ("labels", "speakers", "label_names", "sentiments", "genders")
_MAY_BE_NULL = ("label_names", "sentiments")
_NUMBERS = {"int", "float"}  # which become the text that they are written as, but for keys
_TAG = "tag:yaml.org,2002:"


def refuse_misread(folders: Iterable[Path]) -> None:
    """Refuse a benchmark's YAML whose labels or speakers YAML does not read as they are written.

    Args:
        folders: config folders of the user's own.

    Raises:
        UserError: names file, line and word.
    """
    for folder in folders:
        for file in sorted((folder / "benchmark").glob("*.yaml")):
            _check(file)


def _check(file: Path) -> None:
    import yaml

    try:
        load_yaml(file)  # in bounds, so what follows is
    except UserError:
        return  # who reads it says what is wrong
    root = yaml.compose(file.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return
    for key, node in root.value:
        if key.value in _NAMES:
            for word, may_be in _words(node, key.value):
                _check_word(word, f"{file}, line {word.start_mark.line + 1}: {key.value}", may_be)


def _words(node: "yaml.Node", key: str) -> Iterable[tuple["yaml.ScalarNode", set[str]]]:
    """The scalars of a list, or the keys and values of a mapping, and what each may be beside a text."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        found = [(word, _NUMBERS) for word in node.value]
    elif isinstance(node, yaml.MappingNode):
        values = _NUMBERS | ({"null"} if key in _MAY_BE_NULL else set())
        found = [pair for name, value in node.value for pair in ((name, set[str]()), (value, values))]
    else:
        found = []
    return [(word, may_be) for word, may_be in found if isinstance(word, yaml.ScalarNode)]


def _check_word(word: "yaml.ScalarNode", where: str, may_be: set[str]) -> None:
    import yaml

    kind = word.tag.removeprefix(_TAG)
    if kind in {"null", "bool", *_NUMBERS} and not (kind == "null" and kind in may_be):
        try:
            read = yaml.safe_load(word.value)
        except ValueError:  # digits that are none, as 0b2
            return
        shown = read if str(read) != word.value else "a number"
        if str(read) != word.value or kind not in may_be:
            raise UserError(
                f"{where}: YAML reads {word.value or 'nothing'} as {shown}. Write it in quotes: '{word.value}'."
            )
