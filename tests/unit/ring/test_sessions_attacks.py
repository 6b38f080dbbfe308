"""What strangers, mirrors, replayers, relays and members gone bad cannot do to a node's sessions."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.ring.allowances import HELLO_BURST, RESET_BURST
from overlay.ring.frames import ANSWER, DATA, HELLO, HELLO_BYTES, RESET, decode_hello, encode_reset
from overlay.ring.half_open import HALF_OPEN_S, MAX_HALF_OPEN, MAX_HALF_OPEN_PER_PEER, HalfOpen
from overlay.ring.handshake import _HELLO_DOMAIN
from overlay.ring.ids import Peer, RingId, id_to_bytes
from overlay.ring.sessions import (
    RESET_MIN_AGE_S,
    Established,
    Received,
    Refused,
    RingIdentity,
    Unreachable,
)
from overlay.trust.identity import PrivateBundle
from tests.unit.ring.session_pair import DAY, NOW, OVERLAY, Net, address, identity, node, peer


def frames_of(net, kind):
    return [data for data, _, _ in net.log if data[0] == kind]


def talking(**changes):
    """Return a net in which 0 and 1 have a session that 0 began."""
    net = Net.of(0, 1, **changes)
    net.say(0, 1, b"first")
    net.settle()
    net.run(0.5)
    return net


def hello_of(number, target, *, seed=0, now=NOW, expected=None):
    sender = node(number, seed=seed)
    sender.send(address(target), expected or peer(target).id, b"x", now)
    return sender.datagrams_to_send()[0][0]


def signed_hello(number, **changes):
    """A hello with fields of choice, properly signed by its node."""
    hello = replace(decode_hello(hello_of(number, 1)), **changes)
    body = hello.body()
    return body + identity(number).node_key.sign(_HELLO_DOMAIN, body + OVERLAY.encode())


# --- replay ---------------------------------------------------------------------------------------------------------


def test_replayed_hello_displaces_nothing_and_is_bounded():
    net = talking()
    before = net[1]._links.get(peer(0).id).current
    [hello] = frames_of(net, HELLO)
    for _ in range(40):
        net.now += 1
        net[1].receive(hello, address(0), net.now)
    assert len(net[1]._half_open) <= MAX_HALF_OPEN_PER_PEER
    assert net[1]._links.get(peer(0).id).current is before
    net.say(0, 1, b"second")
    net.say(1, 0, b"third")
    net.settle()
    assert net.heard(1) == [b"first", b"second"]
    assert net.heard(0) == [b"third"]


def test_replayed_hello_of_a_live_peer_costs_no_signature():
    net = talking()
    [hello] = frames_of(net, HELLO)
    net[1].receive(hello, address(0), net.now)
    assert net[1].counters["hello replayed"] == 1
    assert net[1].datagrams_to_send() == []


def test_replayed_hellos_never_push_out_a_true_one():
    target = node(1)
    old = [hello_of(0, 1, seed=seed, now=NOW - 100 + seed) for seed in range(20)]
    for hello in old[:10]:
        target.receive(hello, address(0), NOW)
    assert len(target._half_open) == MAX_HALF_OPEN_PER_PEER
    net = Net(nodes={address(0): node(0), address(1): target})
    net.say(0, 1, b"true")
    net.run(0.0015)
    for hello in old[10:]:
        target.receive(hello, address(0), net.now)
    net.run(0.01)
    assert net.heard(1) == [b"true"]
    for hello in old[:16]:
        target.receive(hello, address(0), net.now)
    assert target.counters["hello replayed"] == 16


def test_replayed_answer_changes_nothing():
    net = talking()
    [answer] = frames_of(net, ANSWER)
    net[0].receive(answer, address(1), net.now)
    assert net[0].counters["answer to no hello"] == 1


def test_answer_to_an_earlier_hello_is_no_answer_to_this_one():
    net = talking()
    [old] = frames_of(net, ANSWER)
    net[0].forget(address(1))
    net.say(0, 1, b"again", blind=True)
    hello = decode_hello(net[0].datagrams_to_send()[0][0])
    forged = old[:1] + hello.index.to_bytes(8, "big") + old[9:]
    net[0].receive(forged, address(1), net.now)
    assert net[0].counters["answer not signed by its node"] == 1
    assert net[0].peer_at(address(1)) is None


def test_replayed_data_is_heard_once():
    net = talking()
    for data in frames_of(net, DATA) * 3:
        net[1].receive(data, address(0), net.now)
    assert net.heard(1) == [b"first"]
    assert net[1].counters["data replayed"] == 3


# --- reflection -----------------------------------------------------------------------------------------------------


def test_own_frames_thrown_back_do_nothing():
    net = talking()
    sent = [data for data, source, _ in net.log if source == address(0)]
    net[0].forget(address(1))
    net.say(0, 1, b"again")
    net.collect()
    sent += frames_of(net, HELLO)[-1:]
    for data in sent:
        net[0].receive(data, address(1), net.now)
    assert [event for event in net.seen(0) if isinstance(event, Received)] == []
    assert len(net[0]._half_open) == 0
    assert net[0].peers() == []


def test_node_does_not_talk_to_itself():
    alone = node(0, own_address=False)
    alone.send(address(0), None, b"x", NOW)
    [(hello, _)] = alone.datagrams_to_send()
    alone.receive(hello, address(0), NOW)
    assert alone.counters["own frame"] == 1
    assert alone.datagrams_to_send() == []


# --- who may take part ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"expires_at": NOW}, "credential expired"),
        ({"expires_at": NOW - DAY}, "credential expired"),
        ({"overlay": "elsewhere"}, "credential of another overlay"),
        ({"signer": PrivateBundle.generate()}, "credential forged"),
    ],
)
def test_stranger_gets_no_answer(changes, why):
    net = Net(nodes={address(0): node(0, **changes), address(1): node(1)})
    net.say(0, 1, b"let me in", blind=True)
    net.run()
    assert net.heard(1) == []
    assert net[1].counters[why] >= 1
    assert frames_of(net, ANSWER) == []
    assert isinstance(net.seen(0)[0], Unreachable)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"expires_at": NOW - 1}, "credential expired"),
        ({"overlay": "elsewhere"}, "credential of another overlay"),
        ({"signer": PrivateBundle.generate()}, "credential forged"),
    ],
)
def test_stranger_who_answers_is_refused_at_once(changes, why):
    asker, stranger = node(0), node(1, **changes)
    asker.send(address(1), None, b"secret", NOW)
    [(hello, _)] = asker.datagrams_to_send()
    answer, _ = stranger._handshake.answer(hello, decode_hello(hello), address(0), address(1), NOW)
    asker.receive(answer, address(1), NOW)
    assert asker.next_event() == Refused(address=address(1), expected=None, why=why)
    assert asker.datagrams_to_send() == []
    assert asker.next_deadline() is None


def test_node_that_is_not_expected_stays_silent():
    net = Net.of(0, 1)
    net[0].send(address(1), peer(2).id, b"for 2", net.now)
    net.run()
    assert net[1].counters["hello for another node"] == 4
    assert net.seen(0) == [Unreachable(address=address(1), expected=peer(2).id, dropped=1)]


def test_another_node_that_answers_all_the_same_is_refused():
    liar = node(1)
    asker = node(0)
    asker.send(address(1), peer(2).id, b"for 2", NOW)
    [(hello, _)] = asker.datagrams_to_send()
    answer, _ = liar._handshake.answer(hello, decode_hello(hello), address(0), address(1), NOW)
    asker.receive(answer, address(1), NOW)
    assert asker.next_event() == Refused(address=address(1), expected=peer(2).id, why="another node answers")
    assert asker.next_deadline() is None


def test_stolen_credential_without_its_key_is_worth_nothing():
    thief = identity(2)
    body = decode_hello(hello_of(0, 1)).body()
    forged = body + thief.node_key.sign(_HELLO_DOMAIN, body + OVERLAY.encode())
    target = node(1)
    target.receive(forged, address(0), NOW)
    assert target.counters["hello not signed by its node"] == 1
    assert target.datagrams_to_send() == []


def test_identity_needs_its_own_key_and_overlay():
    from overlay.errors import LocalError

    ours, other = identity(0), identity(1)
    with pytest.raises(LocalError):
        RingIdentity(
            node_key=other.node_key, credential=ours.credential, overlay=OVERLAY, overlay_public=ours.overlay_public
        )
    with pytest.raises(LocalError):
        RingIdentity(
            node_key=ours.node_key, credential=ours.credential, overlay="other", overlay_public=ours.overlay_public
        )


def test_credential_that_expires_ends_the_session():
    net = Net(nodes={address(0): node(0, expires_at=NOW + 60), address(1): node(1)})
    net.say(0, 1, b"in time")
    net.run(61)
    net.say(0, 1, b"late")
    net.run()
    assert net.heard(1) == [b"in time"]
    assert net[1].counters["session expired"] + net[1].counters["session unknown"] >= 1


# --- damage and forgery ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(0, HELLO_BYTES, 3))
def test_hello_with_a_changed_byte_gets_no_answer(place):
    sound = hello_of(0, 1)
    changed = sound[:place] + bytes([sound[place] ^ 0x10]) + sound[place + 1 :]
    target = node(1)
    target.receive(changed, address(0), NOW)
    assert target.datagrams_to_send() == []
    assert len(target._half_open) == 0
    assert sum(target.counters.values()) == 1


@pytest.mark.parametrize("place", range(0, 482, 3))
def test_answer_with_a_changed_byte_makes_no_session_and_the_true_one_still_does(place):
    asker, target = node(0), node(1)
    asker.send(address(1), None, b"x", NOW)
    [(hello, _)] = asker.datagrams_to_send()
    target.receive(hello, address(0), NOW)
    [(answer, _)] = target.datagrams_to_send()
    changed = answer[:place] + bytes([answer[place] ^ 0x10]) + answer[place + 1 :]
    asker.receive(changed, address(1), NOW)
    assert asker.peers() == []
    asker.receive(answer, address(1), NOW)
    # a credential that no longer verifies ends the attempt; every other damage leaves it waiting
    refused = isinstance(asker.next_event(), Refused)
    assert refused == (asker.peers() == [])


def test_cut_and_padded_frames_are_counted():
    net = talking()
    for kind in (HELLO, ANSWER, DATA):
        frame = frames_of(net, kind)[0]
        for flawed in (frame[:-1], frame + b"\0", frame[:1], frame[:8]):
            net[0].receive(flawed, address(1), net.now)
            net[1].receive(flawed, address(0), net.now)
    net.say(0, 1, b"still here")
    net.settle()
    assert net.heard(1)[-1] == b"still here"


@pytest.mark.parametrize("ephemeral", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_exchange_key_of_small_order_is_refused(ephemeral):
    target = node(1)
    target.receive(signed_hello(0, ephemeral=ephemeral), address(0), NOW)
    assert target.counters["exchange key of small order"] == 1
    assert len(target._half_open) == 0


@given(st.binary(max_size=700), st.sampled_from([0x11, 0x12, 0x13, 0x14, 0x00, 0xFF]))
def test_any_bytes_are_swallowed_and_answered_with_fewer(data, kind):
    target = node(1)
    for frame in (data, bytes([kind]) + data):
        target.receive(frame, address(0), NOW)
        assert sum(len(out) for out, _ in target.datagrams_to_send()) < max(1, len(frame))
    assert target.next_event() is None


@pytest.mark.parametrize(
    "source",
    [("10.0.0.1", 0), ("name", 5), ("10.0.0.1", 70000), None, ("255.255.255.255", 9), ("fe80::3", 9), ("fd00::3", 9)],
)
def test_source_that_cannot_be_answered_is_ignored(source):
    target = node(1)
    target.receive(hello_of(0, 1), source, NOW)
    assert target.counters["source address unusable"] == 1


def test_mutated_traffic_never_raises_and_never_comes_out():
    rng = random.Random(11)
    net = talking()
    seen = [data for data, _, _ in net.log]
    heard = net.heard(0) + net.heard(1)
    for _ in range(3000):
        data = bytearray(rng.choice(seen))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        net[rng.randrange(2)].receive(bytes(data), address(rng.randrange(3)), net.now)
    assert net.heard(0) + net.heard(1) == heard


# --- addresses ------------------------------------------------------------------------------------------------------


def test_data_from_another_address_is_refused():
    net = talking()
    net.say(0, 1, b"second")
    [(data, _)] = net[0].datagrams_to_send()
    net[1].receive(data, address(5), net.now)
    assert net[1].counters["data from another address"] == 1
    net[1].receive(data, address(0), net.now)
    assert net.heard(1) == [b"first", b"second"]


def test_answer_from_another_address_is_refused():
    asker, target = node(0), node(1)
    asker.send(address(1), None, b"x", NOW)
    [(hello, _)] = asker.datagrams_to_send()
    target.receive(hello, address(0), NOW)
    [(answer, _)] = target.datagrams_to_send()
    asker.receive(answer, address(2), NOW)
    assert asker.counters["answer from another address"] == 1
    assert asker.peers() == []


def test_relay_cannot_pass_for_the_node_behind_it():
    """A hello meant for whoever is at the relay's address is carried to 1, and 1's answer back."""
    asker, target = node(0), node(1)
    relay = address(2)
    asker.send(relay, None, b"x", NOW)
    [(hello, _)] = asker.datagrams_to_send()
    target.receive(hello, relay, NOW)
    assert target.counters["hello for another address"] == 1
    blind = node(1, own_address=False)
    blind.receive(hello, relay, NOW)
    assert blind.counters["hello relayed"] == 1


def test_relayed_answer_is_refused_where_the_answerer_knows_its_address():
    asker, target = node(0, own_address=False), node(1)
    relay = address(2)
    asker.send(relay, None, b"x", NOW)
    [(hello, _)] = asker.datagrams_to_send()
    answer, _ = target._handshake.answer(hello, decode_hello(hello), relay, address(1), NOW)
    asker.receive(answer, relay, NOW)
    assert asker.counters["answer relayed"] == 1


def test_wildcard_address_counts_as_unknown():
    sessions = node(0)
    sessions.own_address = ("0.0.0.0", 7000)
    assert sessions.own_address is None
    sessions.own_address = address(3)
    assert sessions.own_address == address(3)


def test_member_that_forges_its_source_gets_nowhere():
    """2 has a good credential and sends from 0's address; what 1 answers goes to 0, so 2 confirms nothing."""
    net = talking()
    hello = signed_hello(2, origin=address(0))
    net[1].receive(hello, address(0), net.now)
    net.settle()
    assert net[1].peer_at(address(0)) == peer(0)
    assert {event.peer.id for event in net.seen(1) if isinstance(event, Established)} == {peer(0).id}


