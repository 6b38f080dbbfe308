"""One node in the rings of both families: what it finds, whom it reaches, and what others see of it."""

from __future__ import annotations

import asyncio
import random

import pytest

from overlay.errors import LocalError
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import Peer, RingId
from overlay.ring.two_rings import LATE_S, MAX_REMEMBERED, TwoRings, staggered
from overlay.trust.identity import PrivateBundle
from overlay.trust.tombstone import Tombstone
from tests.support.families import BOTH, FOUR, SIX, cut_off, member, mixed
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network


def world(seed: int, **options) -> tuple[Network, TestOverlay]:
    network = Network(seed=seed, **options)
    return network, TestOverlay(clock=network.clock, seed=seed)


def in_family(nodes, host) -> list:
    """Return the rings at addresses of one family."""
    return [view for node in nodes for view in node.views if (":" in view.me.host) is (":" in host)]


@pytest.mark.parametrize(("both", "four", "six"), [(1, 0, 0), (5, 0, 0), (3, 8, 8), (1, 6, 0), (6, 2, 10)])
def test_each_family_is_an_exact_ring_of_its_own(both, four, six):
    network, overlay = world(1)

    async def program():
        async with mixed(overlay, both=both, four=four, six=six) as nodes:
            for host, count in ((FOUR, both + four), (SIX, both + six)):
                rings = in_family(nodes, host)
                ids = sorted(ring.me.id for ring in rings)
                assert len(ids) == count
                for ring in rings:
                    place = RingId(network.rng.getrandbits(160))
                    found = await ring.find_successor(place)
                    assert found.id == min((one for one in ids if one >= place), default=ids[0])
                    assert (":" in found.host) is (":" in host)

    network.run(program())


def test_a_node_in_both_counts_once():
    network, overlay = world(2)

    async def program():
        async with mixed(overlay, both=3, four=2, six=2) as nodes:
            node = nodes[1]
            assert [peer.id for peer in node.peers()] == sorted({other.me.id for other in nodes} - {node.me.id})
            assert node.me == node.views[0].me
            assert len(node.seeds()) == 2 + 2 + 2 + 2
            assert {(":" in peer.host) for peer in node.seeds()[:2]} == {True, False}
            counted = node.counters()
            assert counted["ring: asked find_node"] == sum(
                view.counters()["ring: asked find_node"] for view in node.views
            )

    network.run(program())


def test_lines_reach_whoever_has_a_family_in_common_whatever_the_record_names():
    network, overlay = world(3)

    async def program():
        async with mixed(overlay, both=2, four=1, six=1) as nodes:
            first, second, four, six = nodes
            heard = {}
            for name, node in zip(("first", "second", "four", "six"), nodes, strict=True):
                node.on_line = lambda sender, line, name=name: heard.setdefault(name, []).append((sender.id, line))
            # a record names the first address, which the one with IPv6 alone has no way to
            assert await six.deliver(first.me, b"a")
            assert await four.deliver(first.me, b"b")
            assert await second.deliver(first.me, b"c")
            assert await first.deliver(six.me, b"d")
            assert await first.deliver(four.me, b"e")
            assert not await four.deliver(six.me, b"f")
            assert not await six.deliver(four.me, b"g")
            assert heard == {
                "first": [(six.me.id, b"a"), (four.me.id, b"b"), (second.me.id, b"c")],
                "six": [(first.me.id, b"d")],
                "four": [(first.me.id, b"e")],
            }

    network.run(program())


@pytest.mark.parametrize("broken", BOTH)
def test_a_line_goes_over_the_family_that_works_and_over_that_one_first_the_next_time(broken):
    network, overlay = world(4)

    async def program():
        async with mixed(overlay, both=3) as nodes:
            caller, callee = nodes[1:]
            heard = []
            callee.on_line = lambda _sender, line: heard.append(line)
            cut_off(network, callee, broken)
            loop = asyncio.get_running_loop()
            took = []
            for line in (b"first", b"second"):
                began = loop.time()
                assert await caller.deliver(callee.me, line)
                took.append(loop.time() - began)
            assert heard == [b"first", b"second"]
            assert took[0] < LATE_S + 0.1
            assert took[1] < 0.1
            # and back again, when the other one is what works
            cut_off(network, callee, next(host for host in BOTH if host != broken))
            assert await caller.deliver(callee.me, b"third")
            assert heard[2:] == [b"third"]

    network.run(program())


def test_a_line_that_comes_over_both_is_heard_once_and_a_later_one_again():
    network, overlay = world(5)

    async def program():
        async with mixed(overlay, both=2) as nodes:
            sender, target = nodes
            heard = []
            target.on_line = lambda _sender, line: heard.append(line)
            for there, here in zip(target.views, sender.views, strict=True):
                assert await here.deliver(there.me, b"same")
            assert heard == [b"same"]
            assert target.counters()["families: line came over both"] == 1
            await asyncio.sleep(5)
            assert await sender.deliver(target.me, b"same")
            assert heard == [b"same", b"same"]
            for number in range(MAX_REMEMBERED + 10):
                target._take_line(sender.me, b"%d" % number)
            assert len(target._lines) == MAX_REMEMBERED
            target.on_line = None
            assert not await sender.deliver(target.me, b"nobody listens")

    network.run(program())


