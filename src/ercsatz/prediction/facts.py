"""What is known of a saved classifier: what its card says, from its job, its sweep, the cache and its corpora."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from ercsatz.artifacts import manifest
from ercsatz.artifacts.keys import content_key
from ercsatz.config import ORG
from ercsatz.config.pretrained import weights
from ercsatz.config.registry import choices, read
from ercsatz.data.dialogue import SPLITS, fingerprint
from ercsatz.data.files import read_jsonl
from ercsatz.errors import UserError
from ercsatz.prediction.card import CorpusFacts, ModelFacts
from ercsatz.prediction.find import Found
from ercsatz.prediction.saved_classifier import SavedClassifier
from ercsatz.reporting.secrets import hidden
from ercsatz.resources import resource

_UNKNOWN = "another saved classifier"


def facts_of(name: str, found: Found, saved: SavedClassifier, cache: Path) -> ModelFacts:
    """All that a card says of a classifier.

    Args:
        name: of the exported folder.
        found: the classifier, with its job where it has one.
        saved: the same, loaded.
        cache: where the stages are that it was trained from.
    """
    config = saved.classifier.config
    kind = type(config)
    own = not f"{kind.__module__}.".startswith("ercsatz.")
    record, trained = _json(found.folder / "stage.json"), [*dict.fromkeys(_trained(found.folder, cache))]
    known: dict[str, Any] = {}
    if found.result is not None and found.stage is not None:
        benchmark = found.result["choices"]["benchmark"]
        known = {
            "benchmark": (benchmark, _benchmark(benchmark)[0]),
            "corpora": list(_corpora(found.result, found.stage, trained)),
            "shares": _shares(found.stage),
            "tests": found.stage["test"],
            "seeds": _seeds(found),
            "command": _command(found),
            "versions": found.result.get("versions", {}),
        }
    return ModelFacts(
        name=name,
        classifier=saved.name,
        labels=saved.labels,
        numbers=weights(found.folder / "model.safetensors")[1],
        code=f"{kind.__module__}.{kind.__qualname__}" if own else None,
        knowledge=sorted(config.knowledge_sources),
        reads_later_turns=saved.reads_later_turns,
        description=record.get("description", {}),
        chosen=found.chosen,
        trained=trained,
        validation=record.get("validation_w_f1"),
        **known,
    )


def _trained(folder: Path, cache: Path) -> Iterator[str]:
    """What was trained, from the first stage to this one, as far as the cache still knows."""
    facts = _json(folder / manifest.NAME)
    description = facts.get("description", {})
    for key in ("before", "start"):
        if isinstance(before := description.get(key), str):
            place = cache / "stages" / before
            if (place / manifest.NAME).is_file():
                yield from _trained(place, cache)
            elif key == "start":
                yield f"{_UNKNOWN} ({before[:16]})"
    if facts.get("owner"):
        yield str(facts["owner"])


def _corpora(result: Mapping[str, Any], stage: Mapping[str, Any], trained: Sequence[str]) -> Iterator[CorpusFacts]:
    """The corpora that a stage, or one before it, was trained on: the real one, the synthetic one, or both."""
    seen = {name for each in trained for name in each.partition(" ")[0].split("+")}
    known = trained and not any(each.startswith(_UNKNOWN) for each in trained)
    benchmark = result["choices"]["benchmark"]
    real, synthetic = f"{benchmark}_{ORG}", f"{benchmark}_{stage['variant']}"
    counts = result.get("label_counts", {})
    title, licence = _benchmark(benchmark)
    if real in seen or not known:
        yield CorpusFacts(real, title, licence, counts.get(real, {}))
    if stage["variant"] != ORG:
        yield _synthetic(synthetic, title, counts.get(synthetic, {}), result)


def _shares(stage: Mapping[str, Any]) -> dict[str, float]:
    """The shares of the training dialogues that it, or a stage before it, saw, where that is less than all."""
    recipe: Mapping[str, Any] = stage.get("recipe", {})
    return {key: value for key, value in recipe.items() if key.endswith("_share") and value < 1}


def _benchmark(name: str) -> tuple[str, str]:
    """Title and licence, from the benchmark's YAML where it is there."""
    file = choices("benchmark").get(name)
    found = read(file) if file else {}
    return str(found.get("title", name)), str(found.get("licence", "not stated"))


def _synthetic(
    name: str, benchmark: str, counts: Mapping[str, Mapping[str, int]], result: Mapping[str, Any]
) -> CorpusFacts:
    """Generated dialogues; who wrote them and the licence are told by their own card, where it is theirs still."""
    folder = _data(result) / name
    what, licence = f"generated dialogues with the labels and speakers of {benchmark}", "see the card of that data set"
    try:
        settings = _json(folder / "config.json").get("settings", {})
        _, head, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        splits = {split: fingerprint(read_jsonl(folder / f"{split}.jsonl")) for split in SPLITS}
        licence, generator = str(yaml.safe_load(head)["license"]), settings["generator"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError, yaml.YAMLError):
        return CorpusFacts(name, what, licence, counts)
    if result.get("corpora", {}).get(name) != content_key(splits):
        return CorpusFacts(name, what, "not known: the data set has changed since", counts)
    by = ", ".join(str(part) for part in (generator.get("name"), generator.get("model")) if part)
    return CorpusFacts(name, f"{what}, written by {by}", licence, counts)


def _data(result: Mapping[str, Any]) -> Path:
    """Where the job found its data sets."""
    given = [text.partition("=")[2] for text in result.get("overrides", ()) if text.startswith("paths.data=")]
    return Path(given[-1] if given else str(OmegaConf.load(resource("conf") / "paths" / "default.yaml").data))


def _seeds(found: Found) -> dict[int, Mapping[str, Mapping[str, Any]]]:
    """Scores of each seed of the same recipe in the sweep, in the order of the seeds."""
    stage = found.stage or {}
    recipe, tests = stage.get("recipe"), dict[int, Mapping[str, Mapping[str, Any]]]()
    for result in found.others if recipe else ():
        for other in result["stages"]:
            if other["stage"] == stage["stage"] and other.get("recipe") == recipe and result.get("seed") is not None:
                tests.setdefault(result["seed"], other["test"])
    return dict(sorted(tests.items()))


def _command(found: Found) -> str:
    """The command of the job, as far as it is on record; of one in a sweep, that of the sweep."""
    from ercsatz.sweeps import sweep_file

    sweep = sweep_file.read(found.sweep) if found.sweep else None
    overrides = (found.result or {}).get("overrides", ())
    return hidden(shlex.join(["python", "train.py", *(sweep.arguments if sweep else overrides)]))


def _json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
