"""Fetch a benchmark's files from its publisher: ``python -m ercsatz.data.benchmarks.fetch meld``.

Files are downloaded into a temporary folder, checked there (length, checksum, then the whole benchmark by its reader
and its published counts) and only then moved into place.
"""

import argparse
import hashlib
import logging
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from yaml import YAMLError

from ercsatz.config import BenchmarkConfig, PathsConfig, register
from ercsatz.config.registry import open_folders
from ercsatz.data.benchmarks import file_name, load
from ercsatz.errors import UserError
from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.terminal import show_log
from ercsatz.resources import resource

_LOG = logging.getLogger(__name__)
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 16


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: the benchmark is in place. 1: it is not, and the message says what to do. 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    show_log()
    try:
        open_folders(options.config_dir)  # where a reader of the user's own may be
        folders = [*options.config_dir, resource("conf")]
        benchmark = settings(options.benchmark, folders, options.to)
        fetch(benchmark, options.base_url, SafeConsole(soft_wrap=True))
    except UserError as error:
        _LOG.error("%s", error)
        return 1
    except KeyboardInterrupt:
        _LOG.error("Interrupted; nothing half-written is left. Run the same command to start again.")
        return 130
    return 0


def settings(name: str, config_folders: Sequence[Path], to: Path | None = None) -> BenchmarkConfig:
    """A benchmark's settings, straight from its YAML.

    Args:
        name: the YAML's name in ``benchmark/`` of one of the folders; the first that has it counts.
        config_folders: folders laid out like the shipped ``conf``.
        to: replaces ``benchmark.path``.

    Raises:
        UserError: there is no such YAML, or it does not fit the schema.
    """
    register([])
    files = {file.stem: file for folder in reversed(config_folders) for file in (folder / "benchmark").glob("*.yaml")}
    if name not in files:
        raise UserError(f"There is no benchmark {name}; there are: {', '.join(sorted(files))}.")
    schema = OmegaConf.create(
        {"paths": OmegaConf.structured(PathsConfig), "benchmark": OmegaConf.structured(BenchmarkConfig)}
    )
    try:
        paths, benchmark = OmegaConf.load(resource("conf") / "paths" / "default.yaml"), OmegaConf.load(files[name])
        config = OmegaConf.merge(schema, {"paths": paths, "benchmark": benchmark})
        if to is not None:
            config.benchmark.path = str(to)
        return cast(BenchmarkConfig, OmegaConf.to_object(config.benchmark))
    except (OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"{files[name]}: {error}") from None


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
    if _complete(benchmark, target):
        _LOG.info("%s is in %s already.", benchmark.title, target)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            _download(benchmark, target, Path(temporary), base_url, console)
    except OSError as error:
        raise UserError(
            f"Cannot write to {target}: {error.strerror or error}. Nothing was left there; make room or name another "
            f"folder: ercsatz fetch {benchmark.name} --to FOLDER."
        ) from None
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
                _stream(url, temporary / name, download.sha256, console)
            except UserError as error:
                raise UserError(
                    f"{url}: {error}. Nothing was changed in {target}. Try again, or download it by hand to "
                    f"{target / name}."
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
        (temporary / name).replace(target / name)


def _stream(url: str, file: Path, sha256: str | None, console: SafeConsole) -> None:
    digest = hashlib.sha256()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        file.open("wb") as out,
        closing(_chunks(url)) as chunks,
    ):
        task = progress.add_task(file.name, total=None)
        for chunk, length in chunks:
            out.write(chunk)
            digest.update(chunk)
            progress.update(task, advance=len(chunk), total=length)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise UserError(f"this is not the published file (SHA-256 {digest.hexdigest()} instead of {sha256})")
    if not console.is_terminal:
        _LOG.info("%s: %s bytes from %s", file.name, f"{file.stat().st_size:,}", url)


def _chunks(url: str) -> Generator[tuple[bytes, int | None], None, None]:
    """The body in pieces, each with the announced length; every trouble on the way is a ``UserError``."""
    try:
        with urlopen(Request(url, headers={"User-Agent": "ercsatz"}), timeout=_TIMEOUT) as response:
            header = response.headers["Content-Length"]
            length = None if header is None else int(header)
            received = 0
            while chunk := response.read(_CHUNK):
                received += len(chunk)
                yield chunk, length
    except HTTPError as error:
        raise UserError(f"the server answered {error.code} ({error.reason})") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"the download failed ({getattr(reason, 'strerror', None) or reason})") from None
    if length is not None and received != length:
        raise UserError(f"the download ended after {received:,} of {length:,} bytes")


def _target(benchmark: BenchmarkConfig) -> Path:
    return Path(benchmark.path).expanduser().absolute()


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
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="default: NAME in $ERCSATZ_DATA, or in data")
    parser.add_argument("--base-url", metavar="URL", help="a mirror with the publisher's paths, e.g. http://host:8000")
    parser.add_argument(
        "--config-dir",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder with benchmark/NAME.yaml",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
