"""Every key has a line of meaning, and the lines are found."""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from ercsatz.config import SCHEMAS, registry
from ercsatz.config.keys import Key, keys_of, meanings
from ercsatz.resources import resource


class Colour(StrEnum):
    red = "red"
    blue = "blue"


@dataclass
class Inner:
    """Inside.

    Attributes:
        depth: how deep,
            in metres.
    """

    depth: int = 1


@dataclass
class Base:
    """Above.

    Attributes:
        name: of the base.
        colour: which ``one``.
    """

    name: str = "x"
    colour: Colour = Colour.red


@dataclass
class Outer(Base):
    """Outside.

    Attributes:
        name: of the outer one.
        inner: what is inside.
        many: some inside.
        part: of a class that a YAML names.
        others: of somebody else's classes.

    Raises:
        nothing: at all.
    """

    inner: Inner = field(default_factory=Inner)
    many: dict[str, Inner] = field(default_factory=dict)
    part: Any = None
    maybe: Inner | None = None
    others: dict[str, Any] = field(default_factory=dict)


NODE = {
    "name": "n",
    "colour": "blue",
    "inner": {"depth": 3},
    "many": {"a": {"depth": 1}, "b": {"depth": 2}},
    "part": None,
    "maybe": None,
    "others": {"logger": {"_target_": "some.Logger", "folder": "here"}},
}


def test_the_meaning_of_a_key_is_what_its_class_or_one_above_it_says():
    assert meanings(Outer) == {
        "name": "of the outer one",
        "colour": "which ``one``",
        "inner": "what is inside",
        "many": "some inside",
        "part": "of a class that a YAML names",
        "others": "of somebody else's classes",
    }
    assert meanings(Inner) == {"depth": "how deep, in metres"}
    assert meanings(dataclasses.make_dataclass("Silent", ["a"])) == {}


def test_every_key_comes_with_its_value():
    assert [*keys_of(Outer, NODE)] == [
        Key("name", "n", "of the outer one", (), Outer),
        Key("colour", "blue", "which ``one``", ("red", "blue"), Outer),
        Key("inner.depth", 3, "how deep, in metres", (), Inner),
        Key("many", ["a", "b"], "some inside", (), Outer),
        Key("many.NAME.depth", None, "how deep, in metres", (), Inner),
        Key("part", None, "of a class that a YAML names", (), Outer),
        Key("maybe", None, "", (), Outer),
        Key("others", ["logger"], "of somebody else's classes", (), Outer),
        Key("others.logger.folder", "here", "argument of some.Logger"),
    ]


def test_the_options_of_a_part_are_those_of_the_class_that_its_yaml_names():
    part = {"_target_": "ercsatz.config.backbone.TinySizeConfig", "hidden": 4}
    found = {key.name: key.value for key in keys_of(Outer, {"part": part})}
    assert (found["part.hidden"], "part" in found, "part._target_" in found) == (4, False, False)


@pytest.mark.parametrize(
    ("target", "meaning"),
    [
        ("ercsatz.training.averaging.WeightAveraging", "of the average before a step, from 0 (no average) to below 1"),
        ("own_callback.Own", "how much"),
        ("pytorch_lightning.callbacks.EarlyStopping", "argument of pytorch_lightning.callbacks.EarlyStopping"),
        ("nowhere.Own", "argument of nowhere.Own"),
        ("sys.Own", "argument of sys.Own"),
        ("Own", "argument of Own"),
    ],
)
def test_the_arguments_of_a_class_are_read_without_running_its_file(target, meaning, tmp_path, monkeypatch):
    text = 'raise RuntimeError\n\n\nclass Own:\n    """Own.\n\n    Args:\n        decay: how much.\n    """\n'
    (tmp_path / "own_callback.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = [*keys_of(Outer, {"others": {"a": {"_target_": target, "decay": 1}}})]
    assert [key.meaning for key in found if key.name == "others.a.decay"] == [meaning]


# All classes of options

TARGETS = {
    node["_target_"]
    for file in resource("conf").rglob("*.yaml")
    for top in [yaml.safe_load(file.read_text(encoding="utf-8"))]
    if isinstance(top, dict)
    for node in [top, *top.values()]
    if isinstance(node, dict) and str(node.get("_target_", "")).startswith("ercsatz.")
}


def nested(schema: type) -> Iterator[type]:
    """A dataclass, and those that its fields are of."""
    yield schema
    for hint in get_type_hints(schema).values():
        for kind in (hint, *get_args(hint), *(inner for each in get_args(hint) for inner in get_args(each))):
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                yield from nested(kind)


def all_schemas() -> list[type]:
    parts = [found for target in TARGETS if dataclasses.is_dataclass(found := registry.load(target, "_target_"))]
    return sorted({each for schema in [*SCHEMAS.values(), *parts] for each in nested(schema)}, key=lambda c: c.__name__)


def test_the_classes_are_found():
    names = {schema.__name__ for schema in all_schemas()}
    assert {"TrainConfig", "StageConfig", "CountsConfig", "SamplingConfig", "CoMPMConfig", "TgiConfig"} <= names


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.__name__)
def test_every_key_has_a_line_of_meaning(schema):
    said = meanings(schema)
    fields = {each.name for each in dataclasses.fields(schema)}
    assert fields - said.keys() == set(), "say below Attributes: in the docstring what it means"
    assert said.keys() <= fields | {name for each in schema.__mro__ for name in vars(each).get("__annotations__", {})}
    for name, meaning in said.items():
        assert re.fullmatch(r"[^\n]{3,160}", meaning), name
