"""The type of every configuration key, and the data sets that follow from the benchmarks.

Imported by every entry point before ``--help`` is answered, so it imports nothing heavy.
"""

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from ercsatz.config.assess import AssessConfig, AssessmentConfig, JudgeConfig
from ercsatz.config.backbone import BackboneConfig, Pooling, TinySizeConfig
from ercsatz.config.classifier import ClassifierConfig, Gives, Prerequisite
from ercsatz.config.cluster import ClusterConfig
from ercsatz.config.corpus import BenchmarkConfig, CountsConfig, DataConfig, DownloadConfig, PathsConfig, PromptStyle
from ercsatz.config.experiment import ExperimentConfig
from ercsatz.config.generation import (
    ChecksConfig,
    GenerateConfig,
    LeakageConfig,
    PersonaConfig,
    PersonaStep,
    PersonaUnit,
    PlanConfig,
    SplitConfig,
)
from ercsatz.config.generator import GeneratorConfig, Profile
from ercsatz.config.knowledge import (
    CosmicConfig,
    CosmicMatch,
    InferConfig,
    KnowledgeConfig,
    KnowledgeOrigin,
    RetrieveConfig,
    TextFilesConfig,
)
from ercsatz.config.loss import LossConfig
from ercsatz.config.measure import MeasureConfig
from ercsatz.config.mode import ORG, ModeConfig, modes, prompts_folder, synthetic_data, variant_order, variants
from ercsatz.config.outside import FileConfigSource
from ercsatz.config.phase import PhaseConfig, StageConfig, TrainOn
from ercsatz.config.predict import PredictConfig
from ercsatz.config.published import PublishedConfig, SliceConfig
from ercsatz.config.registry import choices, installed_folders
from ercsatz.config.sampler import SamplerConfig
from ercsatz.config.search import Sampler, SearchConfig
from ercsatz.config.training import (
    HardwareConfig,
    Missing,
    RankConfig,
    RankingConfig,
    Repeats,
    Schedule,
    StageOverridesConfig,
    TrainConfig,
    TrainerConfig,
    TrainingConfig,
    WandbConfig,
    WandbMode,
)
from ercsatz.errors import UserError

__all__ = [
    "ORG",
    "SCHEMAS",
    "AssessConfig",
    "AssessmentConfig",
    "BackboneConfig",
    "BenchmarkConfig",
    "ChecksConfig",
    "ClassifierConfig",
    "ClusterConfig",
    "CosmicConfig",
    "CosmicMatch",
    "CountsConfig",
    "DataConfig",
    "DownloadConfig",
    "ExperimentConfig",
    "GenerateConfig",
    "GeneratorConfig",
    "Gives",
    "HardwareConfig",
    "InferConfig",
    "JudgeConfig",
    "KnowledgeConfig",
    "KnowledgeOrigin",
    "LeakageConfig",
    "LossConfig",
    "MeasureConfig",
    "Missing",
    "ModeConfig",
    "PathsConfig",
    "PersonaConfig",
    "PersonaStep",
    "PersonaUnit",
    "PhaseConfig",
    "PlanConfig",
    "Pooling",
    "PredictConfig",
    "Prerequisite",
    "Profile",
    "PromptStyle",
    "PublishedConfig",
    "RankConfig",
    "RankingConfig",
    "Repeats",
    "RetrieveConfig",
    "Sampler",
    "SamplerConfig",
    "Schedule",
    "SearchConfig",
    "SliceConfig",
    "SplitConfig",
    "StageConfig",
    "StageOverridesConfig",
    "TextFilesConfig",
    "TinySizeConfig",
    "TrainConfig",
    "TrainOn",
    "TrainerConfig",
    "TrainingConfig",
    "WandbConfig",
    "WandbMode",
    "modes",
    "prompts_folder",
    "register",
    "synthetic_data",
    "variant_order",
    "variants",
]


SCHEMAS: Mapping[str, type] = {
    "generate": GenerateConfig,
    "train": TrainConfig,
    "rank": RankConfig,
    "knowledge": KnowledgeConfig,
    "predict": PredictConfig,
    "assess": AssessConfig,
}
"""The configuration of each command."""


def register(config_folders: Iterable[Path], command: str | None = None) -> None:
    """Store the schemas, and a ``data`` option ``<benchmark>_<variant>`` for every benchmark and mode in the folders.

    Also the resolvers ``${ercsatz_package:}``, the folder of the installed package, and ``${unique:}``.

    Args:
        config_folders: the shipped ``conf`` and those with parts of the user's, in Hydra's order.
        command: the one that is run, whose schema is enough; None: any.

    Raises:
        UserError: the YAML of a mode is wrong, or one of ``data`` has the name of such an option.
    """
    folders = list(config_folders)
    OmegaConf.register_new_resolver("ercsatz_package", lambda: str(Path(__file__).parents[1]), replace=True)
    OmegaConf.register_new_resolver("unique", unique, replace=True, use_cache=True)
    store = ConfigStore.instance()
    # Hydra copies its repository for each of the hundred config groups that --help looks through, and with it all that
    # is stored here, two thirds of the time --help takes. Nothing changes what is stored, so one will do.
    vars(store)["__deepcopy__"] = lambda _: store
    for name, node in SCHEMAS.items() if command is None else [(command, SCHEMAS[command])]:
        store.store(name=f"{name}_schema", node=node)
    store.store(group="hydra/sweeper", name="optuna_schema", node=SearchConfig)
    Plugins.instance().register(InstalledParts)
    SourcesRegistry.instance().types["file"] = FileConfigSource  # once the plugins have registered Hydra's own
    written_in, own_data = {ORG: None, **modes(folders)}, choices("data", folders)
    for benchmark in choices("benchmark", folders):
        for variant, mode in written_in.items():
            if hides := own_data.get(f"{benchmark}_{variant}"):
                raise UserError(
                    f"{hides}: data={hides.stem} is there already, from benchmark {benchmark} and variant {variant}. "
                    "Give yours another name."
                )
            store.store(group="data", name=f"{benchmark}_{variant}", node=_data_option(benchmark, variant, mode))


class InstalledParts(SearchPathPlugin):
    """Hydra finds the YAMLs of installed packages that have an entry point ``ercsatz.conf``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Look there last."""
        for folder in installed_folders():
            search_path.append("ercsatz.conf", f"file://{folder}")


def unique(start: str) -> str:
    """A default name of a sweep or a run: its start, and four hex digits, since two can start in one second."""
    return f"{start}_{secrets.token_hex(2)}"


def _data_option(benchmark: str, variant: str, mode: str | None) -> dict[str, Any]:
    composed = [{"/benchmark@_global_.benchmark": benchmark}]
    if mode is not None:
        composed.append({"/mode@_global_.mode": mode})
    return {
        "defaults": [*composed, "_self_"],
        "name": f"{benchmark}_{variant}",
        "variant": variant,
        "path": "${paths.data}/${data.name}",
    }
