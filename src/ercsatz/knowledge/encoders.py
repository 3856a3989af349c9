"""What makes vectors of texts for the retriever: word counts, or any pretrained encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ercsatz.errors import UserError
from ercsatz.overlap import words

LEXICAL = "lexical"
MAX_TOKENS = 128  # of a text; the longest utterance of MELD has about 100
BATCH = 512
_PLACEHOLDERS = {"personx", "persony", "personz"}  # stand in most events and in no utterance


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Makes vectors whose dot products are cosines.

    Attributes:
        name: for the terminal and the sidecar.
        encode: from texts to a matrix of rows of length 1 (0 for a text of unknown words): an array or a sparse matrix.
    """

    name: str
    encode: Callable[[Sequence[str]], Any]


def lexical(events: Sequence[str]) -> TextEncoder:
    """TF-IDF of words, weighted by how rare they are among the events: no meaning, only shared words.

    An utterance's vector depends on no other utterance. Counts enter as 1 + log.

    Raises:
        UserError: no event has a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=_content, sublinear_tf=True)
    try:
        vectorizer.fit(events)
    except ValueError as error:
        raise UserError(f"Events without words cannot be found by words ({error}).") from None
    return TextEncoder("lexical TF-IDF", vectorizer.transform)


def pretrained(checkpoint: str) -> TextEncoder:
    """Mean-pooled token states of a Hugging Face encoder, on the GPU where there is one.

    Args:
        checkpoint: hub name or folder with safetensors weights; one that was trained for sentences serves best.

    Raises:
        UserError: it cannot be opened.
    """
    import torch

    from ercsatz.classifiers.encoder import open_backbone
    from ercsatz.classifiers.sequences import pack
    from ercsatz.config import Backbone, Pooling

    try:
        opened = open_backbone(Backbone("local", checkpoint, Pooling.mean, 0.0), ())
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder = opened.encoder().eval().to(device)
    except UserError as error:
        raise UserError(f"retrieve.encoder={checkpoint}: {error}") from None
    shape = {"truncation": True, "max_length": opened.max_length(MAX_TOKENS), "split_special_tokens": True}

    @torch.inference_mode()
    def encode(texts: Sequence[str]) -> Any:
        pieces = []
        for start in range(0, len(texts), BATCH):
            ids = opened.tokenizer(list(texts[start : start + BATCH]), **shape)["input_ids"]
            vectors = encoder(pack([np.array(each) for each in ids], encoder.worth).to(device))
            pieces.append(torch.nn.functional.normalize(vectors, dim=1).cpu())
        return torch.cat(pieces).numpy()

    name = Path(checkpoint).name if Path(checkpoint).is_dir() else checkpoint
    return TextEncoder(f"{name} with mean pooling", encode)


def _content(text: str) -> list[str]:
    return [word for word in words(text) if word not in _PLACEHOLDERS]
