"""Whom a device joins through: the fresh addresses as well as the old ones, and nobody left out for ever."""

import asyncio
import random

import pytest

from adapter.acquaintances import FIRST_OF_CACHE, JOIN_CONTACTS, REWRITE_AFTER_S, Acquaintances
from adapter.state import MAX_PEERS, StateDir
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import Peer, RingId
from tests.support.members import TestOverlay
from tests.support.network import Network

ME = RingId(1 << 100)
SERVER = Peer(id=RingId((1 << 160) - 1), host="192.0.2.1", port=5480)
CACHED = [Peer(id=RingId(number), host="127.0.0.1", port=4000 + number) for number in range(MAX_PEERS)]


@pytest.fixture
def state(tmp_path):
    with StateDir(tmp_path / "state") as state:
        yield state


class Disk:
    """The peer cache of a state directory that counts how often it is written, under a clock that the test moves."""

    def __init__(self, state):
        self.now, self.state, self.writes = 1000.0, state, 0
        self.is_full = False

    def save_peers(self, peers, *, own_port):
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.writes += 1
        self.state.save_peers(peers, own_port=own_port)

    def load_peers(self):
        return self.state.load_peers()

    def kept(self):
        return set(self.state.load_peers())


@pytest.fixture
def disk(state):
    return Disk(state)


@pytest.fixture
def writer(disk):
    return Acquaintances(disk, clock=lambda: disk.now)


def acquaintances(state, seed=1) -> Acquaintances:
    return Acquaintances(state, dice=random.Random(seed))


def moved(peer: Peer) -> Peer:
    return Peer(id=peer.id, host="10.9.9.9", port=peer.port)


def test_a_node_known_at_two_addresses_is_tried_at_both(state):
    state.save_peers(CACHED[:5])
    tried = acquaintances(state).contacts([moved(peer) for peer in CACHED[:5]], me=ME)
    assert set(tried) == {*CACHED[:5], *map(moved, CACHED[:5])}
    assert len(tried) == 10
    assert set(tried[:5]) == set(CACHED[:5])


def test_neither_this_node_nor_anybody_twice(state):
    own = Peer(id=ME, host="10.0.0.3", port=5480)
    state.save_peers([own, *CACHED[:3]])
    tried = acquaintances(state).contacts([moved(own), *CACHED[:3]], me=ME)
    assert sorted(tried) == CACHED[:3]


def test_whom_the_server_named_is_tried_at_once_whatever_is_cached(state):
    state.save_peers(CACHED)
    tried = acquaintances(state).contacts([SERVER], me=ME)
    assert len(tried) == JOIN_CONTACTS
    assert tried.index(SERVER) == FIRST_OF_CACHE


