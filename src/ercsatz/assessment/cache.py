"""What was measured once is not measured again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.artifacts.keys import checkpoint_identity
from ercsatz.assessment.measures import VERSION, Measured, Say, Splits, measure
from ercsatz.assessment.record import read_line
from ercsatz.assessment.resampling import Fit, Sizes
from ercsatz.classifiers.encoder.embedding import mean_pooling, pretrained
from ercsatz.config import AssessConfig, MeasureConfig
from ercsatz.data.dialogue import Dialogue, fingerprint
from ercsatz.data.text_files import atomic_write, read_json
from ercsatz.quality.embedder import Embedder, lexical, remembering

LEXICAL = "lexical"
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "mauve-text")
_FILE = "measured.json"


def measured(config: AssessConfig, real: Splits, own: Splits, say: Say) -> Measured:
    """Measure a data set, or read what was measured of the same data in the same way.

    The judge is not part of it; it has its journal.

    Raises:
        UserError: the embedder cannot be opened.
    """
    remembered = _artifact(config, real, own)
    entry = Artifacts(Path(config.paths.cache)).get(remembered, partial(_measure, config, real, own, say))
    if entry.cached:
        say("measured before")
    return _renamed(_read(entry.path / _FILE), config.assess.embedder)


def _measure(config: AssessConfig, real: Splits, own: Splits, say: Say, folder: Path) -> None:
    labels = list(config.benchmark.labels)
    rules, sizes = config.checks.leakage, _sizes(config)
    found = measure(real, own, labels, _fit(config), rules, sizes, config.measure, say)
    with atomic_write(folder / _FILE) as file:
        json.dump(asdict(found), file, ensure_ascii=False, allow_nan=False)


def _artifact(config: AssessConfig, real: Splits, own: Splits) -> Artifact:
    description = {
        "version": VERSION,
        "real": _fingerprints(real),
        "own": _fingerprints(own),
        "embedder": checkpoint_identity(config.assess.embedder),
        "labels": list(config.benchmark.labels),
        "rules": asdict(config.checks.leakage),
        "sizes": asdict(_sizes(config)),
        "packages": {name: _installed(name) for name in _PACKAGES},
    }
    if config.measure:
        description["measures"] = {name: _identity(measure) for name, measure in config.measure.items()}
    return Artifact(Kind.assessments, description, f"{config.data.name}, embedder {config.assess.embedder}")


def _identity(measure: MeasureConfig) -> dict[str, Any]:
    """What determines the figures of a measure of the user's own, beside the dialogues, and what they are called."""
    kind = type(measure)
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "options": asdict(measure),
        "version": measure.VERSION,
        "words": [measure.title, measure.what, measure.better],
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _renamed(found: Measured, embedder: str) -> Measured:
    """As this run calls the embedder: the same weights may have been in a folder of another name."""
    return found if embedder == LEXICAL else replace(found, embedder=mean_pooling(embedder))


def _fingerprints(splits: Mapping[str, Sequence[Dialogue]]) -> dict[str, str]:
    return {split: fingerprint(dialogues) for split, dialogues in splits.items()}


def _sizes(config: AssessConfig) -> Sizes:
    return Sizes(config.assess.dialogues, config.assess.sample, config.assess.halves, config.seed)


def _fit(config: AssessConfig) -> Fit:
    if config.assess.embedder == LEXICAL:
        return lambda texts: remembering(lexical(texts, seed=config.seed))
    encoder = pretrained(config.assess.embedder, "assess.embedder")
    embedder = remembering(Embedder(encoder.name, False, encoder.encode))
    return lambda _: embedder


def _read(path: Path) -> Measured:
    found = read_json(path, "Delete it and assess again.")
    return Measured(**{**found, "lines": tuple(map(read_line, found["lines"]))})
