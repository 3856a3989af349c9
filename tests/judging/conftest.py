import asyncio
import importlib.util
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ercsatz.config import GeneratorConfig, JudgeConfig
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.language_model import OnUnsupported, SamplingConfig
from ercsatz.generators.tgi import TgiConfig
from ercsatz.judging import Judgement, judge

SERVERS = Path(__file__).resolve().parents[1] / "servers"
EMOTIONS = ("neutral", "joy", "anger")
MADE_UP = "beep"  # by which a judge of the tests tells the synthetic dialogue


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"judging_servers_{name}", SERVERS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def dialogue(name: str, n_turns: int, word: str, **provenance: Any) -> Dialogue:
    turns = [
        Utterance(("Maya", "Leo")[n % 2], f"{word} {name} {n}", EMOTIONS[n % 3] if n % 4 else None)
        for n in range(n_turns)
    ]
    turns[0] = Utterance("Maya", f"{word} {name} to you", "joy")
    return Dialogue(name, tuple(turns), provenance)


@pytest.fixture(scope="session")
def synthetic() -> list[Dialogue]:
    """Forty dialogues of five to eight turns, of which every other one has personas."""
    persona = {"speaker": "Maya", "age": 34, "gender": None, "occupation": "nurse", "mbti": "INFJ", "background": None}
    personas = {"personas": [persona, {**persona, "speaker": "Nobody"}], "situation": {"text": "A late bus."}}
    return [dialogue(f"s{n}", 5 + n % 4, MADE_UP, **({} if n % 2 else personas)) for n in range(40)]


@pytest.fixture(scope="session")
def real() -> list[Dialogue]:
    """Sixty dialogues of four to nine turns."""
    return [dialogue(f"r{n}", 4 + n % 6, "hello") for n in range(60)]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., JudgeConfig]:
    """What the judge reads, with a journal of its own; overrides change it."""
    usual = {"n": 12, "repeats": 2, "attempts": 3, "turns": 20, "minimum": 5, "dry_run": False, "overwrite": False}
    return lambda **changes: JudgeConfig(**{**usual, "journal": str(tmp_path / "judge.sqlite"), **changes})


def turns_asked_for(prompt: str) -> list[list[int]]:
    """The labelled turns of both conversations, from the end of the prompt."""
    asked = re.search(r"these turns: for A ([^;]*); for B ([^;]*)\.\n", prompt)
    return [[int(number) for number in re.findall(r"\d+", part)] for part in asked.groups()]


def rating(score: int, turns: list[int], fit: int | None = None) -> dict[str, Any]:
    return {
        "naturalness": score,
        "coherence": score,
        "emotional_fit": {str(turn): fit or score for turn in turns},
    }


def verdict(prompt: str, synthetic: int = 2, real: int = 4, prefers: str = "real", fit: int | None = None) -> dict:
    """A well-formed judgement by one who can tell which is which; ``prefers`` may also be a letter."""
    if "persona_fit" in prompt:
        return {"persona_fit": 3}
    parts = prompt.split("=== END OF CONVERSATION A ===")[:2]
    which = ["synthetic" if f'"{MADE_UP} ' in part else "real" for part in parts]
    scores = {"synthetic": synthetic, "real": real}
    a, b = (rating(scores[side], turns, fit) for side, turns in zip(which, turns_asked_for(prompt), strict=True))
    choice = prefers if prefers in ("A", "B") else "AB"[which.index(prefers)]
    return {"A": a, "B": b, "more_natural": choice}


def good(prompt: str, parameters: Any = None) -> str:
    return json.dumps(verdict(prompt))


@pytest.fixture(scope="session")
def says() -> SimpleNamespace:
    """What judges of the tests say."""
    return SimpleNamespace(verdict=verdict, good=good, rating=rating, load=load)


def tgi(**changes: Any) -> TgiConfig:
    sampling = SamplingConfig(
        temperature=0.7, top_p=1.0, top_k=10000, repetition_penalty=1.0, typical_p=0.995, max_new_tokens=768
    )
    usual = {
        "name": "tgi",
        "window": 4,
        "sampling": sampling,
        "on_unsupported": OnUnsupported.error,
        "chat_template": ChatTemplate.vicuna,
        "timeout": 30.0,
        "tries": 3,
        "patience": 5.0,
    }
    return TgiConfig(**{**usual, **changes})


@pytest.fixture(scope="session")
def served() -> Callable[..., Any]:
    """A TGI stand-in in a thread, as a context manager; ``.generator()`` is its configuration."""
    module = load("tgi")

    @contextmanager
    def served(answer: Callable[[str, Any], str] = good, latency: str = "constant:0") -> Iterator[SimpleNamespace]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        server = module.TgiServer(answer=answer, latency=latency)

        def do(what: Any) -> None:
            asyncio.run_coroutine_threadsafe(what, loop).result(30)

        do(server.__aenter__())
        try:
            yield SimpleNamespace(server=server, generator=lambda **changes: tgi(**{"url": server.url, **changes}))
        finally:
            do(server.__aexit__(None, None, None))
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    return served


@pytest.fixture
def run(synthetic: list[Dialogue], real: list[Dialogue]) -> Callable[..., Judgement]:
    """Judge; ``run.told`` is the console's text."""

    def run(
        settings: JudgeConfig, generator: GeneratorConfig, data: list[Dialogue] | None = None, seed: int = 0
    ) -> Judgement:
        console = Console(file=StringIO(), width=200)
        try:
            return judge(synthetic if data is None else data, real, settings, generator, "mini_nat", seed, console)
        finally:
            run.told = console.file.getvalue()

    return run


@pytest.fixture(scope="session")
def gibberish() -> Callable[..., None]:
    return check_gibberish


def check_gibberish(result: Judgement, settings: JudgeConfig, run: Any) -> None:
    """What a model of random weights says is no judgement, and no figure."""
    funnel = result.funnel
    assert result.not_judged == ""
    assert funnel.taken == funnel.wanted == len(result.rows)
    assert (funnel.accepted, funnel.judged) == (0, 0)
    assert sum(funnel.without.values()) == funnel.wanted
    assert sum(funnel.rejected.values()) == settings.attempts * funnel.wanted
    every = [*result.measures, *result.real, *result.agreement, *result.bias]
    assert {measure.value for measure in every} == {None}
    assert all(measure.undefined.startswith("undefined because only 0 ") for measure in every)
    assert set(result.rows["status"]) == set(funnel.without)
    assert "from dialogues to judgements" in run.told
