"""Registrations with a real server on loopback: who gets a name, what comes back, where the pieces lie."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from adapter.enrolment import EnrolmentFailed, EnrolmentRefused
from bootstrap.accounts import OverlayFacts
from overlay.ring.addresses import is_own_address
from overlay.ring.ids import RingId
from overlay.ring.storage import RecordStore
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.shamir import combine
from tests.integration.bootstrap_support import Registrant, joined, serving


async def test_first_registration_takes_the_steps_in_order(tmp_path):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        await alice.enrol(watched.server.address)
        assert [step for step, _ in alice.trace] == ["CHALLENGE", "SECP2PSIP REGISTER", "SECP2PSIP REGISTERED"]
        assert watched.steps() == ["CHALLENGE", "SECP2PSIP REGISTER", "STORED", "SECP2PSIP REGISTERED"]
        (registered,) = watched.of("registered")
        assert (registered["aor"], registered["first"], registered["distinct_holders"]) == ("alice", True, 1)


async def test_pieces_rebuild_the_users_own_key(tmp_path):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        enrolment = await alice.enrol(watched.server.address)
        points = {piece.index: piece.share for piece in enrolment.pieces[2:5]}
        assert combine(points, k=3) == alice.user.public.encode()
        assert enrolment.credential.node_public == alice.node_key.public
        assert enrolment.overlay_bundle.thumbprint().hex() == watched.server.fingerprint


async def test_pieces_and_record_lie_on_the_ring_before_the_answer(tmp_path):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        enrolment = await alice.enrol(watched.server.address)
        ring = watched.server.ring
        holding = await ring.fetch_at(ring.me, "alice")
        assert holding is not None
        assert {piece.index: piece.share for piece in holding.pieces} == {
            piece.index: piece.share for piece in enrolment.pieces
        }
        assert holding.record is not None
        assert holding.record.bundle == alice.user.public.encode()


async def test_pieces_lie_on_distinct_nodes_where_the_ring_has_as_many(tmp_path):
    async with serving(tmp_path) as watched, AsyncExitStack() as stack:
        for number in range(7):
            member = Registrant(aor=f"member{number}")
            await stack.enter_async_context(joined(member, await member.enrol(watched.server.address)))
        bob = Registrant(aor="bob")
        enrolment = await bob.enrol(watched.server.address)
        registered = watched.of("registered")[-1]
        assert registered["aor"] == "bob"
        assert registered["distinct_holders"] == 7
        assert {f"{node.host}:{node.port}" for node in enrolment.nodes[:7]} == set(registered["holders"].values())
        assert len(enrolment.nodes) == len(set(enrolment.nodes)) == 8


@pytest.mark.skipif(not is_own_address("::1"), reason="this host has no IPv6 loopback address")
async def test_a_server_in_both_rings_names_itself_twice_and_last_in_the_family_that_asked(tmp_path):
    async with serving(tmp_path, other_host="::1") as watched, AsyncExitStack() as stack:
        server = watched.server
        four, six = (view.me for view in server.ring.views)
        assert (four.id, four.port, six.host, six.port) == (six.id, server.address[1], "::1", server.address[1])
        for number in range(2):
            member = Registrant(aor=f"member{number}")
            await stack.enter_async_context(joined(member, await member.enrol(server.address)))
        for (address, other), aor in zip(((four, six), (six, four)), ("bob", "carol"), strict=True):
            nodes = (await Registrant(aor=aor).enrol(address.address)).nodes
            own = [node for node in nodes if node.id == four.id]
            assert own == [other, address], "who keeps one name for a node keeps the one that it can reach"
            assert len({(node.id, node.host) for node in nodes}) == len(nodes)
            # both members have IPv4 alone, and are named to whoever asks
            assert len(nodes) == 4


async def test_small_ring_holds_several_pieces_a_node(tmp_path):
    async with serving(tmp_path) as watched, AsyncExitStack() as stack:
        for number in range(2):
            member = Registrant(aor=f"member{number}")
            await stack.enter_async_context(joined(member, await member.enrol(watched.server.address)))
        await Registrant(aor="bob").enrol(watched.server.address)
        registered = watched.of("registered")[-1]
        assert len(registered["holders"]) == 7
        assert registered["distinct_holders"] == 3


async def test_piece_that_no_owner_takes_stays_with_the_server(tmp_path):
    async with serving(tmp_path) as watched:
        member = Registrant(aor="member")
        enrolment = await member.enrol(watched.server.address)
        async with joined(member, enrolment, store=RecordStore(":memory:", max_users=0)):
            bob = await Registrant(aor="bob").enrol(watched.server.address)
            ring = watched.server.ring
            assert set(watched.of("registered")[-1]["holders"].values()) == {f"{ring.me.host}:{ring.me.port}"}
            # of seven pieces on two nodes, three or four were the member's
            assert len(watched.of("warning")) in {3, 4}
            holding = await ring.fetch_at(ring.me, "bob")
            assert holding is not None
            assert len(holding.pieces) == len(bob.pieces)


async def test_same_key_comes_again_and_gets_the_same_shares(tmp_path):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        first = await alice.enrol(watched.server.address)
        again = await alice.enrol(watched.server.address)
        assert [piece.share for piece in again.pieces] == [piece.share for piece in first.pieces]
        assert again.generation == first.generation == 1
        assert again.credential.node_id == first.credential.node_id
        assert [event["first"] for event in watched.of("registered")] == [True, False]


async def test_taken_name_is_refused_to_another_key(tmp_path):
    async with serving(tmp_path) as watched:
        await Registrant(aor="alice").enrol(watched.server.address)
        with pytest.raises(EnrolmentRefused, match="alice is taken") as caught:
            await Registrant(aor="alice").enrol(watched.server.address)
        assert caught.value.code == "taken"
        assert caught.value.hint
        assert watched.of("refused")[0]["code"] == "taken"


async def test_two_who_want_a_name_at_once_do_not_both_get_it(tmp_path):
    async with serving(tmp_path) as watched:
        rivals = [Registrant(aor="alice").enrol(watched.server.address) for _ in range(6)]
        outcomes = await asyncio.gather(*rivals, return_exceptions=True)
        losers = [outcome for outcome in outcomes if isinstance(outcome, EnrolmentRefused)]
        assert len(losers) == 5
        assert {loser.code for loser in losers} == {"taken"}


async def test_restart_keeps_names_keys_and_shares(tmp_path):
    alice = Registrant(aor="alice")
    async with serving(tmp_path) as watched:
        first = await alice.enrol(watched.server.address)
        fingerprint = watched.server.fingerprint
    async with serving(tmp_path) as watched:
        assert watched.server.fingerprint == fingerprint
        again = await alice.enrol(watched.server.address, overlay_pin=bytes.fromhex(fingerprint))
        assert [piece.share for piece in again.pieces] == [piece.share for piece in first.pieces]
        with pytest.raises(EnrolmentRefused) as caught:
            await Registrant(aor="alice").enrol(watched.server.address)
        assert caught.value.code == "taken"


async def test_restarted_server_finds_its_ring_again(tmp_path):
    member = Registrant(aor="member")
    async with serving(tmp_path) as watched:
        node = joined(member, await member.enrol(watched.server.address))
        ring = await node.__aenter__()
        port = watched.server.address[1]
    try:
        async with serving(tmp_path, port=port) as watched:
            assert watched.server.members()[0][0] in {ring.me, watched.server.ring.me}
            assert {peer.id for peer, _ in watched.server.members()} == {ring.me.id, watched.server.ring.me.id}
            assert dict(watched.server.members())[ring.me] == ("member",)
            successor = await watched.server.ring.find_successor(RingId(watched.server.ring.me.id + 1))
            assert successor == ring.me
    finally:
        await node.__aexit__(None, None, None)


async def test_pinned_key_that_differs_gets_nothing(tmp_path):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice")
        with pytest.raises(EnrolmentFailed, match="not the known") as caught:
            await alice.enrol(watched.server.address, overlay_pin=bytes(16))
        assert "nothing was sent" in caught.value.hint
        assert [step for step, _ in alice.trace] == ["CHALLENGE"]
    assert watched.steps() == ["CHALLENGE", "CLOSED"]


async def test_fifth_new_device_of_an_address_is_refused(tmp_path):
    async with serving(tmp_path, enrolments_per_day=4) as watched:
        first = Registrant(aor="user0")
        await first.enrol(watched.server.address)
        for number in range(1, 4):
            await Registrant(aor=f"user{number}").enrol(watched.server.address)
        with pytest.raises(EnrolmentRefused, match="tomorrow") as caught:
            await Registrant(aor="user4").enrol(watched.server.address)
        assert caught.value.code == "policy"
        # another user of a known device, and a renewal, are no new device
        await Registrant(aor="user5", node_key=first.node_key).enrol(watched.server.address)
        await first.enrol(watched.server.address)


async def test_closed_overlay_asks_for_its_code(tmp_path):
    async with serving(tmp_path, code="open sesame") as watched:
        with pytest.raises(EnrolmentRefused, match="enrolment code"):
            await Registrant(aor="alice").enrol(watched.server.address)
        await Registrant(aor="alice").enrol(watched.server.address, code="open sesame")


@pytest.mark.parametrize(("k", "n"), [(4, 10), (5, 13), (8, 22)])
async def test_other_thresholds(tmp_path, k, n):
    async with serving(tmp_path, facts=OverlayFacts(name="lan", k=k, n=n)) as watched:
        enrolment = await Registrant(aor="a" * 32).enrol(watched.server.address)
        assert len(enrolment.pieces) == n
        assert (enrolment.dealing.k, enrolment.dealing.n) == (k, n)


async def test_user_moves_to_another_device(tmp_path):
    async with serving(tmp_path) as watched:
        user = PrivateBundle.generate()
        await Registrant(aor="alice", user=user).enrol(watched.server.address)
        moved = Registrant(aor="alice", user=user, node_key=SigningKey.generate())
        enrolment = await moved.enrol(watched.server.address)
        assert enrolment.credential.node_public == moved.node_key.public


async def test_twenty_at_once_from_one_address_all_get_in(tmp_path):
    async with serving(tmp_path) as watched:
        users = [Registrant(aor=f"user{number}") for number in range(20)]
        await asyncio.gather(*(user.enrol(watched.server.address) for user in users))
        assert {event["aor"] for event in watched.of("registered")} == {user.aor for user in users}


async def test_no_server_is_one_sentence_with_a_hint(tmp_path):
    async with serving(tmp_path) as watched:
        gone = watched.server.address
    with pytest.raises(EnrolmentFailed, match="no bootstrap server at") as caught:
        await Registrant(aor="alice").enrol(gone)
    assert "secp2psip-bootstrap" in caught.value.hint


@pytest.mark.parametrize("ahead_s", [-600, 600])
async def test_a_device_whose_clock_is_ten_minutes_off_registers_and_its_record_lies_on_the_ring(tmp_path, ahead_s):
    async with serving(tmp_path) as watched:
        alice = Registrant(aor="alice", ahead_s=ahead_s)
        enrolment = await alice.enrol(watched.server.address)
        async with joined(alice, enrolment) as ring:
            holding = await ring.fetch_at(watched.server.ring.me, "alice")
            assert holding.record is not None
            assert holding.record.bundle == alice.user.public.encode()
