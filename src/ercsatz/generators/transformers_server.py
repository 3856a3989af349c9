"""A language model in this process, asked in batches.

Requests that wait together are answered together, and what one gets depends on its own seed alone, not on its
neighbours. What is left is rounding: a batch of another size rounds otherwise, which changes next to nothing in float32
and a token now and then in bfloat16.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from ercsatz.errors import UserError
from ercsatz.generators import interface
from ercsatz.generators.transformers_model import Model

QUIET = 0.02  # seconds without a new request after which a batch is not waited for any longer
LONGEST_WAIT = 1.0  # seconds that a batch is waited for at the most


@dataclass(eq=False, slots=True)
class _Row:
    ids: list[int]
    seed: int
    max_new_tokens: int
    new: asyncio.Future[list[int]]


class LocalServer:
    """Collects requests into batches and answers one batch at a time in a thread of its own.

    Args:
        load: gives the model; called once, in the thread.
        sampling: parameters by the names of ``SamplingConfig``.
        batch_size: how many requests are answered together at the most; halved where they do not fit into memory.
    """

    name = "transformers"

    def __init__(self, load: Callable[[], Model], sampling: Mapping[str, float | int], batch_size: int) -> None:
        self._load, self._sampling, self._batch_size = load, sampling, batch_size
        self._fits = batch_size
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(1, "generator")
        self._waiting: deque[_Row] = deque()
        self._task: asyncio.Task[None] | None = None
        self._stop = threading.Event()

    async def identify(self) -> interface.Identity:
        """The model's name and size, once it is loaded.

        Raises:
            UserError: it cannot be loaded.
        """
        model = await self._ready()
        return interface.Identity(model.name, self._batch_size, model.details)

    async def healthy(self) -> bool:
        """Always: nothing is between it and the caller."""
        return True

    async def answer(self, request: interface.Request) -> interface.Answer:
        """Answer one request.

        Raises:
            RefusedError: its prompt is too long for the model.
            UserError: the model cannot be loaded, or does not fit into memory.
        """
        model = await self._ready()
        limit = request.max_new_tokens or int(self._sampling["max_new_tokens"])
        ids = model.encode(request.prompt, limit)
        row = _Row(ids, request.seed, limit, asyncio.get_running_loop().create_future())
        self._waiting.append(row)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(model))
        return model.answer(ids, await row.new)

    async def close(self) -> None:
        """End a running batch at its next token and give back the model's memory."""
        self._stop.set()
        for row in self._waiting:
            row.new.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        await asyncio.to_thread(self._thread.shutdown)
        self._model = None
        torch.cuda.empty_cache()

    async def _ready(self) -> Model:
        if self._model is not None:
            return self._model
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._loaded)

    def _loaded(self) -> Model:
        if self._model is None:
            self._model = self._load()
        return self._model

    async def _work(self, model: Model) -> None:
        """Answer batch after batch until nobody waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._quiet()
            batch = self._take()
            if not batch:
                continue
            try:
                generated = await loop.run_in_executor(self._thread, self._generate, model, batch)
            except Exception as error:
                for row in batch:
                    if not row.new.done():
                        row.new.set_exception(error)
                continue
            if generated is None:
                self._waiting.extendleft(reversed(batch))
                continue
            for row, new in zip(batch, generated, strict=True):
                if self._stop.is_set():
                    row.new.cancel()
                elif not row.new.done():
                    row.new.set_result(new)

    async def _quiet(self) -> None:
        """Let a batch fill up: until it is full, or no more requests arrive."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + LONGEST_WAIT
        while len(self._waiting) < self._fits and loop.time() < latest:
            before, started = len(self._waiting), loop.time()
            await asyncio.sleep(QUIET)
            # A loop that was busy may not have come to those who are about to ask.
            if len(self._waiting) == before and loop.time() - started < 2 * QUIET:
                return

    def _take(self) -> list[_Row]:
        """Whoever has waited longest, and others with the same limit; those who gave up are dropped."""
        waiting = [row for row in self._waiting if not row.new.done()]
        batch = [row for row in waiting if row.max_new_tokens == waiting[0].max_new_tokens][: self._fits]
        taken = set(batch)
        self._waiting = deque(row for row in waiting if row not in taken)
        return batch

    def _generate(self, model: Model, batch: Sequence[_Row]) -> list[list[int]] | None:
        """The new tokens of a batch, or nothing where it does not fit into memory and is to be asked again."""
        ids, seeds = [row.ids for row in batch], [row.seed for row in batch]
        try:
            return model.generate(ids, seeds, batch[0].max_new_tokens, self._sampling, self._stop)
        except torch.OutOfMemoryError:
            pass  # what follows must not run in here, where the error still holds the tensors
        torch.cuda.empty_cache()
        if len(batch) == 1:
            raise UserError(
                "Not even one answer fits into memory beside the model: generator.batch_size was halved down to 1. "
                "Take a smaller generator.model, generator.dtype=bfloat16 or a lower generator.sampling.max_new_tokens."
            )
        self._fits = len(batch) // 2
        logging.getLogger(__name__).warning(
            "%d answers at a time do not fit into memory; going on with generator.batch_size=%d", len(batch), self._fits
        )
        return None
