"""A crowd of questions leaves bit by bit, so that the answers find room where they arrive."""

from __future__ import annotations

import asyncio

import pytest

from overlay.errors import LocalError
from overlay.ring.calls import MAX_CALLS
from overlay.ring.retransmission import QUICK
from overlay.ring.rpc import METHODS
from overlay.ring.window import ON_THE_WIRE, QUESTIONS, Window
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"
CROWD = 600


def ident(number: int) -> bytes:
    return number.to_bytes(20, "big")


def test_who_comes_first_leaves_first_and_everybody_leaves_once():
    window: Window[int] = Window(2)
    assert [window.enter(ident(number), number) for number in range(5)] == [True, True, False, False, False]
    assert list(window.leaving()) == []
    window.leave(ident(1))
    assert list(window.leaving()) == [2]
    window.leave(ident(0))
    window.leave(ident(2))
    window.leave(ident(2))
    assert list(window.leaving()) == [3, 4]
    assert len(window) == 0


def test_who_waits_no_longer_never_leaves():
    window: Window[int] = Window(1)
    for number in range(3):
        window.enter(ident(number), number)
    window.leave(ident(1))
    window.leave(ident(0))
    assert list(window.leaving()) == [2]


def test_nobody_overtakes_those_who_wait():
    window: Window[int] = Window(1)
    window.enter(ident(0), 0)
    window.enter(ident(1), 1)
    window.leave(ident(0))
    assert not window.enter(ident(2), 2)
    assert list(window.leaving()) == [1]


def test_only_questions_of_look_ups_wait():
    assert set(METHODS) > QUESTIONS
    assert QUESTIONS.isdisjoint({"line", "leave", "store", "release", "ping"})


def test_no_answer_to_a_crowd_of_questions_is_lost_before_a_small_buffer():
    network = Network(seed=1, delay_s=(0.009, 0.011))
    overlay = TestOverlay(clock=network.clock)

    async def program():
        asked, _ = await hostile_member(overlay, HOST, fetch=lambda *_: True)
        me, asking = await hostile_member(overlay, HOST)
        await asking.request(asked.address, asked.id, "ping", b"")

        def is_full(_source, target):
            return target == me.address and sum(way[4] == target for way in network._under_way) >= ON_THE_WIRE

        network.cut = is_full
        answers = await asyncio.gather(
            *(asking.request(asked.address, asked.id, "fetch", b"alice", number) for number in range(CROWD))
        )
        again = asking.counters["sent again"]
        await asking.close()
        return answers, again

    answers, again = network.run(program())
    assert answers == [(True, True)] * CROWD
    assert again == 0


def test_a_crowd_of_questions_to_the_dead_keeps_nobody_waiting_for_long():
    network = Network(seed=2)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        living, _ = await hostile_member(overlay, HOST, fetch=lambda *_: True)
        dead, dying = await hostile_member(overlay, HOST)
        _, asking = await hostile_member(overlay, HOST)
        for peer in (living, dead):
            await asking.request(peer.address, peer.id, "ping", b"")
        await dying.close()
        crowd = [asking.request(dead.address, dead.id, "fetch", b"alice", number) for number in range(2 * ON_THE_WIRE)]
        began = network.clock()
        answer = await asking.request(living.address, living.id, "fetch", b"alice", 1)
        took_s = network.clock() - began
        silent = await asyncio.gather(*crowd)
        await asking.close()
        return answer, took_s, silent

    answer, took_s, silent = network.run(program())
    assert answer == (True, True)
    # twice as long as somebody silent is asked
    assert took_s < 2 * QUICK.limit_s
    assert silent == [(False, None)] * (2 * ON_THE_WIRE)


def test_who_gives_up_leaves_nothing_and_the_rest_goes_on():
    network = Network(seed=3)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        asked, _ = await hostile_member(overlay, HOST, fetch=lambda *_: True)
        _, asking = await hostile_member(overlay, HOST)
        crowd = [asking.request(asked.address, asked.id, "fetch", b"alice", number) for number in range(CROWD)]
        for question in crowd[:-1]:
            question.cancel()
        answer = await crowd[-1]
        left = len(asking._window), len(asking._calls), len(asking._outstanding)
        await asking.close()
        return answer, left

    assert network.run(program()) == ((True, True), (0, 0, 0))


def test_closing_ends_those_who_wait_too():
    network = Network(seed=4)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        asked, _ = await hostile_member(overlay, HOST)
        _, asking = await hostile_member(overlay, HOST)
        crowd = [asking.request(asked.address, asked.id, "fetch", b"alice", number) for number in range(CROWD)]
        await asking.close()
        return await asyncio.gather(*crowd)

    assert network.run(program()) == [(False, None)] * CROWD


def test_a_crowd_without_end_is_an_error_of_our_own():
    network = Network(seed=5)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        asked, _ = await hostile_member(overlay, HOST)
        _, asking = await hostile_member(overlay, HOST)
        for number in range(MAX_CALLS + ON_THE_WIRE):
            asking.request(asked.address, asked.id, "fetch", b"alice", number)
        with pytest.raises(LocalError, match="wait for their turn"):
            asking.request(asked.address, asked.id, "fetch", b"alice", 0)
        # a call and a goodbye wait for nobody's questions
        under_way = len(asking._calls)
        asking.request(asked.address, asked.id, "line", b"hello")
        asking.request(asked.address, asked.id, "leave")
        assert len(asking._calls) == under_way + 2
        await asking.close()

    network.run(program())
