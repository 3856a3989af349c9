"""What a job would miss, before anything is read or trained: dialogues, weights, knowledge."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ercsatz import knowledge
from ercsatz.config import BackboneConfig, TrainConfig
from ercsatz.config.advice import advised
from ercsatz.training.corpora import missing_data_sets, missing_files


@dataclass(frozen=True)
class Missing:
    """A sentence for everything that a job misses, with the command that brings it.

    Attributes:
        data_sets: generated data sets that are not there at all, by name.
        others: files of dialogues, and weights, without which it fails, too.
        knowledge: what it can do without.
    """

    data_sets: Mapping[str, str]
    others: tuple[str, ...]
    knowledge: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that it says."""
        return (*self.data_sets.values(), *self.others, *self.knowledge)


def missing(cfg: TrainConfig) -> Missing:
    """What a job would miss; nothing is read."""
    return Missing(missing_data_sets(cfg), (*missing_files(cfg), *_weights(cfg)), tuple(_knowledge(cfg)))


def _weights(cfg: TrainConfig) -> list[str]:
    """Folders of weights that are not there, and names of the hub that cannot be asked for them."""
    encoders = {"backbone": cfg.backbone, **{f"classifier.{k}": v for k, v in cfg.classifier.encoders().items()}}
    saved = cfg.training.checkpoint
    told = [f"There is no folder {saved} (training.checkpoint)."] if saved and _is_absent(saved) else []
    for key, encoder in encoders.items():
        name = encoder.checkpoint if isinstance(encoder, BackboneConfig) and encoder.size is None else None
        if name and _is_absent(name):
            told.append(f"There is no folder {name} ({key}.checkpoint).")
        elif name and not Path(name).is_dir() and _cannot_be_fetched(name):
            told.append(
                f"{key}: {name} is not in the cache of the hub, which HF_HUB_OFFLINE forbids to ask. Fetch it without "
                f"that variable, e.g. with: hf download {name}. If you have its folder: {key}.checkpoint=FOLDER."
            )
    return told


def _is_absent(folder: str) -> bool:
    return folder.startswith(("/", ".", "~")) and not Path(folder).is_dir()  # others are names of the hub


def _cannot_be_fetched(name: str) -> bool:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return bool(constants.HF_HUB_OFFLINE) and not isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:  # no name of the hub, which opening it will say
        return False


def _knowledge(cfg: TrainConfig) -> list[str]:
    folder = Path(cfg.paths.data)
    names = dict.fromkeys([f"{cfg.benchmark.name}_org", cfg.data.name] if cfg.classifier.knowledge_sources else [])
    return [
        f"There is no knowledge about {name} in {folder / 'knowledge'}, without which {cfg.classifier.name} can run. "
        f"It is made with: {advised('knowledge', f'data={name}')}"
        for name in names
        if knowledge.find(folder, name) is None
    ]
