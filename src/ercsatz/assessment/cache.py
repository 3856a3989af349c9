"""What was measured once is not measured again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ercsatz.assessment.measures import Measured, Say, Splits, measure
from ercsatz.assessment.record import read_line
from ercsatz.assessment.resampling import Fit, Sizes
from ercsatz.classifiers.encoder.embedding import mean_pooling
from ercsatz.config import AssessConfig
from ercsatz.data.dialogue import Dialogue, atomic_write, fingerprint, read_text
from ercsatz.quality.embed import lexical, pretrained, remembering
from ercsatz.training.fingerprint import code_sha256
from ercsatz.training.stage_cache import checkpoint_identity

LEXICAL = "lexical"
_CODE = (
    *("quality", "assessment/measures.py", "assessment/resampling.py", "assessment/record.py", "data/dialogue.py"),
    *("data/contamination.py", "data/ngrams.py", "data/metrics.py", "ranking/adjust.py", "ranking/exact.py"),
    *("classifiers/base.py", "classifiers/segments.py", "classifiers/encoder"),
)
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "mauve-text")


def measured(config: AssessConfig, real: Splits, own: Splits, say: Say) -> Measured:
    """Measure a data set, or read what was measured of the same data in the same way.

    The judge is not part of it; it has its journal.

    Raises:
        UserError: the embedder cannot be opened.
    """
    path = Path(config.paths.cache) / "assessments" / f"{_key(config, real, own)}.json"
    if path.is_file():
        say("measured before")
        return _renamed(_read(path), config.assess.embedder)
    sizes, labels = _sizes(config), list(config.benchmark.labels)
    found = measure(real, own, labels, _fit(config), config.checks.leakage, sizes, say)
    with atomic_write(path) as file:
        json.dump(asdict(found), file, ensure_ascii=False, allow_nan=False)
    return found


def _key(config: AssessConfig, real: Splits, own: Splits) -> str:
    description = {
        "real": _fingerprints(real),
        "own": _fingerprints(own),
        "embedder": checkpoint_identity(config.assess.embedder),
        "labels": list(config.benchmark.labels),
        "rules": asdict(config.checks.leakage),
        "sizes": asdict(_sizes(config)),
        "packages": {name: _installed(name) for name in _PACKAGES},
        "code": code_sha256(code_files()),
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def code_files() -> list[Path]:
    """The modules that decide figures, the leaves of what ``measure`` imports among them."""
    package = Path(__file__).resolve().parents[1]
    places = [package / place for place in _CODE]
    return [file for place in places for file in (sorted(place.glob("*.py")) if place.is_dir() else [place])]


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
    encoder = remembering(pretrained(config.assess.embedder, "assess.embedder"))
    return lambda _: encoder


def _read(path: Path) -> Measured:
    found = json.loads(read_text(path))
    return Measured(**{**found, "lines": tuple(map(read_line, found["lines"]))})
