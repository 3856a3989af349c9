"""The type of every configuration key, and the data sets that follow from the benchmarks.

Imported by every entry point before ``--help`` is answered, so it imports nothing heavy.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from ercsatz.config.assess import AssessConfig, AssessmentConfig, JudgeConfig
from ercsatz.config.backbone import BackboneConfig, Pooling, TinySizeConfig
from ercsatz.config.classifier import ClassifierConfig, Gives, Prerequisite
from ercsatz.config.corpus import BenchmarkConfig, CountsConfig, DataConfig, DownloadConfig, PathsConfig, PromptStyle
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
from ercsatz.config.phase import PhaseConfig, StageConfig, TrainOn
from ercsatz.config.predict import PredictConfig
from ercsatz.config.registry import choices, installed_folders
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

__all__ = [
    "ORG",
    "AssessConfig",
    "AssessmentConfig",
    "BackboneConfig",
    "BenchmarkConfig",
    "ChecksConfig",
    "ClassifierConfig",
    "CosmicConfig",
    "CosmicMatch",
    "CountsConfig",
    "DataConfig",
    "DownloadConfig",
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
    "RankConfig",
    "RankingConfig",
    "Repeats",
    "RetrieveConfig",
    "Schedule",
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


def register(config_folders: Iterable[Path], command: str | None = None) -> None:
    """Store the schemas, and a ``data`` option ``<benchmark>_<variant>`` for every benchmark and mode in the folders.

    Also the resolver ``${ercsatz_package:}``, the folder of the installed package.

    Args:
        config_folders: the shipped ``conf`` and those with parts of the user's, in Hydra's order.
        command: the one that is run, whose schema is enough; None: any.

    Raises:
        UserError: the YAML of a mode is wrong.
    """
    folders = list(config_folders)
    OmegaConf.register_new_resolver("ercsatz_package", lambda: str(Path(__file__).parents[1]), replace=True)
    store = ConfigStore.instance()
    # Hydra copies its repository for each of the hundred config groups that --help looks through, and with it all that
    # is stored here, two thirds of the time --help takes. Nothing changes what is stored, so one will do.
    vars(store)["__deepcopy__"] = lambda _: store
    commands = {"generate": GenerateConfig, "train": TrainConfig, "rank": RankConfig}
    commands |= {"knowledge": KnowledgeConfig, "predict": PredictConfig, "assess": AssessConfig}
    for name, node in commands.items() if command is None else [(command, commands[command])]:
        store.store(name=f"{name}_schema", node=node)
    Plugins.instance().register(InstalledParts)
    written_in = {ORG: None, **modes(folders)}
    for benchmark in choices("benchmark", folders):
        for variant, mode in written_in.items():
            store.store(group="data", name=f"{benchmark}_{variant}", node=_data_option(benchmark, variant, mode))


class InstalledParts(SearchPathPlugin):
    """Hydra finds the YAMLs of installed packages that have an entry point ``ercsatz.conf``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Look there last."""
        for folder in installed_folders():
            search_path.append("ercsatz.conf", f"file://{folder}")


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
