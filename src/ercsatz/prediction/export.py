"""``ercsatz export``: a trained classifier as one folder that can be handed on."""

import argparse
import logging
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ercsatz import signals
from ercsatz.artifacts import manifest
from ercsatz.artifacts.command import default_cache, size_text
from ercsatz.config.command_line import named
from ercsatz.config.registry import open_folders, refuse_hidden
from ercsatz.disk import settle, told
from ercsatz.errors import UserError
from ercsatz.prediction.find import Found, Keys, find_classifier
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log

CARD = "README.md"
KEYS = Keys("RUN", "--stage NAME", "--cache FOLDER")
_NOT_HANDED_ON = ("logs", "wandb", "work", CARD)  # what loggers wrote; and the card is anybody's to edit
_LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: the folder is there, and was uploaded where that was asked for. 1: it is not, and the message says why.
    """
    options = _parser().parse_args(arguments)
    show_log()
    try:
        open_folders(options.config_dir)
        refuse_hidden()
        found = find_classifier(options.run.expanduser(), _cache(options.cache), KEYS, options.stage)
        folder = export(found, options.to and options.to.expanduser(), _cache(options.cache))
        if options.push_to_hub is not None:
            _push(folder, options.push_to_hub)
    except UserError as error:
        report(error)
        return 1
    return 0


def export(found: Found, to: Path | None, cache: Path) -> Path:
    """Write a classifier, its configuration, its checksums and a card into a folder of their own.

    The folder appears whole or not at all. One that is there already and holds the same classifier is left as it is:
    its card may have been edited.

    Args:
        found: the classifier, as in the cache.
        to: the folder to make; None: ``exports/NAME``, with a name that says what it is.
        cache: where the stages are that it was trained from.

    Raises:
        UserError: the classifier is damaged or cannot be loaded here, or the folder cannot be written or is there with
            something else in it.
    """
    from ercsatz.prediction.facts import facts_of
    from ercsatz.prediction.saved_classifier import load_classifier

    if found.result is None and (found.folder / CARD).is_file():
        raise UserError(f"{found.folder} is exported already: copy it, or give the run that it came from.")
    to = to or Path("exports") / _name(found)
    classifier = load_classifier(found.folder, accelerator="cpu")
    facts = facts_of(to.name, found, classifier, cache)
    if facts.code:
        _LOG.warning(
            "%s is code from outside ercsatz and not part of the folder: whoever loads it needs that, too "
            "(--config-dir FOLDER).",
            facts.code,
        )
    if not _is_there(to, found.folder):
        from ercsatz.prediction.card import card

        _write(found.folder, to, card(facts))
        _LOG.info("Wrote %s (%s): %s.", to, size_text(manifest.size(to)), found.chosen or f"{found.folder}")
    _LOG.info('In Python: ercsatz.load_classifier("%s"). Read %s before you hand it on.', to, to / CARD)
    return to


def _name(found: Found) -> str:
    if found.result is None or found.stage is None:
        return found.folder.name
    choices = found.result["choices"]
    parts = (choices["classifier"], choices.get("data", choices["benchmark"]), found.stage["stage"])
    return "-".join([*(re.sub(r"[^\w.-]", "_", str(part)) for part in parts), f"seed{found.result.get('seed')}"])


def _is_there(folder: Path, source: Path) -> bool:
    """Whether a folder holds this classifier already.

    Raises:
        UserError: it holds something else, or is damaged.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if folder.is_dir() and (folder / manifest.NAME).is_file() and (folder / CARD).is_file():
        manifest.refuse_damaged(folder)
        if manifest.checksums(folder, _NOT_HANDED_ON) == manifest.checksums(source, _NOT_HANDED_ON):
            _LOG.info("%s is there already, with this classifier; its card is left as it is.", folder)
            return True
    raise UserError(f"{folder} is there already, and holds something else. Give another folder: --to FOLDER")


def _write(source: Path, folder: Path, text: str) -> None:
    files = manifest.checksums(source, _NOT_HANDED_ON)
    with told(folder, "Make room, or give another folder: --to FOLDER"):
        place = folder.absolute()
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as scratch:
            new = Path(scratch) / place.name
            for name in files:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, new / name)
            if manifest.checksums(new, ()) != files:
                raise UserError(f"{source} changed while it was copied. Export it again.")
            facts = _manifest(source)
            about = ("exports", str(facts.get("key", source.name)), str(facts.get("owner", "")))
            created = datetime.now(UTC).isoformat()
            manifest.write(new, manifest.Manifest(*about, created, facts.get("description", {}), files))
            (new / CARD).write_text(text, encoding="utf-8")
            settle(new)
            if place.exists():
                place.rmdir()  # it is empty
            new.rename(place)


def _manifest(folder: Path) -> Mapping[str, Any]:
    """What the manifest of a stage says; nothing of one that earlier versions left without."""
    from ercsatz.data.text_files import read_json

    file = folder / manifest.NAME
    found = read_json(file, "Train it again.") if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _push(folder: Path, repository: str) -> None:
    from ercsatz.artifacts.hub import push

    files = [*manifest.checksums(folder, ()), manifest.NAME]
    _LOG.info("Uploaded to %s.", push(folder, repository, "model", files, "--push-to-hub "))


def _cache(given: Path | None) -> Path:
    return given.expanduser() if given else default_cache()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ercsatz export",
        description="Write a trained classifier into one folder that can be handed on: weights, tokenizer, "
        "configuration, checksums and a model card. ercsatz.load_classifier(FOLDER) and predict read it.",
    )
    parser.add_argument(
        "run",
        type=named,
        metavar="RUN",
        help="a sweep (multirun/NAME), of which the best by validation is taken; a job (outputs/JOB, "
        "multirun/NAME/CELL); or a stage of the cache (cache/stages/KEY)",
    )
    parser.add_argument("--to", type=named, metavar="FOLDER", help="default: exports/CLASSIFIER-DATA-STAGE-SEED")
    parser.add_argument(
        "--stage", metavar="NAME", help="of a job: original, pretrain, finetune, ...; default: its last"
    )
    parser.add_argument(
        "--cache", type=named, metavar="FOLDER", help="paths.cache of the job; default: $ERCSATZ_CACHE, or cache"
    )
    parser.add_argument(
        "--config-dir",
        type=named,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder with a classifier or a benchmark of your own",
    )
    parser.add_argument(
        "--push-to-hub", metavar="NAME/REPOSITORY", help="upload the folder as a private model repository (extra: hub)"
    )
    return parser


if __name__ == "__main__":
    signals.run(main)
