"""What makes vectors of texts for the retriever: word counts, or any pretrained encoder."""

from collections.abc import Sequence

from ercsatz.classifiers.encoder import embedding
from ercsatz.classifiers.encoder.embedding import TextEncoder
from ercsatz.data.ngrams import words
from ercsatz.errors import UserError

LEXICAL = "lexical"
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


def _content(text: str) -> list[str]:
    return [word for word in words(text) if word not in _PLACEHOLDERS]
