"""The child processes of one phone: one that takes the next call, and those that it relieved.

I/O: through worker.py. A child grows with its calls, so that one with many behind it is relieved by a new one: that
registers first, and only then does the old one take its registration back, and goes once nobody can be on the way to it
any more. No call is lost over it, and none over a child that dies but the call that it held.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
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
SPARE_LINES: Final = 1
"""Free lines of a child at which the next one is started, so that it is there before they are taken: it needs half a
second, and who calls in a burst that is quicker hears busy."""


class Crew:
    """The children that run by one plan."""

    def __init__(self, plan: commands.Open, tell: Callable[[events.Event], None], *, lines: int) -> None:
        """`tell` gets every event, and may raise asyncio.QueueFull to have the child that sent it ended.

        `lines` calls at a time are taken, a few by each child.
        """
        self._plan = plan
        self._lines = lines
        self._serials = itertools.count()
        self._tell = tell
        self.opened = events.Opened(at=0.0, address="")
        """Addresses and certificate of the child that takes the next call, or took the last."""
        self._worker: Worker | None = None
        self._elders: list[Worker] = []
        self._shunned: set[int] = set()
        self._registers = self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._relief: asyncio.Task[None] | None = None

    @property
    def worker(self) -> Worker:
        """The child that takes the next call; PhoneError where there is none."""
        if self._worker is None:
            raise PhoneError("the phone's process is not running")
        return self._worker

    def of(self, call: int) -> Worker:
        """Find the child that has a call; with 0 the one that has any, else the one that takes the next.

        PhoneError where there is none.
        """
        if call:
            found = [worker for worker in self._all() if worker.has(call)]
            if not found:
                raise PhoneError("the phone's process of that call is gone")
            return found[0]
        held = [elder for elder in self._elders if elder.live - self._shunned]
        return held[0] if held else self.worker

    @property
    def live(self) -> set[int]:
        """The numbers of all calls that are up or on their way."""
        return set().union(*(worker.live for worker in self._all())) - self._shunned

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
        """Start a child with as many lines as are left."""
        lines = max(1, min(commands.MAX_LINES, self._lines - len(self.live)))
        worker = await Worker.start(replace(self._plan, lines=lines), self._take, next(self._serials))
        self._follow(self._watch(worker))
        return worker

    async def _watch(self, worker: Worker) -> None:
        """Wait for a child's end, and tell of it where nobody asked for it and somebody misses it."""
        reason = await asyncio.shield(worker.gone)
        calls = tuple(sorted(worker.live - self._shunned))
        self._shunned -= worker.live
        if worker in self._elders:
            self._elders.remove(worker)
        if not worker.is_ending and (calls or worker is self._worker):
            worker.live.clear()
            died = events.ChildDied(at=time.monotonic(), reason=clip(reason), in_call=bool(calls), calls=calls)
            self._tell(died)

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
        number = event.call if isinstance(event, events.CallEvent) else 0
        match event:
            case events.Missed():
                pass
            case events.Incoming() if len(self.live) > self._lines:
                self._shunned.add(number)
                self._follow(self._refuse(worker, number))
                fields = {part.name: getattr(event, part.name) for part in dataclasses.fields(event)}
                self._tell(events.Missed(**fields))
                return
            case events.Ended() if number in self._shunned:
                self._shunned.discard(number)
                return
        self._consider_relief(worker)
        if number not in self._shunned:
            self._tell(event)

    async def _refuse(self, worker: Worker, number: int) -> None:
        with contextlib.suppress(PhoneError):  # the caller gave up by himself
            await worker.ask(commands.Answer(call=number, status=BUSY))

    def _consider_relief(self, worker: Worker) -> None:
        """Start the next child where this one has grown and is idle, or has hardly a line left and more are allowed."""
        if worker is not self._worker or self._is_closing or (self._relief is not None and not self._relief.done()):
            return
        has_grown = worker.calls >= CALLS_BEFORE_RELIEF and not worker.live
        is_more_allowed = self._lines > worker.lines + len(self.live - worker.live)
        is_full = is_more_allowed and len(worker.live) >= max(1, worker.lines - SPARE_LINES)
        if has_grown or is_full:
            self._relief = self._follow(self._relieve())

    def _follow(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
