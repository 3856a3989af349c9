"""``ercsatz merge``: the data set of all shards of a plan, as one run would have written it."""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ercsatz import signals
from ercsatz.config import GenerateConfig
from ercsatz.config.command_line import named
from ercsatz.config.registry import open_folders, refuse_hidden
from ercsatz.data import shards
from ercsatz.data.shards import Shard
from ercsatz.errors import UserError
from ercsatz.generation.dataset import folder as dataset
from ercsatz.generation.job import GenerationJob
from ercsatz.generation.run import Generation, upload
from ercsatz.generation.shard import describe, read_description
from ercsatz.generation.wandb_data_set import log_data_set
from ercsatz.generators.interface import Answer, Generator, Identity, Request, Server
from ercsatz.llm.journal import Journal, differences
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log

_LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: the data set is there. 1: it is not, and the message says why.
    """
    options = _parser().parse_args(arguments)
    show_log()
    try:
        open_folders(options.config_dir)
        refuse_hidden()
        folders = [folder.expanduser() for folder in options.shards]
        to = options.to.expanduser() if options.to else shards.whole_of(folders[0])
        merge(folders, to, options.overwrite)
    except UserError as error:
        report(error)
        return 1
    return 0


def merge(folders: Sequence[Path], to: Path, overwrite: bool = False) -> None:
    """Put the journals of all shards of a plan together and make the data set from them. Nothing is asked.

    Args:
        folders: of the shards, in any order.
        to: the place of the data set; its journal is beside it, as after one run.
        overwrite: whether another generated data set there is replaced.

    Raises:
        UserError: a shard is missing, occurs twice, is not complete or is of another plan; or the data set cannot be
            written.
    """
    parts = _fitting(folders)
    config = _config(parts[0].described["config"], to)
    job = GenerationJob(config, _journals_only(config, parts[0].described["generator"]))
    _refuse_other(parts[0], job)
    settings = job.settings()
    if dataset.is_done(to, settings, overwrite, "--overwrite"):
        _LOG.info("%s is there, made with these settings. Nothing to do.", to)
    else:
        dataset.check_writable(to)
        with closing(Journal(Path(config.journal))) as journal:
            _take_in(journal, parts, job.request_settings())
            Generation(job, journal, settings, unfolded()).make(to)
        log_data_set(config, to)
    upload(config, to)


@dataclass(frozen=True, slots=True)
class _Part:
    folder: Path
    shard: Shard
    described: Mapping[str, Any]


def _fitting(folders: Sequence[Path]) -> list[_Part]:
    """All shards of one plan, in their order."""
    parts = sorted(map(_read, folders), key=lambda part: part.shard)
    first = parts[0]
    for part in parts[1:]:
        if different := differences(_plan(first), _plan(part)):
            listed = "\n  ".join(different)
            raise UserError(
                f"{first.folder} and {part.folder} are of different plans ({first.folder.name} there, "
                f"{part.folder.name} now):\n  {listed}\nRun one of them again with the settings of the others."
            )
        twice = next((other for other in parts if other.shard == part.shard and other is not part), None)
        if twice is not None:
            raise UserError(f"{twice.folder} and {part.folder} are the same shard, {part.shard}. Give it once.")
    of, there = first.shard.of, {part.shard.number for part in parts}
    if missing := [Shard(number, of) for number in range(of) if number not in there]:
        named_ones = ", ".join(map(str, missing))
        raise UserError(
            f"{len(parts)} of {of} shards are given; missing: {named_ones}. Give their folders too, or make them with "
            f"the same command as the others and plan.shard={missing[0]}."
        )
    return parts


def _read(folder: Path) -> _Part:
    described = read_description(folder)
    try:
        if described is not None:
            part = _Part(folder, Shard(*described["shard"]), described)
            if part.described["complete"] and (folder / shards.JOURNAL).is_file():
                return part
    except (KeyError, TypeError):
        raise UserError(f"{folder / shards.FILE} is no shard's. Run the command of this shard again.") from None
    if described is None and not (folder / shards.JOURNAL).is_file():
        raise UserError(f"{folder} is no shard of a data set. One is made with: python generate.py plan.shard=0/4 ...")
    raise UserError(f"{folder} still lacks answers. Run the command of this shard again; it goes on from its journal.")


def _plan(part: _Part) -> dict[str, Any]:
    """What all shards of a plan have in common."""
    return {"shards": part.shard.of, **{key: part.described.get(key) for key in ("requests", "plan", "version")}}


def _config(stored: Mapping[str, Any], to: Path) -> GenerateConfig:
    """That of one run to the data set, as the shards' machines had it but for places."""
    cfg = OmegaConf.merge(OmegaConf.structured(GenerateConfig), OmegaConf.create(dict(stored)))
    cfg.data.path, cfg.journal = str(to), f"{to}.journal.sqlite"
    config: GenerateConfig = OmegaConf.to_object(cfg)  # type: ignore[assignment]
    return config


class _Journals:
    """In the place of a server: all answers are in the shards' journals."""

    name = "the shards' journals"

    async def identify(self) -> Identity:
        raise UserError(
            "The shards' journals lack an answer that this version asks for, so it was not the one that wrote them. "
            "Run the shards' commands again with this version: they ask only for what is missing."
        )

    async def healthy(self) -> bool:
        return True

    async def answer(self, request: Request) -> Answer:
        raise AssertionError(request)

    async def close(self) -> None:
        pass


def _journals_only(config: GenerateConfig, described: Mapping[str, Any]) -> Generator:
    """The generator as it was on the shards' machines, with nobody to ask."""
    server: Server = _Journals()
    return Generator(
        described["name"],
        config.generator.profile,
        described["settings"],
        (server,),
        described["sent"],
        described["dropped"],
        config.generator.window,
    )


def _refuse_other(part: _Part, job: GenerationJob) -> None:
    """Refuse to make of the answers what they were not asked for, as where templates or the version have changed."""
    here = describe(job, part.shard)
    keys = ("requests", "plan", "version")
    if different := differences({k: part.described[k] for k in keys}, {k: here[k] for k in keys}):
        listed = "\n  ".join(different)
        raise UserError(
            f"{part.folder} was made by another version, or with other prompts, than are here:\n  {listed}\n"
            "Merge with those, or run the shards' commands again with these."
        )


def _take_in(journal: Journal, parts: Sequence[_Part], requests: Mapping[str, Any]) -> None:
    """Copy what the shards' journals have; what is there already stays."""
    begun = journal.fact("settings")
    if begun is not None and begun != json.loads(json.dumps(requests)) and journal.n_answers:
        raise UserError(f"{journal.path} is the journal of other requests. Move it away, or choose another place: --to")
    journal.begin(requests, overwrite=False)
    for part in parts:
        with closing(Journal(part.folder / shards.JOURNAL)) as other:
            journal.take_in(other)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ercsatz merge",
        description="Make the data set of all shards of a plan (generate.py plan.shard=K/N), as one run writes it.",
    )
    parser.add_argument("shards", nargs="+", type=named, metavar="SHARD", help="folder of a shard; all are needed")
    parser.add_argument("--to", type=named, metavar="FOLDER", help="the data set; as a rule beside the first shard")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set that was made otherwise")
    parser.add_argument(
        "--config-dir", type=named, action="append", default=[], metavar="FOLDER", help="of your own parts"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(signals.run(main))
