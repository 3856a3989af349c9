"""Parts of a README.md for the Hugging Face Hub, of data sets and of classifiers."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def front_matter(fields: Mapping[str, Any]) -> str:
    """The YAML that the hub reads, with its fences."""
    return f"---\n{yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True, width=10_000)}---\n"


def inert(value: object) -> str:
    r"""Text on one line that Markdown, HTML and tables show as it is.

    >>> print(inert("a|b <i>*c*"))
    a&#124;b &lt;i&gt;\*c\*
    """
    text = html.escape(" ".join(str(value).split()), quote=False)
    text = re.sub(r"[\\`*\[\]#~$!@]|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=www)\.", r"\\\g<0>", text)
    return text.replace("|", "&#124;")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def fenced(text: str) -> str:
    """A fenced block; the fence is longer than any in the text, which so cannot end it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text.rstrip()}\n{fence}\n"
