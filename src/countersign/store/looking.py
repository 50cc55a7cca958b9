"""Many processes look at a log's bundles at once; what they find comes back in the log's order, so it is the same."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from countersign.errors import EnvironmentFault
from countersign.ledger.record import LogReader
from countersign.ledger.stretches import Spread, Stretch, Task, look

BUNDLES = 16
"""Looked at in one go: 4,096 entries."""
AHEAD = 3
"""How many goes each process may be ahead of what was put together, which bounds memory."""

Opener = Callable[[], LogReader]
"""Opens the log anew; it goes to other processes, so it is a plain function or a ``functools.partial`` of one."""

_log: list[LogReader] = []
"""Of this process, when it is one of those that look."""


def processes(open_log: Opener, jobs: int) -> Spread:
    """Looks at bundles in ``jobs`` processes. Raises EnvironmentFault when one of them dies."""

    def spread(task: Task) -> Iterator[Stretch]:
        starts = range(0, task.bundles, BUNDLES)
        if len(starts) < 2:
            log = open_log()
            yield from (look(log, task, number) for number in range(task.bundles))
            return
        # spawned, not forked: an HTTP client or a database connection must not be shared between processes
        context = multiprocessing.get_context("spawn")
        workers = min(jobs, len(starts))
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(open_log,))
        try:
            yield from _in_order(pool, task, starts, workers * AHEAD)
        except BrokenProcessPool as error:
            raise EnvironmentFault("a process that reads the log died", where="--jobs", todo="try fewer jobs") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    return spread


def _in_order(pool: ProcessPoolExecutor, task: Task, starts: range, ahead: int) -> Iterator[Stretch]:
    waiting: deque[Future[list[Stretch]]] = deque()
    for start in starts:
        if len(waiting) == ahead:
            yield from waiting.popleft().result()
        waiting.append(pool.submit(_look, task, range(start, min(start + BUNDLES, task.bundles))))
    while waiting:
        yield from waiting.popleft().result()


def _begin(open_log: Opener) -> None:
    _log[:] = [open_log()]


def _look(task: Task, numbers: range) -> list[Stretch]:
    return [look(_log[0], task, number) for number in numbers]
