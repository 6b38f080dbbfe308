"""The child processes of one phone: one that takes the next call, and those that it relieved.

I/O: through worker.py. A child grows with its calls, so that one with many behind it is relieved by a new one: that
registers first, and only then does the old one take its registration back, and goes once nobody can be on the way to it
any more. No call is lost over it, and none over a child that dies but the call that it held.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from adapter.softphone import commands, events
from adapter.softphone.message import clip
from adapter.softphone.worker import PhoneError, Worker

CALLS_BEFORE_RELIEF: Final = 100
"""PJSIP grows 25 to 50 KB a call; an idle child with that many behind it is relieved."""
UNDERWAY_S: Final = 5.0
"""How long a call may be on its way to a child that is no longer registered: the caller's adapter asked ours a moment
ago, and its phone gives an INVITE 4 s."""
BUSY: Final = 486


class Crew:
    """The children that run by one plan."""

    def __init__(self, plan: commands.Open, tell: Callable[[events.Event], None]) -> None:
        """`tell` gets every event, and may raise asyncio.QueueFull to have the child that sent it ended."""
        self._plan = plan
        self._tell = tell
        self.opened = events.Opened(at=0.0, address="")
        """Addresses and certificate of the child that takes the next call, or took the last."""
        self._worker: Worker | None = None
        self._elders: list[Worker] = []
        self._shunned: set[Worker] = set()
        self._registers = self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._relief: asyncio.Task[None] | None = None

    @property
    def worker(self) -> Worker:
        """The child that takes the next call; PhoneError where there is none."""
        if self._worker is None:
            raise PhoneError("the phone's process is not running")
        return self._worker

    @property
    def in_charge(self) -> Worker:
        """The child that has the call, else the one that takes the next; PhoneError where there is none."""
        held = [elder for elder in self._elders if elder.is_in_call and elder not in self._shunned]
        return held[0] if held else self.worker

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of all children that live."""
        return tuple(worker.pid for worker in self._all() if worker.is_running)

    async def begin(self) -> None:
        """Start the child that takes the next call, in the place of the one there was; PhoneError where it fails."""
        before, self._worker = self._worker, None
        if before is not None:
            await before.end()
        self._worker = await self._hire()
        self.opened = self._worker.opened
        if self._registers:
            await self._worker.register()

    async def register(self) -> events.Registered:
        """Register, now and after every change of the child; PhoneError with the status where it is refused."""
        self._registers = True
        return await self.worker.register()

    async def close(self) -> None:
        """Hang up, unregister and end every child."""
        self._is_closing = True
        if self._relief is not None:
            self._relief.cancel()
            await asyncio.gather(self._relief, return_exceptions=True)
        workers = self._all()
        self._worker, self._elders = None, []
        await asyncio.gather(*(worker.end() for worker in workers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _all(self) -> list[Worker]:
        return [*self._elders, *([self._worker] if self._worker is not None else [])]

    # ------------------------------------------------------------------ one child after the other

    async def _hire(self) -> Worker:
        worker = await Worker.start(self._plan, self._take)
        self._follow(self._watch(worker))
        return worker

    async def _watch(self, worker: Worker) -> None:
        """Wait for a child's end, and tell of it where nobody asked for it and somebody misses it."""
        reason = await asyncio.shield(worker.gone)
        in_call = worker.is_in_call and worker not in self._shunned
        self._shunned.discard(worker)
        if worker in self._elders:
            self._elders.remove(worker)
        if not worker.is_ending and (in_call or worker is self._worker):
            self._tell(events.ChildDied(at=time.monotonic(), reason=clip(reason), in_call=in_call))

    async def _relieve(self) -> None:
        """Put a new child in the place of the one there is; where none comes up, all stays as it was."""
        elder = self.worker
        with contextlib.suppress(PhoneError):
            worker = await self._hire()
            try:
                if self._registers:
                    await worker.register()
            except BaseException:
                await worker.end()
                raise
            if self._worker is not elder:  # it died meanwhile and has a successor
                await worker.end()
                return
            self._worker, self.opened = worker, worker.opened
            self._elders.append(elder)
            self._follow(self._see_off(elder))

    async def _see_off(self, elder: Worker) -> None:
        """Let a child that was relieved take back its registration, and end it when no call can come to it any more."""
        with contextlib.suppress(PhoneError):
            if elder.is_registered:
                await elder.ask(commands.Unregister())
            await asyncio.sleep(UNDERWAY_S)
            while elder.is_in_call and elder.is_running:
                await asyncio.wait({elder.gone}, timeout=UNDERWAY_S)
        await elder.end()

    # ------------------------------------------------------------------ what the children tell

    def _take(self, worker: Worker, event: events.Event) -> None:
        match event:
            case events.Incoming() if any(one.is_in_call for one in self._all() if one is not worker):
                self._shunned.add(worker)
                self._follow(self._refuse(worker))
                return
            case events.Ended():
                self._consider_relief(worker)
                if worker in self._shunned:
                    self._shunned.discard(worker)
                    return
        if worker not in self._shunned:
            self._tell(event)

    async def _refuse(self, worker: Worker) -> None:
        with contextlib.suppress(PhoneError):  # the caller gave up by himself
            await worker.ask(commands.Answer(status=BUSY))

    def _consider_relief(self, worker: Worker) -> None:
        is_due = worker is self._worker and worker.calls >= CALLS_BEFORE_RELIEF and not self._is_closing
        if is_due and (self._relief is None or self._relief.done()):
            self._relief = self._follow(self._relieve())

    def _follow(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