def test_never_more_bytes_to_an_unproved_address_than_it_sent():
    target = node(1)
    rng = random.Random(2)
    came, went = 0, 0
    for step in range(400):
        frame = rng.choice(
            [
                lambda: hello_of(0, 1, seed=rng.randrange(3)),
                lambda: bytes([DATA]) + rng.randbytes(rng.randrange(32, 200)),
                lambda: bytes([ANSWER]) + rng.randbytes(481),
                lambda: encode_reset(rng.randrange(2**64)),
                lambda: rng.randbytes(rng.randrange(40)),
            ]
        )()
        now = NOW + step * 0.05
        target.receive(frame, address(0), now)
        target.handle_timer(now)
        came += len(frame)
        sent = [len(data) for data, _ in target.datagrams_to_send()]
        assert len(sent) <= 1
        assert sum(sent) <= len(frame)
        went += sum(sent)
    assert 0 < went < came


# --- floods ---------------------------------------------------------------------------------------------------------


def test_hellos_of_one_host_are_limited_before_any_signature_is_checked():
    target = node(1)
    sound = signed_hello(0, origin=None)
    forged = sound[:-1] + bytes([sound[-1] ^ 1])
    for number in range(HELLO_BURST + 100):
        target.receive(forged, (address(0)[0], 1000 + number), NOW)
    assert target.counters == {"hello not signed by its node": HELLO_BURST, "hello over the rate": 100}
    target.receive(signed_hello(2, origin=None), address(2), NOW)
    assert len(target._half_open) == 1
    target.receive(signed_hello(0), address(0), NOW + 1)
    assert len(target._half_open) == 2


