"""A data set to be made: what its requests and its dialogues depend on."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ercsatz.config import GenerateConfig, LanguageModel
from ercsatz.generation import guided
from ercsatz.generation.leakage import load_reference
from ercsatz.generation.personas import Inventories
from ercsatz.generation.plan import is_text, mode_of, plan
from ercsatz.generation.write import Outcome, Writer
from ercsatz.generators import build
from ercsatz.generators.interface import Request
from ercsatz.llm.prompt import Templates
from ercsatz.training.fingerprint import code_sha256

# The modules that decide what the dialogues of a data set are; a change in any of them is another data set.
_CODE = (
    *("generation/check", "generation/duplicates", "generation/guided", "generation/filter", "generation/leakage"),
    *("generation/parse", "generation/personas", "generation/plan", "llm/prompt", "llm/seeds"),
    *("generation/dataset/store", "generation/write", "data/ngrams"),
)


class Job:
    """One data set to be made.

    Attributes:
        example: a request like those for dialogues, for the start-up probe.

    Raises:
        UserError: templates, inventories or generator do not fit the configuration.
    """

    def __init__(self, config: GenerateConfig) -> None:
        self.config = config
        mode, shape = mode_of(config), config.plan
        self.templates = Templates(mode, Path(config.prompts) if config.prompts is not None else None)
        folder = self.templates.folder / "persona" / "inventory"
        self.reference = load_reference(config.benchmark, config.checks.leakage)
        self.inventories = Inventories(folder) if mode == "persona" else None
        self.grammar = None
        if isinstance(config.generator, LanguageModel) and config.generator.guided:
            turns = (1, 1) if is_text(config) else (shape.min_turns, shape.max_turns)
            self.grammar = guided.grammar(len(config.benchmark.labels), *turns)
        self.generator = build(config.generator, self.grammar)
        self.writer = Writer(config, self.templates, guided=self.grammar is not None)
        self.example = self._example()

    def _example(self) -> Request:
        """The dialogue's request of the first unit, without what a model would write; renders all templates once."""
        first = Outcome(next(plan(self.config, self.inventories)))
        first.personas, first.situation = first.unit.personas, first.unit.situation
        if self.inventories is not None:
            self.writer.background_request(first.unit, 0, 0)
            self.writer.situation_request(first, 0)
        return self.writer.dialogue_request(first, 0)

    def request_settings(self) -> dict[str, Any]:
        """All that the requests depend on, and nothing else; the model that answers comes on top."""
        config, benchmark = self.config, self.config.benchmark
        settings = {
            "data": config.data.name,
            "mode": mode_of(config),
            "benchmark": {
                "labels": list(benchmark.labels),
                "speakers": list(benchmark.speakers),
                "style": benchmark.style.value,
            },
            "generator": {"name": self.generator.name, **self.generator.settings},
            "turns": [config.plan.min_turns, config.plan.max_turns],
            "seed": config.seed,
            "templates_sha256": self.templates.sha256,
        }
        if self.inventories is not None:
            steps = {key: value.value for key, value in vars(config.persona).items()}
            genders = dict(benchmark.genders)
            settings["persona"] = {**steps, "genders": genders, "inventory_sha256": self.inventories.sha256}
        return settings

    def settings(self) -> dict[str, Any]:
        """All that the data set depends on, and nothing else: equal settings and model, equal dialogues."""
        real = self.reference
        compared = {"with": None if isinstance(real, str) else real.sha256}  # the files may come after the data set
        goals = ("n_dialogues", "n_kept", "n_utterances")
        files = [Path(__file__).parents[1] / f"{module}.py" for module in _CODE]
        requests = self.request_settings()
        return {
            **requests,
            "benchmark": {"title": self.config.benchmark.title, **requests["benchmark"]},
            "plan": {key: getattr(self.config.plan, key) for key in (*goals, "attempts")},
            "checks": {**asdict(self.config.checks), "leakage": {**asdict(self.config.checks.leakage), **compared}},
            "split": vars(self.config.split).copy(),
            "code_sha256": code_sha256(files),
        }
