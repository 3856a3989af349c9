"""The files of a data set, from what was kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ercsatz.config import BenchmarkConfig
from ercsatz.data import checksums
from ercsatz.data.text_files import atomic_write
from ercsatz.disk import whole
from ercsatz.generation.dataset.card import CardFacts, Compared, card
from ercsatz.generation.dataset.filter import Keeper
from ercsatz.generation.dataset.folder import CONFIG_FILE, SPLIT_FILES, writing
from ercsatz.generation.dataset.store import SplitSummary
from ercsatz.generation.job import GenerationJob
from ercsatz.generation.leakage import LeakageReport
from ercsatz.reporting.figures import png
from ercsatz.reporting.label_figure import TEXT, LabelPanel, label_figure


def write_files(
    folder: Path,
    job: GenerationJob,
    keeper: Keeper,
    leakage: LeakageReport,
    settings: Mapping[str, Any],
    model: str,
    seed_kept: bool | None,
) -> dict[str, SplitSummary]:
    """Write splits and their checksums, card, picture and settings into a new folder. Equal runs write equal bytes.

    Returns:
        The splits.

    Raises:
        UserError: a split would be empty, or the disk is full.
    """
    config = job.config
    labels, published = list(config.benchmark.labels), _label_counts(config.benchmark)
    splits = keeper.shelf.write_splits(folder, config.split.validation, config.split.test, config.seed)
    facts = CardFacts(
        settings=settings,
        splits=splits,
        funnel=keeper.funnel,
        profile=job.generator.profile,
        model=model,
        sent=job.generator.sent,
        dropped=job.generator.dropped,
        seed_kept=seed_kept,
        shipped_prompts=job.templates.shipped,
        example_prompt=keeper.example_prompt,
        tokens=keeper.tokens if any(keeper.tokens) else None,
        benchmark_labels=published,
        leakage=Compared(leakage.unchecked is None, leakage.left_out, leakage.hits),
    )
    made = {label: keeper.shelf.labels[label] for label in labels}
    stored = {"settings": settings, "model": model, "labels": {"benchmark": published, "data": made}, **_counts(keeper)}
    drawn = {f"{config.benchmark.title}, train": published, config.data.name: made}
    with writing(folder):
        panel = LabelPanel(config.benchmark.title, labels, {name: of for name, of in drawn.items() if of})
        with whole(folder / "labels.png") as new:
            new.write_bytes(png(label_figure([panel], TEXT)))
        for name, text in (("README.md", card(facts)), (CONFIG_FILE, json.dumps(stored, indent=2) + "\n")):
            with atomic_write(folder / name) as file:
                file.write(text)
        checksums.write(folder, SPLIT_FILES)
    return splits


def _counts(keeper: Keeper) -> dict[str, Any]:
    """What became of the requests, and whether all were answered."""
    funnel = {
        **keeper.funnel.stages,
        "not_kept": {reason.name: count for reason, count in keeper.funnel.by_frequency()},
        "rejected_answers": {reason.name: count for reason, count in keeper.funnel.rejected.most_common()},
    }
    return {"complete": keeper.unanswered == 0, "funnel": funnel}


def _label_counts(benchmark: BenchmarkConfig) -> dict[str, int]:
    """Utterances by emotion in the real training split, as published; empty where nothing is."""
    train = (benchmark.published or {}).get("train")
    return dict(train.labels) if train is not None else {}
