from collections.abc import Callable

import pytest
from omegaconf import OmegaConf

from ercsatz.config import (
    BenchmarkConfig,
    ChecksConfig,
    DataConfig,
    GenerateConfig,
    LeakageConfig,
    ModeConfig,
    PathsConfig,
    PersonaConfig,
    PersonaStep,
    PlanConfig,
    PromptStyle,
    SplitConfig,
    modes,
    registry,
)
from ercsatz.generators.offline.generator import OfflineConfig

BENCHMARKS = {
    "mini": (["neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"], PromptStyle.cast),
    "meld": (["neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"], PromptStyle.cast),
    "emorynlp": (["neutral", "joyful", "scared", "mad", "peaceful", "powerful", "sad"], PromptStyle.cast),
    "emorynlp_small": (["neutral", "joyful", "scared", "mad", "peaceful", "powerful", "sad"], PromptStyle.cast),
    "iemocap": (["happy", "sad", "neutral", "angry", "excited", "frustrated"], PromptStyle.pair),
}


def mode_of_variant(variant: str) -> ModeConfig | None:
    """As its YAML has it; none for the benchmark itself."""
    names = modes()
    if variant not in names:
        return None
    file = registry.choices("mode")[names[variant]]
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(ModeConfig), OmegaConf.load(file)))


@pytest.fixture(scope="session")
def config() -> Callable[..., GenerateConfig]:
    """A configuration as Hydra would compose it, of literal label sets; ``path`` is where the data set goes."""

    def make(benchmark: str = "mini", variant: str = "bal", n_dialogues: int = 60, seed: int = 0, path: str = "unused"):
        labels, style = BENCHMARKS[benchmark]
        speakers = ["M", "F"] if style is PromptStyle.pair else ["Maya", "Tomas", "Priya", "Leo", "Ingrid", "Sam"]
        return GenerateConfig(
            paths=PathsConfig(data="unused", cache="unused"),
            benchmark=BenchmarkConfig(
                name=benchmark,
                title=benchmark,
                reader="jsonl",
                path="unused",
                labels=labels,
                speakers=speakers,
                style=style,
                licence="none",
                obtain="unused",
            ),
            data=DataConfig(name=f"{benchmark}_{variant}", variant=variant, path=path),
            mode=mode_of_variant(variant),
            generator=OfflineConfig(name="offline", window=3),
            plan=PlanConfig(n_dialogues=n_dialogues, min_turns=5, max_turns=14, attempts=3),
            persona=PersonaConfig(base=PersonaStep.sample, background=PersonaStep.write, situation=PersonaStep.write),
            checks=ChecksConfig(
                near_duplicate=0.8, leakage=LeakageConfig(words=6, ngram=8, containment=0.1, dialogue=0.5)
            ),
            split=SplitConfig(validation=0.1, test=0.1),
            seed=seed,
            journal=f"{path}.journal.sqlite",
            dry_run=False,
            overwrite=False,
        )

    return make
