"""Numbers that follow from names: the same on every machine, in every process."""

import hashlib
import json


def derive(*parts: str | int) -> int:
    """A number from 0 to 2**63 - 1 that depends on all the parts and their order (BLAKE2b)."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
