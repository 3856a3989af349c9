"""The run of a command in Weights & Biases that is logged when the command is done, and costs it nothing."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ercsatz import signals
from ercsatz.config import WandbConfig
from ercsatz.tracking.figures import plain
from ercsatz.tracking.wandb_run import RunName, open_run, remove_earlier

_LOG = logging.getLogger(__name__)


def log_command(
    settings: WandbConfig, run: RunName, config: Mapping[str, Any], folder: Path, log: Callable[[Any], None]
) -> None:
    """Log what a command has made, as a run of one id: made again, it takes the place of the earlier one.

    What goes wrong is said in a line, and costs nothing. Without W&B nothing heavy is imported.

    Args:
        settings: where, and whether at all.
        run: what it is called.
        config: what it is configured with, flat.
        folder: below which an offline run is written.
        log: logs to the live run.
    """
    try:
        with open_run(settings, run, {key: plain(value) for key, value in config.items()}, folder) as live:
            if live is None:
                return
            log(live)
        remove_earlier(folder / "wandb", run.id, Path(live.dir).parent)
    except Exception as error:
        signals.check()
        reason = " ".join(str(error).split()) or repr(error)
        _LOG.warning("Weights & Biases has not got the run %r: %s", run.name, reason)


def run_id(command: str, *determined_by: object) -> str:
    """The id of a command's run, which follows from what it is about."""
    return f"{command}-{hashlib.sha256(' '.join(map(str, determined_by)).encode()).hexdigest()[:16]}"
