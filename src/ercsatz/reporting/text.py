"""Text from data and from language models, made harmless for the terminal and each kind of file it is written to."""

import re
import unicodedata
from collections.abc import Set

# Joiners are part of how emoji and some scripts are spelt. Other characters that cannot be seen turn the text around
# them, end a file early or cannot be encoded.
_JOINERS = "\u200c\u200d"
_UNSEEN = {"Cc", "Cf", "Cs", "Cn"}

# What a terminal may obey. What has no meaning yet is not among it: newer emoji are unknown to older Pythons.
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# Control characters, line separators, lone surrogates (no file can hold them), invisible and direction marks
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*[]|~$"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Between letters and digits it is no markup, and names have many.
_UNDERLINE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")

_LATEX = {
    **{c: f"\\{c}" for c in "#$%&_{}"},
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"{\ttfamily\char34}", "`": r"{\ttfamily\char96}", "'": "'{}",
    # A row that begins with one of these would be an argument of the \\ before it.
    "[": "{[}", "*": "{*}",
    "-": "-{}",  # two would be a dash
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "ł": r"\l{}", "Ł": r"\L{}", "\u0131": r"\i{}", "\u2010": "-{}", "\u2011": "-{}", "\u2013": "--{}",
    "\u2014": "---{}",
    "\u2018": "`{}", "\u2019": "'{}", "\u201c": "``{}", "\u201d": "''{}", "\u2026": r"\ldots{}", "±": r"$\pm$",
    "\u00d7": r"$\times$", "·": r"$\cdot$", "\u2212": "$-$", "≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\to$",
    "\u2020": r"$^{\dagger}$",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: str) -> str:
    r"""A text for the terminal, in which nothing can be more than text.

    Lines and spaces stay; control characters, marks that turn the direction of writing and whatever cannot be encoded
    are spelt out.

    Example:
        >>> print(visible("a\n\x1b[31mb"))
        a
        \x1b[31mb
    """
    return text if text.isprintable() else "".join(c if c == "\n" else _seen(c, _OBEYED) for c in text)


def printable(text: str) -> str:
    """A text with line feeds for all ends of lines, and spaces for what no file or terminal should be given."""
    return _UNPRINTABLE.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def plain(text: object) -> str:
    r"""Text on one line in which everything can be seen.

    White space becomes single spaces; control characters, marks that turn the direction of writing and whatever cannot
    be encoded are spelt out.

    Example:
        >>> print(plain("a\n b\u202ec"))
        a b\u202ec
    """
    line = " ".join(str(text).split())
    return line if line.isprintable() else "".join(_seen(c, _UNSEEN) for c in line)


def markdown(text: object) -> str:
    r"""``plain`` text for Markdown, also inside a table.

    Example:
        >>> print(markdown("a|b <img> $x$"))
        a\|b &lt;img&gt; \$x\$
    """
    return _UNDERLINE.sub(r"\\_", plain(text).translate(_MARKDOWN))


def latex(text: object) -> str:
    r"""``plain`` text for LaTeX, in ASCII, for any engine and font encoding.

    Accented Latin letters are kept. A character that a plain article has no glyph for is given by its number.

    Example:
        >>> print(latex(r"50% of $x_1$ \input{Müller} 🙂"))
        50\% of \$x\_1\$ \textbackslash{}input\{M\"{u}ller\} {[}U+1F642]
    """
    return "".join(map(_latex, unicodedata.normalize("NFC", plain(text))))


def csv_text(text: object) -> str:
    """Text for a cell of a CSV file that a spreadsheet will not run.

    Text that begins like a formula gets a leading apostrophe, which spreadsheets take for "this is text".

    Example:
        >>> csv_text("=HYPERLINK(A1)"), csv_text("compm_org")
        ("'=HYPERLINK(A1)", 'compm_org')
    """
    kept = str(text).encode("utf-8", "backslashreplace").decode()
    return f"'{kept}" if kept.startswith(_FORMULA) else kept


def _seen(character: str, unseen: Set[str]) -> str:
    if unicodedata.category(character) not in unseen or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode()


def _latex(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii():
        return character
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"{{[}}U+{ord(character):04X}]"
