"""A node's one timer: early is harmless, late lets the socket speak first, and always late still rings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from overlay.ring.alarm import MAX_LAG_S, Alarm


@dataclass
class Handle:
    due: float
    call: object
    arguments: tuple
    is_cancelled: bool = False

    def when(self) -> float:
        return self.due

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Loop:
    """An event loop that is as late as it is told to be."""

    now: float = 100.0
    timers: list[Handle] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, due, call, *arguments) -> Handle:
        self.timers.append(Handle(due, call, arguments))
        return self.timers[-1]

    def fire(self, *, late_s: float) -> None:
        handle = min((one for one in self.timers if not one.is_cancelled), key=Handle.when)
        self.timers.remove(handle)
        self.now = max(self.now, handle.due + late_s)
        handle.call(*handle.arguments)


@pytest.fixture
def loop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return loop


def test_a_deadline_rings_once(loop):
    rung = []
    alarm = Alarm(lambda: rung.append(loop.now))
    alarm.set(101.0)
    alarm.set(102.0)
    loop.fire(late_s=0.001)
    assert rung == [101.001]
    assert loop.timers == []


def test_a_process_that_was_held_up_reads_its_socket_before_it_gives_anybody_up(loop):
    rung = []
    alarm = Alarm(lambda: rung.append(loop.now))
    alarm.set(101.0)
    loop.fire(late_s=3.0)
    assert rung == []
    loop.fire(late_s=0.0)
    assert rung == [pytest.approx(104.0 + MAX_LAG_S)]


def test_a_process_that_is_always_late_still_rings_and_is_put_off_once_each_time(loop):
    rung = []
    alarm = Alarm(lambda: rung.append(loop.now))
    for _ in range(3):
        alarm.set(loop.now + 1.0)
        # somebody else's earlier deadline must not begin the patience anew
        loop.fire(late_s=2 * MAX_LAG_S)
        alarm.set(loop.now)
        loop.fire(late_s=2 * MAX_LAG_S)
    assert len(rung) == 3
