"""Faults A3, A4, A7 and A23: contacts in answers are checked before anything is done with them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kademlia.crawling import NodeSpiderCrawl, ValueSpiderCrawl
from kademlia.node import Node

from overlay.errors import RemoteError
from overlay.ring.contacts import MAX_CONTACTS, decode_contacts, encode_contacts
from overlay.ring.ids import Peer, RingId
from overlay.ring.rpc import packed_size
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

ME = Peer(id=RingId(1), host="127.0.0.1", port=4000)
GOOD = [bytes([9]) * 20, "127.0.0.1", 4001]

UNSOUND = {
    "port too high": [[bytes([9]) * 20, "127.0.0.1", 70_000]],
    "port zero": [[bytes([9]) * 20, "127.0.0.1", 0]],
    "port negative": [[bytes([9]) * 20, "127.0.0.1", -1]],
    "port true": [[bytes([9]) * 20, "127.0.0.1", True]],
    "port text": [[bytes([9]) * 20, "127.0.0.1", "4001"]],
    "port float": [[bytes([9]) * 20, "127.0.0.1", 4001.0]],
    "host name": [[bytes([9]) * 20, "localhost", 4001]],
    "host number": [[bytes([9]) * 20, 2_130_706_433, 4001]],
    "host nothing": [[bytes([9]) * 20, None, 4001]],
    "host list": [[bytes([9]) * 20, ["127.0.0.1"], 4001]],
    "host broadcast": [[bytes([9]) * 20, "255.255.255.255", 4001]],
    "host multicast": [[bytes([9]) * 20, "224.0.0.251", 4001]],
    "host wildcard": [[bytes([9]) * 20, "0.0.0.0", 4001]],
    "id empty": [[b"", "127.0.0.1", 4001]],
    "id too long": [[bytes(21), "127.0.0.1", 4001]],
    "id number": [[9, "127.0.0.1", 4001]],
    "id text": [["9" * 20, "127.0.0.1", 4001]],
    "two fields": [[bytes([9]) * 20, "127.0.0.1"]],
    "four fields": [[*GOOD, None]],
    "twice": [GOOD, GOOD],
    "too many": [[bytes([number]) * 20, "127.0.0.1", 4001] for number in range(2, MAX_CONTACTS + 3)],
    "number": 7,
    "nothing": None,
    "bytes": b"contacts",
    "list of numbers": [1, 2, 3],
    "nested": [[[[]]]],
}


class LyingProtocol:
    """The library's protocol as its spiders see it: every answer is the same."""

    def __init__(self, answer):
        self.answer = answer

    async def call_find_node(self, node, target):
        return True, self.answer

    call_find_value = call_find_node


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([[7, "10.0.0.1", 1]], AttributeError),
        ([[b"", "10.0.0.1", 1]], ValueError),
        ([[bytes(20), "10.0.0.1", 1, 2]], TypeError),
        (7, TypeError),
        ({"no": "value"}, KeyError),
        ({"value": []}, TypeError),
    ],
)
def test_a07_stock_look_up_raises_what_an_answer_makes_it_raise(answer, error):
    spider = ValueSpiderCrawl(LyingProtocol(answer), Node(bytes(20)), [Node(bytes([5]) * 20, "10.0.0.1", 1)], 20, 3)
    with pytest.raises(error):
        asyncio.run(spider.find())


def test_a03_a04_stock_hands_unsound_contacts_on():
    lie = [[bytes(21), 7, 70_000]]
    asked = []

    class Recording(LyingProtocol):
        async def call_find_node(self, node, target):
            asked.append(tuple(node))
            return True, self.answer

    spider = NodeSpiderCrawl(Recording(lie), Node(bytes(20)), [Node(bytes([5]) * 20, "10.0.0.1", 1)], 20, 3)
    asyncio.run(spider.find())
    assert (bytes(21), 7, 70_000) in asked


@pytest.mark.parametrize("name", UNSOUND)
def test_a03_a07_ours_refuses_the_whole_answer(name):
    with pytest.raises(RemoteError):
        decode_contacts(UNSOUND[name], me=ME)


@given(st.recursive(st.none() | st.integers() | st.binary() | st.text() | st.floats(), st.lists, max_leaves=20))
def test_a07_anything_is_contacts_or_a_remote_error(value):
    try:
        contacts = decode_contacts(value, me=ME)
    except RemoteError:
        return
    assert all(isinstance(contact, Peer) for contact in contacts)


def test_we_are_no_contact_of_ours_and_ipv6_is_none_of_an_ipv4_socket():
    value = [
        [bytes(19) + b"\1", "127.0.0.1", 5000],
        [bytes([8]) * 20, "127.0.0.1", 4000],
        [bytes([7]) * 20, "::1", 4001],
        GOOD,
    ]
    assert [contact.port for contact in decode_contacts(value, me=ME)] == [4001]


@pytest.mark.parametrize(("own", "port"), [("fe80::7", 4003), ("2001:db8::7", 4002), ("::1", 4002)])
def test_addresses_of_a_link_are_contacts_on_a_link_alone(own, port):
    value = [
        [bytes([1]) * 20, "127.0.0.1", 4001],
        [bytes([2]) * 20, "2001:db8::2", 4002],
        [bytes([3]) * 20, "fe80::3", 4003],
    ]
    contacts = decode_contacts(value, me=Peer(id=RingId(9), host=own, port=4000))
    assert [contact.port for contact in contacts] == [port]


def test_a_scope_of_somebody_else_is_refused():
    with pytest.raises(RemoteError):
        decode_contacts([[bytes([3]) * 20, "fe80::3%eth0", 4003]], me=Peer(id=RingId(9), host="fe80::7", port=4000))


@pytest.mark.parametrize("host", ["10.100.100.100", "2001:db8:1111:2222:3333:4444:5555:6666"])
def test_an_answer_stays_below_1200_bytes(host):
    nodes = [Node(bytes([number]) * 20, host, 65_535) for number in range(30)]
    contacts = encode_contacts(nodes)
    assert packed_size(contacts) < 1150
    assert len(contacts) == (MAX_CONTACTS if "." in host else 16)


def test_a03_a07_ours_lives_through_every_unsound_answer():
    """In this network a datagram to what is no address fails the test, as it would close a real socket."""
    network = Network(seed=1)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        async with overlay.running(4, host="10.0.0.1") as rings:
            liars = []
            for lie in UNSOUND.values():
                liars.append(await hostile_member(overlay, "10.0.0.2", find_node=lambda *_, lie=lie: lie))
                await liars[-1][1].request(rings[0].address, rings[0].me.id, "ping", _id(liars[-1][0]))
            assert len(rings[0].peers()) == 3 + len(UNSOUND)
            ids = sorted(ring.me.id for ring in rings)
            # the nearest to a place is asked whatever the others say: each liar is, at its own place
            for place in (0, *ids, ids[0] + 1, *(liar.id for liar, _ in liars)):
                owner = next((one for one in ids if one >= place), ids[0])
                assert (await rings[0].find_successor(RingId(place))).id == owner
                # by a full look-up, which asks them all, too
                assert (await rings[0].successor_list(RingId(place), 1))[0].id == owner
            assert rings[0].counters()["ring: contacts are no list, or too many"] > 0, rings[0].counters()
            assert rings[0].counters()["ring: tasks failed"] == 0
            for _, rpc in liars:
                await rpc.close()

    network.run(program())


def _id(peer: Peer) -> bytes:
    return peer.id.to_bytes(20, "big")
