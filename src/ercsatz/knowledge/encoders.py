"""What makes vectors of texts for the retriever: word counts, or any pretrained encoder."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.artifacts.keys import checkpoint_identity
from ercsatz.classifiers.encoder import embedding
from ercsatz.classifiers.encoder.embedding import TextEncoder
from ercsatz.data.ngrams import words
from ercsatz.errors import UserError

LEXICAL = "lexical"
VERSION = 1  # raise it when a checkpoint gives other vectors of the same texts: here or in classifiers/encoder
_PLACEHOLDERS = {"personx", "persony", "personz"}  # stand in most events and in no utterance


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
    """``embedding.pretrained`` for the key ``retrieve.encoder``.

    Raises:
        UserError: the checkpoint cannot be opened.
    """
    return embedding.pretrained(checkpoint, "retrieve.encoder")


def event_vectors(events: Sequence[str], encoder: TextEncoder, checkpoint: str, cache: Path) -> Any:
    """Vectors of events by a pretrained encoder, a row an event: computed once, kept, and memory-mapped.

    Args:
        events: of a knowledge base.
        encoder: ``pretrained`` of the checkpoint.
        checkpoint: hub name or folder.
        cache: ``paths.cache``.
    """
    import numpy as np

    description = {
        "version": VERSION,
        "encoder": checkpoint_identity(checkpoint),
        "events": hashlib.sha256(json.dumps(events).encode()).hexdigest(),
    }
    artifact = Artifact(Kind.knowledge, description, f"{len(events):,} events, {encoder.name}")
    entry = Artifacts(cache).get(artifact, lambda folder: np.save(folder / _FILE, encoder.encode(events)))
    return np.load(entry.path / _FILE, mmap_mode="r")


_FILE = "events.npy"


def _content(text: str) -> list[str]:
    return [word for word in words(text) if word not in _PLACEHOLDERS]