def test_half_open_places_are_few_and_short_lived():
    target = node(1)
    for seed in range(30):
        target.receive(hello_of(0, 1, seed=seed, now=NOW + seed), address(0), NOW)
    assert len(target._half_open) == MAX_HALF_OPEN_PER_PEER
    target.handle_timer(NOW + HALF_OPEN_S + 1)
    assert len(target._half_open) == 0


def test_half_open_table_is_bounded_over_all_peers():
    from overlay.ring.channel import Session

    table = HalfOpen()
    for number in range(MAX_HALF_OPEN + 50):
        somebody = Peer(id=RingId(number), host="10.0.0.1", port=7000)
        session = Session(
            me=RingId(5),
            peer=somebody,
            index=number + 1,
            peer_index=1,
            keys=(bytes(32), bytes(32)),
            initiator=False,
            hello_time_ms=1,
            created_at=NOW,
            valid_until=NOW + 9,
        )
        table.add(session, id_to_bytes(somebody.id), b"answer")
    assert len(table) == MAX_HALF_OPEN
    assert table.get(1) is None
    assert table.get(MAX_HALF_OPEN + 50) is not None
    assert table.answer_to(id_to_bytes(RingId(0)), ("10.0.0.1", 7000)) is None
    table.drop_address(("10.0.0.1", 7000))
    assert len(table) == 0