def test_pieces_lie_at_their_places_in_each_ring_and_come_from_both():
    network, overlay = world(6)

    async def program():
        async with mixed(overlay, both=4, four=5, six=5) as nodes:
            user = PrivateBundle.generate()
            pieces, share_list = overlay.pieces(user, "bob"), overlay.share_list(user, "bob")
            placed = await nodes[0].put("bob", pieces, overlay.record(user, "bob"), share_list=share_list)
            assert sorted(placed) == [1, 2, 3, 4, 5, 6, 7]
            for view in (*nodes[0].views, nodes[-1], nodes[5]):
                held = await view.get("bob")
                assert {piece.index for holding in held.values() for piece in holding.pieces} == set(range(1, 8))
                assert len(held) >= 7
            everywhere = await nodes[1].get("bob")
            assert {":" in peer.host for peer in everywhere} == {True, False}

    network.run(program())


def test_a_tombstone_reaches_the_holders_in_each_ring_and_who_is_in_both_counts_once():
    network, overlay = world(7)

    async def program():
        async with mixed(overlay, both=4, four=5, six=5) as nodes:
            user = PrivateBundle.generate()
            pieces, share_list = overlay.pieces(user, "bob"), overlay.share_list(user, "bob")
            await nodes[0].put("bob", pieces, overlay.record(user, "bob"), share_list=share_list)
            holders = await nodes[0].get("bob")
            stone = Tombstone.issue(
                user, overlay=OVERLAY, aor="bob", generation=1, bundle=user.public, issued_at=1_000_000
            )
            assert await nodes[1].bury(stone) == {peer.id for peer in holders}
            for holding in (await nodes[2].get("bob")).values():
                assert (holding.tombstone, holding.record) == (stone, None)

    network.run(program())


@pytest.mark.parametrize("alone", [0, 1])
def test_who_leaves_both_hands_over_and_says_goodbye_in_both(alone):
    network, overlay = world(7)

    async def program():
        async with mixed(overlay, both=3, six=alone) as nodes:
            leaving = nodes.pop(1)
            user = PrivateBundle.generate()
            (piece, *_), share_list = overlay.pieces(user, "bob"), overlay.share_list(user, "bob")
            assert await leaving.store_at(leaving.me, piece, overlay.record(user, "bob"), share_list=share_list)
            gone = leaving.me.id
            await leaving.leave()
            assert not any(peer.id == gone for node in nodes for peer in node.peers())
            holders = [node for node in nodes if ("bob", piece.index) in node.held()]
            assert 1 <= len(holders) <= 1 + alone, "a second time only for a ring with others in it"

    network.run(program())


def test_a_ring_without_contacts_is_begun_and_one_that_nobody_answers_for_is_told():
    network, overlay = world(8)

    async def program():
        async with mixed(overlay, both=2, four=1) as nodes:
            newcomer = await member(overlay, BOTH)
            await newcomer.join([nodes[2].me])
            assert [len(view.peers()) for view in newcomer.views] == [3, 0]
            nobody = Peer(id=RingId(7), host=FOUR, port=9)
            other = await member(overlay, BOTH)
            with pytest.raises(RingUnreachable):
                await other.join([nobody])
            six = await member(overlay, (SIX,))
            with pytest.raises(RingUnreachable):
                await six.join([nodes[2].me])
            for node in (newcomer, other, six):
                await node.close()

    network.run(program())


def test_two_rings_are_one_node_at_an_address_of_each_family():
    network, overlay = world(9)

    async def program():
        identity = overlay.identity()
        rings = [overlay.ring(identity), overlay.ring(identity), overlay.ring()]
        for ring, host in zip(rings, (FOUR, FOUR, SIX), strict=True):
            await ring.open(host)
        for pair in (rings[:2], rings[1:]):
            with pytest.raises(LocalError):
                TwoRings(*pair)
        for ring in rings:
            await ring.close()

    network.run(program())


def test_the_second_try_begins_when_the_first_is_late_or_not_enough():
    network = Network()

    async def program():
        loop, begun, ended = asyncio.get_running_loop(), [], []

        def attempt(name, seconds, value):
            async def run():
                begun.append((name, round(loop.time() - start, 2)))
                try:
                    await asyncio.sleep(seconds)
                except asyncio.CancelledError:
                    ended.append(name)
                    raise
                return value

            return run

        for first, second, value, at in (
            ((0.1, "good"), (9, "good"), ["good"], None),  # early enough: alone
            ((0.1, "bad"), (0.1, "good"), ["bad", "good"], 0.1),  # not enough: the next at once
            ((9, "good"), (0.1, "good"), ["good"], LATE_S),  # late: beside it, and the first that is enough ends it
            ((0.5, "good"), (9, "good"), ["good"], LATE_S),
            ((0.5, "bad"), (0.1, "bad"), ["bad", "bad"], LATE_S),  # nothing is enough: all that came
        ):
            begun.clear()
            start = loop.time()
            tries = [attempt("first", *first), attempt("second", *second)]
            assert await staggered(tries, enough=lambda end: end == "good") == value
            assert begun == [("first", 0.0)] + ([] if at is None else [("second", at)])
        assert ended == ["first", "second"]
        waiting = asyncio.ensure_future(staggered([attempt("mine", 9, "good")] * 2, enough=bool))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert ended[2:] == ["mine", "mine"]

    network.run(program())


def test_under_loss_both_rings_stay_exact():
    network, overlay = world(10, loss=0.05)

    async def program():
        async with mixed(overlay, both=6, four=6, six=6) as nodes:
            dice = random.Random(10)
            await asyncio.sleep(30)
            for host in BOTH:
                rings = in_family(nodes, host)
                ids = sorted(ring.me.id for ring in rings)
                for _ in range(40):
                    place = RingId(dice.getrandbits(160))
                    found = await dice.choice(rings).find_successor(place)
                    assert found.id == min((one for one in ids if one >= place), default=ids[0])

    network.run(program())
