"""Real benchmarks, read from their publishers' files into one checked ``Corpus``."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from ercsatz.config import BenchmarkConfig, CountsConfig
from ercsatz.data.benchmarks.parsing import Source
from ercsatz.data.benchmarks.readers import READERS, read_split, reader
from ercsatz.data.dialogue import SENTIMENTS, SPLITS, Corpus, Dialogue, label_counts
from ercsatz.errors import UserError


def load(benchmark: BenchmarkConfig | DictConfig) -> Corpus:
    """Read a benchmark's splits from its published files.

    Args:
        benchmark: the ``benchmark`` node of a composed configuration, or the same as an object.

    Returns:
        The corpus ``<benchmark>_org`` with the splits train, validation and test and the benchmark's label order.

    Raises:
        UserError: a setting makes no sense, a file is missing or not as published, or the counts differ from the
            published ones.
    """
    settings = _settings(benchmark)
    _check_settings(settings)
    splits = {}
    for split in SPLITS:
        path = find(settings, split)
        source = Source(path, split, tuple(settings.labels), settings.label_names, settings.options)
        splits[split] = read_split(settings.reader, source)
        if split in settings.published:
            _check_counts(splits[split], settings.published[split], f"{path} ({settings.name}, split {split})")
    return Corpus(f"{settings.name}_org", tuple(settings.labels), splits)


def find(benchmark: BenchmarkConfig, split: str) -> Path:
    """The file that holds a split; for a reader that needs no files, the benchmark's folder.

    ``benchmark.path`` comes first, then the folders below it, so that a clone of the publisher's repository serves.

    Raises:
        UserError: ``benchmark.files`` lacks the split, there is no such file, or there are several.
    """
    folder = Path(benchmark.path).expanduser().absolute()
    name = file_name(benchmark, split)
    if (folder / name).exists():
        return folder / name
    parts = Path(name).parts
    matches = sorted(path for path in folder.rglob("*") if path.parts[-len(parts) :] == parts)
    if len(matches) > 1:
        listed = ", ".join(map(str, matches))
        raise UserError(
            f"{benchmark.name}: several files {name} below {folder}: {listed}. Say which: benchmark.path=FOLDER."
        )
    if not matches:
        raise UserError(_missing(benchmark, folder, name))
    return matches[0]


def file_name(benchmark: BenchmarkConfig, split: str) -> str:
    """What ``benchmark.files`` names for a split; empty where the reader finds its files itself.

    The reader ``iemocap`` does, and one of the user's own may: then ``benchmark.files`` is empty.

    Raises:
        UserError: it names none.
    """
    name = benchmark.files.get(split, "")
    finds_files = benchmark.reader == "iemocap" or (benchmark.reader not in READERS and not benchmark.files)
    if not name and not finds_files:
        raise UserError(f"{benchmark.name}: benchmark.files lacks {split}: name the file that holds this split.")
    return name


def _settings(benchmark: BenchmarkConfig | DictConfig) -> BenchmarkConfig:
    if isinstance(benchmark, BenchmarkConfig):
        return benchmark
    try:
        return cast(BenchmarkConfig, OmegaConf.to_object(benchmark))
    except MissingMandatoryValue as error:
        raise UserError(f"The benchmark's YAML lacks a key: {str(error).splitlines()[0]}") from None


def _check_settings(benchmark: BenchmarkConfig) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", benchmark.name):
        raise UserError(f"benchmark.name={benchmark.name!r}: letters (a to z), digits, - and _ only, at least one.")
    reader(benchmark.reader)
    for label, count in Counter(benchmark.labels).items():
        if not label.strip():
            raise UserError("benchmark.labels: a label is empty. Remove it.")
        if label != (read := label.strip().lower()):
            raise UserError(f"benchmark.labels: {label!r} must be written {read!r}, as labels are read in lower case.")
        if count > 1:
            raise UserError(f"benchmark.labels: {label!r} occurs twice. Every label must be there once.")
    for label, sentiment in benchmark.sentiments.items():
        key = f"benchmark.sentiments.{label}"
        if label not in benchmark.labels:
            known = ", ".join(benchmark.labels)
            raise UserError(f"{key}: not one of benchmark.labels, which are: {known}. Leave it out with ~{key}.")
        if sentiment is not None and sentiment not in SENTIMENTS:
            raise UserError(f"{key}={sentiment}: must be {', '.join(SENTIMENTS)}, or null: it depends on the turn.")


def _missing(benchmark: BenchmarkConfig, folder: Path, name: str) -> str:
    what = f"no file {name} in {folder} or below it" if name else f"no folder {folder}"
    mend = benchmark.obtain
    if benchmark.downloads:
        target = shlex.quote(str(folder))
        mend = (
            f"Fetch it with: ercsatz fetch {benchmark.name} --to {target} "
            f"(or python -m ercsatz.data.benchmarks.fetch {benchmark.name} --to {target})."
        )
    return f"{benchmark.name}: {what}. {mend} If you have it elsewhere: benchmark.path=FOLDER."


def _check_counts(dialogues: Sequence[Dialogue], published: CountsConfig, where: str) -> None:
    labels = label_counts(dialogues)
    found = {"dialogues": len(dialogues), "labelled utterances": labels.total()}
    expected = {"dialogues": published.dialogues, "labelled utterances": published.utterances}
    if published.labels:
        found |= labels
        expected |= Counter(published.labels)
    for what, number in expected.items():
        if found.get(what, 0) != number:
            raise UserError(
                f"{where}: {found.get(what, 0)} {what}, but {number} are published. The file is not the published one: "
                f"get it again, or give what yours has as benchmark.published."
            )
