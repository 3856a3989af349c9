"""Ctrl-C: once to stop in order, twice to stop at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ercsatz import signals


@asynccontextmanager
async def on_signal(drain: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``drain`` on the first signal and cancel the running task on the second, while the context is open.

    The third ends the process: a thread that a model runs in may hold up the end for long. Slurm and other schedulers
    send SIGTERM in place of Ctrl-C.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    with signals.handled(*(lambda step=step: loop.call_soon_threadsafe(step) for step in (drain, task.cancel))):
        yield
        await asyncio.sleep(0.01)  # for a signal that came while the loop stood still
