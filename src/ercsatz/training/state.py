"""The state of a training run, ``last.ckpt``: written whole, and verified before a run goes on from it."""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ercsatz.disk import whole
from ercsatz.training.callbacks import BestEpoch

_LOG = logging.getLogger(__name__)


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's, but for the writing: its own goes through ``TMPDIR``, which may be another file system."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; the file appears whole or not at all."""
        with whole(Path(path)) as new, new.open("wb") as file:
            torch.save(checkpoint, file)


def resumable(folder: Path, best: BestEpoch, title: str) -> Path | None:
    """The state that a run goes on from; ``None`` where there is none.

    A damaged one, or one whose best weights are damaged, is said and removed: other numbers would come of it.

    Args:
        folder: the run's own.
        best: the callback that keeps the best weights there.
        title: for the line that says so.
    """
    for left in folder.glob(".*"):  # by a process that was killed while it wrote
        left.unlink()
    state = folder / "last.ckpt"
    if not state.exists():
        return None
    damage = _damage(state, best)
    if damage is None:
        return state
    _LOG.warning(f"  {title} | {damage}: no run can go on from it, so it is removed and training begins anew")
    state.unlink()
    return None


def _damage(state: Path, best: BestEpoch) -> str | None:
    """What is wrong with a state or with the weights that belong to it; torch itself verifies no checksum."""
    try:
        with zipfile.ZipFile(state) as file:
            torn = file.testzip()
        callbacks: Mapping[str, Any] = torch.load(state, "cpu", mmap=True, weights_only=True)["callbacks"]
    except Exception as error:  # zipfile, pickle and torch have many for a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{state} is damaged ({reason})"
    if torn is not None:
        return f"{state} is damaged ({torn} in it was changed)"
    return best.damage(callbacks.get(best.state_key, {}))
