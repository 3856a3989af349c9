"""What version of the code made a thing, so that a change in the code is noticed."""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path


def code_sha256(files: Iterable[Path]) -> str:
    """SHA-256 (hex) of Python modules, in order; comments and layout do not count.

    It is that of their syntax trees, which differ a little between Python's own versions.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(ast.dump(ast.parse(file.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()
