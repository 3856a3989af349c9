"""Ctrl-C: once to stop in order, twice to stop at once."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Slurm and other schedulers send the latter


@asynccontextmanager
async def on_signal(drain: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``drain`` on the first Ctrl-C and cancel the running task on the second, while the context is open.

    Does nothing outside the main thread, where signals do not arrive.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = iter((drain,))

    def handle() -> None:
        next(came, task.cancel)()

    for number in SIGNALS:
        loop.add_signal_handler(number, handle)
    try:
        yield
        await asyncio.sleep(0.01)  # for a signal that came while the loop stood still
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
