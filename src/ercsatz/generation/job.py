"""A data set to be made: what its requests and its dialogues depend on."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ercsatz.config import GenerateConfig, prompts_folder
from ercsatz.generation import guided
from ercsatz.generation.leakage import load_reference
from ercsatz.generation.personas import Inventories
from ercsatz.generation.plan import is_text, mode_of, plan, targets_of
from ercsatz.generation.write import DialogueWriter, WrittenDialogue
from ercsatz.generators.interface import Generator, Request
from ercsatz.llm.prompt import Templates
from ercsatz.resources import resource

VERSION = 1
"""Of data sets. One more when the same settings and answers give other requests or other dialogues than before: through
plan, seeds, personas, parsing, checks, duplicates, leakage or splits. Prompts and inventories: by their content.
"""


class GenerationJob:
    """One data set to be made.

    Args:
        config: of the run.
        generator: what answered, where nothing more is asked; the configuration's if left out.

    Attributes:
        example: a request like those for dialogues, for the start-up probe.

    Raises:
        UserError: templates, inventories or generator do not fit the configuration.
    """

    def __init__(self, config: GenerateConfig, generator: Generator | None = None) -> None:
        self.config = config
        mode, shape = mode_of(config), config.plan
        if config.prompts is None:
            folder = prompts_folder(mode)
            self.templates = Templates(folder.name, folder.parent, resource("prompts"))
        else:  # a copy of all prompts, which uses none but its own
            folder = Path(config.prompts, Path(mode.prompts).name)
            self.templates = Templates(folder.name, folder.parent)
        self.reference = load_reference(config.benchmark, config.checks.leakage)
        self.inventories = Inventories(folder / "inventory") if mode.personas else None
        self.grammar = None
        if config.generator.held_to_grammar:
            turns = (1, 1) if is_text(config) else (shape.min_turns, shape.max_turns)
            self.grammar = guided.grammar(len(config.benchmark.labels), *turns)
        self.generator: Generator = generator or config.generator.build(self.grammar)
        self.writer = DialogueWriter(config, self.templates, guided=self.grammar is not None)
        self.example = self._example()

    def _example(self) -> Request:
        """The dialogue's request of the first unit, without what a model would write; renders all templates once."""
        first = WrittenDialogue(next(plan(self.config, self.inventories)))
        first.personas, first.situation = first.unit.personas, first.unit.situation
        if self.inventories is not None:
            self.writer.background_request(first.unit, 0, 0)
            self.writer.situation_request(first, 0)
        return self.writer.dialogue_request(first, 0)

    def request_settings(self) -> dict[str, Any]:
        """All that the requests depend on, and nothing else; the model that answers comes on top."""
        config, benchmark, mode = self.config, self.config.benchmark, mode_of(self.config)
        settings = {
            "data": config.data.name,
            "mode": mode.name,
            "targets": list(targets_of(config)),
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
        requests = self.request_settings()
        return {
            **requests,
            "benchmark": {"title": self.config.benchmark.title, **requests["benchmark"]},
            "plan": {key: getattr(self.config.plan, key) for key in (*goals, "attempts")},
            "checks": {**asdict(self.config.checks), "leakage": {**asdict(self.config.checks.leakage), **compared}},
            "split": vars(self.config.split).copy(),
            "version": VERSION,
        }
