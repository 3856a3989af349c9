"""Where processes, also of several machines, leave word for each other."""

import pickle
from typing import Any

from torch import distributed


class Board:
    """PyTorch's key-value store, which one process keeps; values are pickled.

    Args:
        address: of the machine of the one that keeps it.
        port: there; 0: any that is free, if it is this process that keeps it.
        keeps: whether this process does.

    Raises:
        RuntimeError: from any method: the one that keeps it is gone.
    """

    def __init__(self, address: str, port: int, keeps: bool) -> None:
        store = distributed.TCPStore  # type: ignore[attr-defined]
        self._store: Any = store(address, port, is_master=keeps, wait_for_workers=False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._store.port)

    def put(self, key: str, value: object = True) -> None:
        """Leave word."""
        self._store.set(key, pickle.dumps(value))

    def find(self, key: str) -> Any:
        """What was left, or None."""
        return pickle.loads(self._store.get(key)) if self._store.check([key]) else None

    def count(self, key: str, more: int) -> int:
        """Count on, from 0; the new number."""
        return int(self._store.add(key, more))
