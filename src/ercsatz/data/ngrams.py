"""How much two texts share: normal forms, words, n-grams, and the two measures of overlap."""

import struct
import unicodedata
from collections.abc import Sequence, Set
from hashlib import blake2b

_ACUTE = "\u00b4"
# The prime and what is typed or typeset for an apostrophe; single quotes look the same.
_APOSTROPHES = "'`\u2018\u2019\u201b\u02bc\u2032"
# Scripts that put no spaces between words: every character counts as a word there.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def normalise(text: str) -> str:
    """The words of a text with single spaces between them, for comparison only.

    Unicode NFKC, case folded; apostrophes and single quotes are dropped ("don't" becomes "dont"), and so are invisible
    characters; other punctuation and white space separate words. A symbol, an emoji for one, is a word, and so is a
    character of a script that is written without spaces.
    """
    unified = unicodedata.normalize("NFKC", text.replace(_ACUTE, "'")).casefold()  # NFKC makes an accent of that one
    return " ".join(unified.translate(_FORMS).split())


def words(text: str) -> list[str]:
    """The words of the normal form."""
    return normalise(text).split()


def ngrams(words: Sequence[str], n: int) -> list[int]:
    """A 64-bit hash of every run of ``n`` words, in their order; the same in every process and on every machine."""
    tokens = [word.encode() for word in words]
    runs = zip(*(tokens[start:] for start in range(n)), strict=False)
    hashes = b"".join([blake2b(b" ".join(run), digest_size=8).digest() for run in runs])
    return list(struct.unpack(f"<{len(hashes) // 8}Q", hashes))


def jaccard(a: Set[int], b: Set[int]) -> float:
    """Size of the intersection over size of the union, 0 to 1; two empty sets are equal, which is 1."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if a or b else 1.0


def containment(a: Set[int], b: Set[int]) -> float:
    """The share of ``a`` that is in ``b``, 0 to 1; nothing of an empty set is."""
    return len(a & b) / len(a) if a else 0.0


class _Forms(dict[int, str | None]):
    """What each code point becomes, filled as they occur."""

    def __missing__(self, code: int) -> str | None:
        self[code] = form = _form(chr(code))
        return form


def _form(char: str) -> str | None:
    category = unicodedata.category(char)
    if char in _APOSTROPHES or category == "Cf" or "\ufe00" <= char <= "\ufe0f":  # the last: variation selectors
        return None
    if category[0] in "PZ" or category in ("Cc", "Cs", "Sk") or (char.isascii() and not char.isalnum()):
        return " "
    if category[0] == "S" or unicodedata.name(char, "").startswith(_UNSPACED):
        return f" {char} "
    return char


_FORMS = _Forms()
