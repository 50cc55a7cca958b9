"""Live pages: one watcher per process looks at the ledger's size twice a second; every open page hears of a change.

The watcher runs only while somebody listens. Events carry numbers, never content: a page asks again for what it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

PERIOD_S = 0.5
BEAT_S = 15.0
LISTENERS_MAX = 256


class Watcher:
    """``look`` reads a small value (the ledger's and the checkpoint's size); it may block, so it runs in a thread."""

    def __init__(self, look: Callable[[], str], *, period_s: float = PERIOD_S) -> None:
        self._look = look
        self._period_s = period_s
        self._queues: set[asyncio.Queue[str]] = set()
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> AsyncIterator[bytes]:
        """Server-sent events: the value at once, then each change; a comment now and then keeps the line open."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        self._queues.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield b"retry: 1000\n\n"
            yield _event(await run_in_threadpool(self._look))
            while True:
                yield await _next(queue)
        finally:
            self._queues.discard(queue)

    def full(self) -> bool:
        """More open pages than one process should feed."""
        return len(self._queues) >= LISTENERS_MAX

    async def _watch(self) -> None:
        last = ""
        while self._queues:
            with suppress(Exception):  # a database that is away for a moment: pages keep what they show, and wait
                now = await run_in_threadpool(self._look)
                if now != last:
                    self._tell(now)
                last = now
            await asyncio.sleep(self._period_s)

    def _tell(self, value: str) -> None:
        for queue in self._queues:
            with suppress(asyncio.QueueEmpty):
                queue.get_nowait()  # only the newest value matters to a page that lags
            queue.put_nowait(value)


async def _next(queue: asyncio.Queue[str]) -> bytes:
    try:
        return _event(await asyncio.wait_for(queue.get(), BEAT_S))
    except TimeoutError:
        return b": still here\n\n"


def _event(value: str) -> bytes:
    return f"event: ledger\ndata: {value}\n\n".encode()