def test_everybody_is_tried_before_anybody_is_a_second_time_and_then_it_begins_anew(state):
    state.save_peers(CACHED)
    known = acquaintances(state)
    for _ in range(3):
        turns = [known.contacts([SERVER], me=ME) for _ in range(-(-(MAX_PEERS + 1) // JOIN_CONTACTS))]
        assert all(len(turn) == len(set(turn)) == JOIN_CONTACTS for turn in turns)
        assert set().union(*turns) == {SERVER, *CACHED}


def test_devices_with_the_same_cache_knock_at_different_doors(state):
    state.save_peers(CACHED)
    firsts = {frozenset(acquaintances(state, seed).contacts([], me=ME)[:FIRST_OF_CACHE]) for seed in range(10)}
    assert len(firsts) == 10
    assert len(set().union(*firsts)) > MAX_PEERS * 3 // 4


def test_a_damaged_cache_leaves_those_that_the_server_named(state):
    (state.path / "peers.json").write_text("{")
    assert acquaintances(state).contacts([SERVER], me=ME) == [SERVER]


def test_a_ring_that_was_renumbered_is_found_again_without_the_bootstrap_server(state):
    network = Network(seed=4)
    overlay = TestOverlay(clock=network.clock, seed=4)

    async def program():
        rings = [overlay.ring() for _ in range(6)]
        for number, ring in enumerate(rings):
            await ring.open(f"10.0.1.{number + 1}")
            await ring.join([rings[0].me] if number else [])
        # what the server named a month ago: the same nodes where they are no more, and the server, which is none now
        named = [SERVER, *(moved(ring.me) for ring in rings)]
        state.save_peers(rings[0].seeds())
        back = overlay.ring()
        await back.open("10.0.1.99")
        with pytest.raises(RingUnreachable):
            await back.join(named)
        await back.join(acquaintances(state).contacts(named, me=back.me.id))
        assert back.size() == len(rings) + 1
        await asyncio.gather(*(ring.close() for ring in [*rings, back]))

    network.run(program())


def test_whom_a_node_has_known_longest_it_names_first():
    network = Network(seed=5)
    overlay = TestOverlay(clock=network.clock, seed=5)

    async def program():
        async with overlay.running(8, host="10.0.0.1") as rings:
            first = rings[0]
            since = [first.since(peer) for peer in first.seeds()]
            assert len(since) == 7
            assert since == sorted(since)
            assert sorted(first.seeds()) == first.peers() != first.seeds()

    network.run(program())


def test_what_did_not_change_is_not_written_again(disk, writer):
    for _ in range(100):
        disk.now += 60
        writer.keep(CACHED[:5], own_port=5480)
        writer.keep(CACHED[4::-1], own_port=5480)
    assert disk.writes == 1


def test_a_new_node_a_new_address_and_a_new_port_are_written_at_once(disk, writer):
    writer.keep(CACHED[:5], own_port=5480)
    writer.keep(CACHED[:6], own_port=5480)
    assert disk.kept() == set(CACHED[:6])
    writer.keep([*CACHED[:5], moved(CACHED[5])], own_port=5480)
    assert disk.kept() == {*CACHED[:5], moved(CACHED[5])}
    writer.keep([*CACHED[:5], moved(CACHED[5])], own_port=5481)
    assert (disk.writes, disk.state.load_own_port()) == (4, 5481)


def test_one_that_falls_silent_and_speaks_again_costs_no_write(disk, writer):
    writer.keep(CACHED[:5], own_port=5480)
    for _ in range(100):
        disk.now += REWRITE_AFTER_S / 10
        writer.keep(CACHED[:4], own_port=5480)
        disk.now += REWRITE_AFTER_S / 10
        writer.keep(CACHED[:5], own_port=5480)
    assert disk.writes == 1


def test_who_stays_silent_is_left_out_in_the_end_and_when_this_node_leaves(disk, writer):
    writer.keep(CACHED[:5], own_port=5480)
    disk.now += 10 * REWRITE_AFTER_S
    writer.keep(CACHED[:4], own_port=5480)
    assert disk.kept() == set(CACHED[:5])
    disk.now += REWRITE_AFTER_S
    writer.keep(CACHED[:4], own_port=5480)
    assert disk.kept() == set(CACHED[:4])
    writer.keep(CACHED[:3], own_port=5480, at_once=True)
    assert disk.kept() == set(CACHED[:3])


def test_a_full_cache_is_written_no_oftener_than_it_must(disk, writer):
    more = [moved(peer) for peer in CACHED]
    writer.keep([*CACHED, *more], own_port=5480)
    for number in range(62):
        disk.now += 1
        writer.keep([*CACHED[number + 1 :], *more], own_port=5480)
    # each of these changed second by second: what is 30 s old is written, and the next is news again
    assert disk.writes == 1 + 2


def test_nobody_known_is_not_written_and_a_full_disk_is_tried_again(disk, writer):
    writer.keep([], own_port=5480, at_once=True)
    disk.is_full = True
    writer.keep(CACHED[:5], own_port=5480)
    assert disk.writes == 0
    disk.is_full = False
    writer.keep(CACHED[:5], own_port=5480)
    assert disk.kept() == set(CACHED[:5])


@pytest.mark.parametrize("living", [3, MAX_PEERS])
def test_where_the_ring_of_one_family_is_lost_those_known_there_stay_written_down(disk, writer, living):
    six = [Peer(id=peer.id, host="fd00::7", port=peer.port) for peer in CACHED[:4]]
    writer.keep([*CACHED[:3], *six], own_port=5480)
    again = Acquaintances(disk, clock=lambda: disk.now)
    for _ in range(3):
        disk.now += 2 * REWRITE_AFTER_S
        again.keep(CACHED[:living], own_port=5480, lost={True})
        assert disk.kept() >= {*six, *CACHED[:3]}
    assert len(disk.kept()) == min(living + len(six), MAX_PEERS)
    again.keep([*CACHED[:living]], own_port=5480, at_once=True)
    assert disk.kept() == set(CACHED[:living])
