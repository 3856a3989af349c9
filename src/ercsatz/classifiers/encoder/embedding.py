"""Vectors of texts by any pretrained encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ercsatz.errors import UserError

MAX_TOKENS = 128  # of a text; the longest utterance of MELD has about 100
BATCH = 512


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Makes vectors whose dot products are cosines.

    Attributes:
        name: for the terminal and for files.
        encode: from texts to a matrix of rows of length 1 (0 for a text of unknown words): an array or a sparse matrix.
    """

    name: str
    encode: Callable[[Sequence[str]], Any]


def pretrained(checkpoint: str, key: str) -> TextEncoder:
    """Mean-pooled token states of a Hugging Face encoder, on the GPU where there is one.

    Args:
        checkpoint: hub name or folder with safetensors weights; one that was trained for sentences serves best.
        key: the setting that names the checkpoint, for messages.

    Returns:
        An encoder whose arrays are float32; equal texts of a call have equal rows, as each is read once.

    Raises:
        UserError: it cannot be opened.
    """
    import torch

    from ercsatz import threads
    from ercsatz.classifiers.encoder.packing import pack
    from ercsatz.classifiers.encoder.pretrained import open_backbone
    from ercsatz.config.backbone import BackboneConfig, Pooling

    threads.use(threads.AUTO)
    try:
        opened = open_backbone(BackboneConfig("local", checkpoint, Pooling.mean, 0.0), ())
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder = opened.encoder().eval().to(device)
    except UserError as error:
        raise UserError(f"{key}={checkpoint}: {error}") from None
    shape = {"truncation": True, "max_length": opened.max_length(MAX_TOKENS), "split_special_tokens": True}

    @torch.inference_mode()
    def encode(texts: Sequence[str]) -> Any:
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        once, pieces = [*places], [torch.zeros(0, encoder.width)]
        for start in range(0, len(once), BATCH):
            ids = opened.tokenizer(once[start : start + BATCH], **shape)["input_ids"]
            vectors = encoder(pack([np.array(each) for each in ids], encoder.worth).to(device))
            pieces.append(torch.nn.functional.normalize(vectors, dim=1).cpu())
        return torch.cat(pieces).numpy()[[places[text] for text in texts]]

    return TextEncoder(mean_pooling(checkpoint), encode)


def mean_pooling(checkpoint: str) -> str:
    """What the encoder of a checkpoint is called: a folder by its own name."""
    name = Path(checkpoint).name if Path(checkpoint).is_dir() else checkpoint
    return f"{name} with mean pooling"
