"""Tasks that somebody keeps: none is lost to the garbage collector, none ends in silence.  I/O: the event loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

log = logging.getLogger(__name__)


class Tasks:
    """The running tasks of one owner; close() ends them all."""

    __slots__ = ("_closed", "_running", "failed")

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], None] = {}
        self._closed = False
        self.failed = 0
        """How many ended with an exception that nobody expected; each was logged."""

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T] | None:
        """Run `work` until it is done or close() cancels it; None, and not at all, once closed."""
        if self._closed:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running[task] = None
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Cancel everything that runs, but for the task that asks, and wait until it has ended."""
        self._closed = True
        ending = [task for task in self._running if task is not asyncio.current_task()]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        # asking for the exception is what keeps asyncio from complaining that nobody did
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed += 1
            log.error("task %s failed", task.get_name(), exc_info=error)
