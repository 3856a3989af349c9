"""Which data set, classifier and report belong together: content hashes, and artifacts of Weights & Biases.

A data set is named by the hash of its dialogues, everywhere the same: ``hash.<data>`` in the configuration of every
run that wrote or read it. A classifier is named by the key of its stage. So lineage is there offline too, where W&B
refuses ``use_artifact``; online the same is told by artifacts.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ercsatz.artifacts.keys import content_key
from ercsatz.data.dialogue import SPLITS, Dialogue, fingerprint
from ercsatz.tracking.wandb_run import no_longer_than

UPLOAD_TIMEOUT = 60.0  # seconds that a run waits for the server to know what it reads


def data_hash(splits: Mapping[str, Iterable[Dialogue]]) -> str:
    """16 hex digits of a data set's content: ids, speakers, texts and labels of each split."""
    return content_key({split: fingerprint(dialogues) for split, dialogues in splits.items()})


def artifact(name: str, kind: str, files: Mapping[str, Path], metadata: Mapping[str, Any], upload: bool) -> Any:
    """An artifact of files by their names in it; without ``upload`` only their checksums and places are told.

    Args:
        name: what is no letter, digit, ``.``, ``-`` or ``_`` of it becomes a hyphen.
        kind: ``dataset``, ``model`` or ``report``.
        files: that are there; others are left out.
        metadata: JSON values.
        upload: whether the files go to the server.
    """
    import wandb

    made = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name), kind, metadata=dict(metadata))
    for inside, file in files.items():
        if file.is_file() and upload:
            made.add_file(str(file), name=inside)
        elif file.is_file():
            made.add_reference(file.resolve().as_uri(), name=inside)
    return made


def data_artifact(name: str, folder: Path, content: str, more: Mapping[str, Any], upload: bool) -> Any:
    """A data set as an artifact. Equal files give equal versions, whether a run writes or reads them.

    Args:
        name: of the data set.
        folder: with its splits.
        content: ``data_hash``.
        more: what else is known about it.
        upload: whether its files go to the server; corpora have licences.
    """
    files = {f"{split}.jsonl": folder / f"{split}.jsonl" for split in SPLITS}  # other files may cite a benchmark
    return artifact(name, "dataset", files, {"hash": content, **more}, upload)


def use(live: Any, made: Any) -> None:
    """Tell that a run reads an artifact; nothing offline, where W&B cannot. Bounded in time."""
    if live.offline:
        return
    with no_longer_than(UPLOAD_TIMEOUT):
        live.use_artifact(made)