def test_half_open_hello_is_answered_again_only_to_its_own_source():
    target = node(1)
    hello = signed_hello(0, origin=None)
    target.receive(hello, address(0), NOW)
    target.receive(hello, address(3), NOW)
    [(first, _), (second, to)] = target.datagrams_to_send()
    assert to == address(3)
    assert first != second


def test_resets_are_rate_limited():
    target = node(1)
    for _ in range(100):
        target.receive(bytes([DATA]) + bytes(40), address(0), NOW)
    assert len(target.datagrams_to_send()) == RESET_BURST


def test_hint_without_the_index_does_nothing():
    net = talking()
    for number in range(50):
        net[0].receive(encode_reset(number), address(1), net.now)
    assert net[0].counters["reset of no session"] == 50
    assert net[0].datagrams_to_send() == []


def test_forged_hint_costs_one_handshake_and_loses_nothing():
    net = talking()
    index = net[0]._links.get(peer(1).id).current.peer_index
    for _ in range(20):
        net[0].receive(encode_reset(index), address(1), net.now)
    net.say(0, 1, b"waits")
    net.run(1)
    assert len(frames_of(net, HELLO)) == 2
    assert net.heard(1) == [b"first", b"waits"]


def test_sign_of_life_makes_up_for_a_hint():
    net = talking()
    index = net[0]._links.get(peer(1).id).current.peer_index
    net.drop = lambda data, _s, _t: data[0] in (HELLO, ANSWER)
    net[0].receive(encode_reset(index), address(1), net.now)
    net.say(0, 1, b"waits")
    net.settle()
    assert net.heard(1) == [b"first"]
    net.say(1, 0, b"I am here")
    net.settle()
    assert net.heard(1) == [b"first", b"waits"]
    assert net[0].next_deadline() is None


def test_hint_about_a_young_session_is_ignored():
    net = Net.of(0, 1)
    net.say(0, 1, b"first")
    net.settle()
    index = net[0]._links.get(peer(1).id).current.peer_index
    assert net.now - NOW < RESET_MIN_AGE_S
    net[0].receive(encode_reset(index), address(1), net.now)
    assert net[0].counters["reset too early"] == 1
    net.say(0, 1, b"second")
    net.settle()
    assert net.heard(1) == [b"first", b"second"]


def test_reset_is_never_answered():
    net = talking()
    net.log.clear()
    net[1].receive(encode_reset(5), address(0), net.now)
    net.settle()
    assert [data for data in net.log if data[0][0] == RESET] == []


def test_reasons_are_few_whatever_comes():
    net = talking()
    rng = random.Random(4)
    for _ in range(2000):
        kind = rng.choice([HELLO, ANSWER, DATA, RESET])
        size = rng.choice([9, 33, 60, 482, 512])
        net[0].receive(bytes([kind]) + rng.randbytes(size - 1), address(1), net.now)
    assert len(net[0].counters) < 20
