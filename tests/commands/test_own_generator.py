"""A generator of one's own: a Python file and a YAML in a folder outside the repository."""

import json
from pathlib import Path

import pytest

from ercsatz.data.dialogue import read_jsonl

PYTHON = '''\
import random
from collections.abc import Iterator
from dataclasses import dataclass

from ercsatz.config import GeneratorConfig, Profile
from ercsatz.config.rules import Rule
from ercsatz.generators.interface import Answer, FinishReason, Generator, Identity, Request

WORDS = "apple bread candle door engine feather garden hammer island jacket kettle ladder mirror needle".split()


@dataclass
class MineConfig(GeneratorConfig):
    """Random words; an utterance has ``length`` of them."""

    length: int = 8

    @property
    def profile(self) -> Profile:
        return Profile(frozenset({"seed"}), "cc0-1.0", "Nobody wrote it.", ("It means nothing.",), language_model=False)

    def problems(self) -> Iterator[Rule]:
        yield from super().problems()
        yield "generator.length", self.length, self.length >= 3, "3 or more"

    def build(self, grammar: str | None = None) -> Generator:
        return Generator("mine", self.profile, {"length": self.length}, (Mine(self.length),), window=self.window)


class Mine:
    name = "mine"

    def __init__(self, length: int) -> None:
        self._length = length

    async def identify(self) -> Identity:
        return Identity("words-1")

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        pass

    async def answer(self, request: Request) -> Answer:
        draw, lines = random.Random(request.seed), []
        for turn in range(request.n_turns):
            speaker = request.speakers[turn % len(request.speakers)]
            text = " ".join(draw.choices(WORDS, k=self._length))
            lines.append(f"{speaker}: {text.capitalize()}. ({draw.randint(1, len(request.labels))})")
        return Answer("\\n".join(lines), FinishReason.stop)
'''
YAML = "_target_: mine.MineConfig\nname: mine\nwindow: 4\nlength: 8\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder; the generator is one file of at most 60 lines and one YAML."""
    assert PYTHON.count("\n") <= 60
    folder = tmp_path / "conf"
    (folder / "generator").mkdir(parents=True)
    (folder / "mine.py").write_text(PYTHON)
    (folder / "generator" / "mine.yaml").write_text(YAML)
    return folder


def test_it_writes_a_data_set(command, own, tmp_path):
    asked = ("--config-dir", own, "generator=mine", "generator.length=5", "data=mini_nat", "plan.n_dialogues=30")
    done = command(tmp_path, "generate.py", *asked)
    assert done.returncode == 0, done.stderr
    dialogues = read_jsonl(tmp_path / "data" / "mini_nat" / "train.jsonl")
    assert len(dialogues) == 24
    assert {(d.provenance["generator"], d.provenance["model"]) for d in dialogues} == {("mine", "words-1")}
    assert {len(turn.text.split()) for dialogue in dialogues for turn in dialogue.utterances} == {5}
    settings = json.loads((tmp_path / "data" / "mini_nat" / "config.json").read_text())["settings"]
    assert settings["generator"] == {"name": "mine", "length": 5}
    card = (tmp_path / "data" / "mini_nat" / "README.md").read_text()
    assert "license: cc0-1.0" in card
    assert "It means nothing." in card


def test_help_lists_it(command, own, tmp_path):
    text = command(tmp_path, "generate.py", "--config-dir", own, "--help").stdout
    assert "generator: mine, offline, openai, tgi, transformers" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator.lenght=5", "generator.lenght: there is no such option. There are: name, window, length."),
        ("generator.length=long", "generator.length: Value 'long' of type 'str' could not be converted to Integer"),
        ("generator.length=2", "generator.length=2: must be 3 or more."),
    ],
)
def test_a_wrong_option_is_refused(command, own, tmp_path, override, message):
    done = command(tmp_path, "generate.py", "--config-dir", own, "generator=mine", "data=mini_nat", override)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command_name", ["assess", "knowledge"])
def test_other_commands_refuse_wrong_options_too(command, own, tmp_path, command_name):
    done = command(tmp_path, f"{command_name}.py", "generator=tgi", "generator.windo=5")
    assert done.returncode == 1
    assert done.stderr.startswith("error: generator.windo: there is no such option. There are: name, window, sampling")


def test_a_class_that_is_no_generators_is_refused(command, own, tmp_path):
    (own / "generator" / "mine.yaml").write_text(YAML.replace("mine.MineConfig", "mine.Mine"))
    done = command(tmp_path, "generate.py", "--config-dir", own, "generator=mine", "data=mini_nat")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: generator._target_=mine.Mine: must be a dataclass that derives from GeneratorConfig."
    )
