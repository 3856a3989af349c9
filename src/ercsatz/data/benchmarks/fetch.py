"""Fetch a benchmark's files from its publisher: ``python -m ercsatz.data.benchmarks.fetch meld``.

Files are downloaded into a temporary folder, checked there (length, checksum, then the whole benchmark by its reader
and its published counts) and only then moved into place.
"""

import argparse
import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from yaml import YAMLError

from ercsatz import signals
from ercsatz.config import BenchmarkConfig, PathsConfig, register
from ercsatz.config.command_line import named, unset_empty
from ercsatz.config.misread import refuse_misread
from ercsatz.config.outside import check
from ercsatz.config.registry import open_folders, refuse_hidden
from ercsatz.data import checksums
from ercsatz.data.benchmarks import file_name, load
from ercsatz.data.benchmarks.download import chunks, shown
from ercsatz.data.dialogue import SPLITS
from ercsatz.disk import sync, told
from ercsatz.errors import UserError
from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.terminal import show_log
from ercsatz.reporting.text import plain
from ercsatz.resources import resource

_LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: the benchmark is in place. 1: it is not, and the message says what to do.
    """
    options = _parser().parse_args(arguments)
    show_log()
    unset_empty()
    try:
        open_folders(options.config_dir)  # where a reader of the user's own may be
        refuse_hidden([resource("conf"), *options.config_dir])
        refuse_misread(options.config_dir)
        folders = [*options.config_dir, resource("conf")]
        benchmark = settings(options.benchmark, folders, options.to)
        fetch(benchmark, options.base_url, SafeConsole(soft_wrap=True))
    except UserError as error:
        _LOG.error("%s", error)
        return 1
    return 0


def settings(name: str, config_folders: Sequence[Path], to: Path | None = None) -> BenchmarkConfig:
    """A benchmark's settings, straight from its YAML.

    Args:
        name: the YAML's name in ``benchmark/`` of one of the folders; the first that has it counts.
        config_folders: folders laid out like the shipped ``conf``.
        to: replaces ``benchmark.path``.

    Raises:
        UserError: there is no such YAML, it does not fit the schema, or its files would be written elsewhere than in
            ``paths.data`` without ``to``.
    """
    register([])
    files = {file.stem: file for folder in reversed(config_folders) for file in (folder / "benchmark").glob("*.yaml")}
    if name not in files:
        raise UserError(f"There is no benchmark {name}; there are: {', '.join(sorted(files))}.")
    schema = OmegaConf.create(
        {"paths": OmegaConf.structured(PathsConfig), "benchmark": OmegaConf.structured(BenchmarkConfig)}
    )
    try:
        if files[name].parents[1] != resource("conf"):
            check(files[name].parents[1], f"benchmark/{name}")
        paths, benchmark = OmegaConf.load(resource("conf") / "paths" / "default.yaml"), OmegaConf.load(files[name])
        config = OmegaConf.merge(schema, {"paths": paths, "benchmark": benchmark})
        if to is not None:
            config.benchmark.path = str(to)
        found = cast(BenchmarkConfig, OmegaConf.to_object(config.benchmark))
    except (OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"{files[name]}: {error}") from None
    if (
        to is None
        and found.downloads
        and not _target(found).is_relative_to(os.path.normpath(Path(config.paths.data).absolute()))
    ):
        raise UserError(
            f"{files[name]}: path: {found.path} is outside of {config.paths.data}, where fetched files go. If that is "
            f"the right place: --to {found.path}"
        )
    return found


def fetch(benchmark: BenchmarkConfig, base_url: str | None, console: SafeConsole) -> None:
    """Bring a benchmark's files into ``benchmark.path``; files that are there and right are kept.

    Args:
        benchmark: with ``path`` as the target folder.
        base_url: a mirror, in place of scheme and host of the publisher's addresses.
        console: where bars go, if it is a terminal; elsewhere a line a file is logged.

    Raises:
        UserError: a download failed or is not the published file; nothing has been changed then.
    """
    if not benchmark.downloads:
        raise UserError(f"{benchmark.name} cannot be fetched. {benchmark.obtain} The folder: {_target(benchmark)}.")
    target = _target(benchmark)
    for split in benchmark.downloads:
        _inside(benchmark, split, target)
    if _complete(benchmark, target):
        _LOG.info("%s is in %s already.", benchmark.title, target)
        return
    mend = f"make room or name another folder: ercsatz fetch {benchmark.name} --to FOLDER."
    with told(target, f"Nothing was left there; {mend}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        near = target if target.is_dir() else target.parent  # which may be on two file systems
        with tempfile.TemporaryDirectory(dir=near, prefix=f".{target.name}.") as temporary:
            _download(benchmark, target, Path(temporary), base_url, console)
    _LOG.info("%s is in %s. Licence: %s.", benchmark.title, target, benchmark.licence)


def _download(
    benchmark: BenchmarkConfig, target: Path, temporary: Path, base_url: str | None, console: SafeConsole
) -> None:
    files, fetched = {}, []
    for split, download in benchmark.downloads.items():
        name = file_name(benchmark, split)
        files[split] = str(target / name)
        if download.sha256 is None or not _is_right(target / name, download.sha256):
            files[split] = str(temporary / name)
            fetched.append(name)
            url = download.url if base_url is None else base_url.rstrip("/") + urlsplit(download.url).path
            try:
                _stream(url, base_url is not None, temporary / name, download.sha256, console)
            except UserError as error:
                raise UserError(
                    f"{plain(shown(url))}: {error}. Nothing was changed in {target}. Try again, or download it "
                    f"by hand to {target / name}."
                ) from None
    try:
        load(replace(benchmark, files=benchmark.files | files))
    except UserError as error:
        found = str(error).replace(str(temporary), str(target))
        raise UserError(
            f"What was fetched is not the published benchmark, so {target} was not changed. {found}"
        ) from None
    for name in fetched:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        sync(temporary / name)
        (temporary / name).replace(target / name)
        sync((target / name).parent)
    there = [target / file_name(benchmark, split) for split in benchmark.downloads]
    for folder in {path.parent for path in there}:
        checksums.write(folder, [path.name for path in there if path.parent == folder])


def _stream(url: str, chosen: bool, file: Path, sha256: str | None, console: SafeConsole) -> None:
    digest = hashlib.sha256()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        file.open("wb") as out,
        closing(chunks(url, chosen)) as pieces,
    ):
        task = progress.add_task(file.name, total=None)
        for chunk, length in pieces:
            out.write(chunk)
            digest.update(chunk)
            progress.update(task, advance=len(chunk), total=length)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise UserError(f"this is not the published file (SHA-256 {digest.hexdigest()} instead of {sha256})")
    if not console.is_terminal:
        _LOG.info("%s: %s bytes from %s", file.name, f"{file.stat().st_size:,}", plain(shown(url)))


def _inside(benchmark: BenchmarkConfig, split: str, target: Path) -> None:
    """Refuse a split whose file is not in the folder: what is fetched is written there.

    Raises:
        UserError: it is elsewhere, or there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"{benchmark.name}: benchmark.downloads.{split}: the splits are {', '.join(SPLITS)}.")
    name = file_name(benchmark, split)
    above = ".." in Path(name).parts or not (target / name).parent.resolve().is_relative_to(target.resolve())
    if not name or Path(name).is_absolute() or above:
        raise UserError(
            f"{benchmark.name}: benchmark.files.{split}: {name} is outside of {target}, and nothing is written there."
        )


def _target(benchmark: BenchmarkConfig) -> Path:
    return Path(os.path.normpath(Path(benchmark.path).expanduser().absolute()))


def _is_right(file: Path, sha256: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def _complete(benchmark: BenchmarkConfig, target: Path) -> bool:
    """Whether all files are there as published; where no checksum is known, the counts have to do."""
    for split, download in benchmark.downloads.items():
        file = target / file_name(benchmark, split)
        if not file.is_file() or (download.sha256 is not None and not _is_right(file, download.sha256)):
            return False
    try:
        load(benchmark)
    except UserError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ercsatz fetch", description="Fetch a benchmark from its publisher.")
    parser.add_argument("benchmark", help="meld, emorynlp, emorynlp_small, or one of your own that has downloads")
    parser.add_argument("--to", type=named, metavar="FOLDER", help="default: NAME in $ERCSATZ_DATA, or in data")
    parser.add_argument("--base-url", metavar="URL", help="a mirror with the publisher's paths, e.g. http://host:8000")
    parser.add_argument(
        "--config-dir",
        type=named,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder with benchmark/NAME.yaml",
    )
    return parser


if __name__ == "__main__":
    signals.run(main)
