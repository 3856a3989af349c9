"""Real benchmarks, read from their publishers' files into one checked ``Corpus``."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from ercsatz.config import BenchmarkConfig, CountsConfig
from ercsatz.config.advice import advised_fetch
from ercsatz.data.benchmarks.parsing import Source, composed
from ercsatz.data.benchmarks.readers import READERS, read_split, reader
from ercsatz.data.checksums import refuse_changed
from ercsatz.data.dialogue import SENTIMENTS, SPLITS, Corpus, Dialogue, label_counts
from ercsatz.errors import MissingFiles, UserError


def load(benchmark: BenchmarkConfig | DictConfig) -> Corpus:
    """Read a benchmark's splits from its published files.

    Args:
        benchmark: the ``benchmark`` node of a composed configuration, or the same as an object.

    Returns:
        The corpus ``<benchmark>_org`` with the splits train, validation and test and the benchmark's label order.

    Raises:
        UserError: a setting makes no sense, a file is missing, not as published or not the one whose checksum is beside
            it, or the counts differ from the published ones.
    """
    settings = _settings(benchmark)
    _check_settings(settings)
    splits = {}
    for split, path in find_all(settings).items():
        refuse_changed(path)
        splits[split] = read(settings, path, split)
        if published := (settings.published or {}).get(split):
            _check_counts(splits[split], published, f"{path} ({settings.name}, split {split})")
    return Corpus(f"{settings.name}_org", tuple(settings.labels), splits)


def read(benchmark: BenchmarkConfig, path: Path, split: str) -> tuple[Dialogue, ...]:
    """Read a file that is laid out as a benchmark's, whatever it holds: nothing is counted.

    Args:
        benchmark: says which reader, labels and options.
        path: the file; the folder, for a reader that finds its files itself.
        split: which split it is, or which one of the folder.

    Raises:
        UserError: a setting makes no sense, or the file is not of this layout; the message names the place.
    """
    _check_settings(benchmark)
    source = Source(path, split, tuple(benchmark.labels), benchmark.label_names, benchmark.options)
    return read_split(benchmark.reader, source)


def find_all(benchmark: BenchmarkConfig) -> dict[str, Path]:
    """The file of every split.

    Raises:
        MissingFiles: files are missing; the message names all.
        UserError: as for ``find``, or two splits have one file.
    """
    found, missing = dict[str, Path](), list[str]()
    for split in SPLITS:
        try:
            found[split] = find(benchmark, split)
        except MissingFiles:
            missing.append(file_name(benchmark, split))
    if missing:
        raise MissingFiles(_missing(benchmark, missing))
    for one, other in combinations(found, 2) if benchmark.reader in READERS else ():
        if found[one].is_file() and found[one].samefile(found[other]):
            raise UserError(
                f"{found[other]}: benchmark.files names this file for {one} and for {other}. A classifier would be "
                "tested on what it has seen. Give each split a file with dialogues of its own."
            )
    return found


def find(benchmark: BenchmarkConfig, split: str) -> Path:
    """The file that holds a split; for a reader that needs no files, the benchmark's folder.

    ``benchmark.path`` comes first, then the folders below it, so that a clone of the publisher's repository serves.

    Raises:
        MissingFiles: there is no such file.
        UserError: ``benchmark.files`` lacks the split, or there are several such files.
    """
    folder = _folder(benchmark)
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
        raise MissingFiles(_missing(benchmark, [name]))
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


def _folder(benchmark: BenchmarkConfig) -> Path:
    return Path(benchmark.path).expanduser().absolute()


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
    for label, count in Counter(map(composed, benchmark.labels)).items():
        if not label.strip():
            raise UserError("benchmark.labels: a label is empty. Remove it.")
        if label in ("True", "False"):
            raise UserError(
                f"benchmark.labels: {label!r} is what yes, no, on, off, true and false are read as. Put every such "
                "label in quotes, in a YAML as 'yes'."
            )
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


def _missing(benchmark: BenchmarkConfig, names: Sequence[str]) -> str:
    folder = _folder(benchmark)
    first, *others = dict.fromkeys(names)
    what = f"no file {first} in {folder} or below it" if first else f"no folder {folder}"
    what += f", nor {', '.join(others)}" if others else ""
    mend = benchmark.obtain
    if benchmark.downloads:
        line = advised_fetch(benchmark.name, str(folder))
        module = line.replace("ercsatz fetch", "python -m ercsatz.data.benchmarks.fetch", 1)
        mend = f"Fetch it with: {line} (or {module})."
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
                "get it again; or, if it is another cut of the corpus, give its counts as benchmark.published, or "
                "switch this check off with benchmark.published=null."
            )
