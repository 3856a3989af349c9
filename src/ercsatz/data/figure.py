"""``ercsatz figure labels DATA ...``: how the labels of data sets are distributed, as a figure for a paper."""

import argparse
import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ercsatz.config import ORG, BenchmarkConfig, variants
from ercsatz.config.advice import advised
from ercsatz.config.command_line import named, unset_empty
from ercsatz.config.misread import refuse_misread
from ercsatz.config.registry import open_folders, refuse_hidden
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.dialogue import SPLITS, Dialogue, label_counts
from ercsatz.data.files import read_jsonl
from ercsatz.data.text_files import atomic_write, parse_json, read_text
from ercsatz.disk import whole
from ercsatz.errors import MissingFiles, UserError
from ercsatz.reporting import figures
from ercsatz.reporting.label_figure import COLUMN, STYLES, TEXT, LabelPanel, label_figure
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log
from ercsatz.reporting.text import csv_text
from ercsatz.resources import resource

_LOG = logging.getLogger(__name__)
_WIDTHS = {"column": COLUMN, "text": TEXT}
_CONFIG = "config.json"  # of a generated data set


@dataclass(frozen=True)
class LabelledSet:
    """A data set, and how often each label occurs in it.

    Attributes:
        benchmark: its title.
        labels: of the benchmark, in its order.
        name: of the variant, or of the data set where it has none.
        counts: utterances by label.
    """

    benchmark: str
    labels: tuple[str, ...]
    name: str
    counts: Mapping[str, int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: the figures are written. 1: they are not, and the message says what to do.
    """
    options = _parser().parse_args(arguments)
    show_log()
    unset_empty()
    try:
        open_folders(options.config_dir)
        refuse_hidden([resource("conf"), *options.config_dir])
        refuse_misread(options.config_dir)
        splits = SPLITS if options.split == "all" else (options.split,)
        places = dict(_place(text) for text in options.path)
        found = [read(data, splits, places, options.config_dir) for data in options.data]
        written = write(panels(found, options.order), options.output, options.shares)
    except (UserError, OSError) as error:
        report(error)
        return 1
    _LOG.info("Written: %s", ", ".join(map(str, written)))
    return 0


def panels(sets: Sequence[LabelledSet], order: Sequence[str] = ()) -> list[LabelPanel]:
    """A panel for each benchmark, with its data sets in the order in which they are given.

    Args:
        sets: that are drawn.
        order: of the labels; empty: each benchmark's own.

    Raises:
        UserError: there are too many data sets, one is given twice, or ``order`` is not one of the labels.
    """
    found: dict[str, list[LabelledSet]] = {}
    for each in sets:
        found.setdefault(each.benchmark, []).append(each)
    names = list(dict.fromkeys(each.name for each in sets))
    if len(names) > len(STYLES):
        raise UserError(f"{len(names)} kinds of data set are too many for one figure: give {len(STYLES)} at most.")
    made = []
    for title, mine in found.items():
        labels = list(dict.fromkeys(label for each in mine for label in each.labels))
        if order and sorted(order) != sorted(labels):
            raise UserError(f"--order: give each label of {title} once: {','.join(labels)}")
        if twice := [name for name, n in Counter(each.name for each in mine).items() if n > 1]:
            raise UserError(f"{title}: {twice[0]} is given twice. Give each data set once.")
        made.append(LabelPanel(title, list(order) or labels, {each.name: each.counts for each in mine}))
    return made


def write(drawn: Sequence[LabelPanel], output: Path, shares: bool) -> list[Path]:
    """Write the figure at the width of a column and of a text, as PDF, SVG and PNG, and its numbers as CSV.

    Args:
        drawn: the panels.
        output: the files' names begin with it.
        shares: draw per cent instead of counts.
    """
    written = []
    for name, width in _WIDTHS.items():
        figure = label_figure(drawn, width, shares)
        contents = {"pdf": figures.pdf(figure), "svg": figures.svg(figure).encode(), "png": figures.png(figure, 300)}
        for suffix, content in contents.items():
            written.append(output.with_name(f"{output.name}-{name}.{suffix}"))
            with whole(written[-1]) as new:
                new.write_bytes(content)
    written.append(output.with_name(f"{output.name}.csv"))
    with atomic_write(written[-1]) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["benchmark", "data", "label", "utterances", "share"])
        for panel in drawn:
            for data, counts in panel.counts.items():
                total = sum(counts.values())
                for label in panel.labels:
                    n = counts.get(label, 0)
                    names = map(csv_text, (panel.title, data, label))
                    table.writerow([*names, n, f"{n / total if total else 0:.4f}"])
    return written


def read(
    data: str, splits: Sequence[str], places: Mapping[str, Path] | None = None, folders: Sequence[Path] = ()
) -> LabelledSet:
    """A data set by its name or its folder.

    Args:
        data: ``meld_org``, ``meld_bal``, or a folder that generate.py wrote.
        splits: whose utterances are counted.
        places: of benchmarks and data sets, by name, that are not in ``paths.data``.
        folders: with benchmarks of the user's own.

    Raises:
        UserError: it is not there, or damaged.
    """
    if (Path(data) / _CONFIG).is_file():
        return _of_folder(Path(data), splits)
    benchmark_name, _, variant = data.rpartition("_")
    if variant not in variants() or not benchmark_name:
        raise UserError(
            f"{data} is neither a data set such as meld_org or meld_bal nor a folder that generate.py wrote. Variants "
            f"are: {', '.join(variants())}."
        )
    benchmark = settings(benchmark_name, [*folders, resource("conf")], (places or {}).get(benchmark_name))
    if variant == ORG:
        return LabelledSet(benchmark.title, tuple(benchmark.labels), ORG, _real_counts(benchmark, splits))
    folder = (places or {}).get(data, Path(_data_folder()) / data)
    if not folder.is_dir():
        raise UserError(
            f"There is no data set {data} in {folder}. Make it with: {advised('generate', f'data={data}')}; or say "
            f"where it is: --path {data}=FOLDER"
        )
    counts = label_counts(_dialogues(folder, splits))
    return LabelledSet(benchmark.title, tuple(benchmark.labels), variant, counts)


def _real_counts(benchmark: BenchmarkConfig, splits: Sequence[str]) -> Counter[str]:
    """Of a benchmark's own files; where they are missing, as published."""
    try:
        corpus = load(benchmark)
    except MissingFiles:
        published = [(benchmark.published or {}).get(split) for split in splits]
        known = [Counter(split.labels) for split in published if split is not None and split.labels]
        if len(known) < len(splits):
            raise
        _LOG.info("%s: its files are not there; its counts are those that are published.", benchmark.title)
        return sum(known, Counter[str]())
    return label_counts(dialogue for split in splits for dialogue in corpus.split(split))


def _of_folder(folder: Path, splits: Sequence[str]) -> LabelledSet:
    try:
        stored: dict[str, Any] = parse_json(read_text(folder / _CONFIG))["settings"]
        title, labels = str(stored["benchmark"]["title"]), tuple(map(str, stored["benchmark"]["labels"]))
        name = str(stored["data"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{folder / _CONFIG} is not one that generate.py writes.") from None
    variant = name.rpartition("_")[2]
    return LabelledSet(
        title, labels, variant if variant in variants() else name, label_counts(_dialogues(folder, splits))
    )


def _dialogues(folder: Path, splits: Sequence[str]) -> list[Dialogue]:
    return [dialogue for split in splits for dialogue in read_jsonl(folder / f"{split}.jsonl")]


def _data_folder() -> str:
    return str(OmegaConf.load(resource("conf") / "paths" / "default.yaml").data)


def _place(text: str) -> tuple[str, Path]:
    name, sign, folder = text.partition("=")
    if not (name and sign and folder.strip()):
        raise UserError(f"--path {text}: give NAME=FOLDER, as meld=/corpora/MELD or meld_bal=made/bal")
    return name, Path(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ercsatz figure", description="Draw the label distributions of data sets side by side, for a paper."
    )
    parser.add_argument("figure", choices=["labels"], help="what to draw")
    parser.add_argument(
        "data", nargs="+", metavar="DATA", help="meld_org, meld_bal, ..., or a folder that generate.py wrote"
    )
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="train", help="whose utterances; default: train")
    parser.add_argument("--shares", action="store_true", help="per cent of a data set instead of counts")
    parser.add_argument(
        "--order", type=lambda text: text.split(","), default=[], metavar="LABEL,...", help="of the labels, top first"
    )
    parser.add_argument(
        "--output", type=named, default=Path("labels"), metavar="NAME",
        help="files are NAME-column.pdf, NAME-text.pdf, .svg, .png and NAME.csv; default: labels",
    )  # fmt: skip
    parser.add_argument(
        "--path", action="append", default=[], metavar="NAME=FOLDER",
        help="where a benchmark or a data set is; default: NAME in $ERCSATZ_DATA, or in data",
    )  # fmt: skip
    parser.add_argument(
        "--config-dir", type=named, action="append", default=[], metavar="FOLDER",
        help="a folder with benchmark/NAME.yaml",
    )  # fmt: skip
    return parser
