"""Sessions grow old, are renewed, make room; the clock may jump."""

import itertools
import random

import pytest

from overlay.ring.attempts import MAX_ATTEMPTS
from overlay.ring.channel import MAX_SESSION_S, REKEY_AFTER_S, Session
from overlay.ring.frames import ANSWER, DATA, HELLO
from overlay.ring.ids import Peer, RingId
from overlay.ring.links import GRACE_S, MAX_PREVIOUS, MAX_SESSIONS, Links
from overlay.ring.sessions import Established, Unreachable
from tests.unit.ring.session_pair import NOW, Net, address, node, peer


def current(net, ours, theirs):
    return net[ours]._links.get(peer(theirs).id).current


def talking():
    net = Net.of(0, 1)
    net.say(0, 1, b"first")
    net.settle()
    return net


@pytest.mark.parametrize("speaker", [0, 1])
def test_old_keys_are_renewed_without_losing_a_payload(speaker):
    net = talking()
    before = current(net, 0, 1)
    net.run(REKEY_AFTER_S * 1.2)
    other = 1 - speaker
    net.log.clear()
    for number in range(3):
        net.say(speaker, other, bytes([number]))
    net.say(other, speaker, b"back")
    net.settle()
    net.run(1)
    assert [data[0] for data, _, _ in net.log].count(HELLO) <= 2
    assert net.heard(other)[-3:] == [b"\0", b"\1", b"\2"]
    assert current(net, 0, 1) is not before
    assert current(net, 0, 1).index == current(net, 1, 0).peer_index
    assert any(isinstance(event, Established) and event.again for event in net.seen(0))


def test_peer_is_known_since_it_was_met_until_it_is_forgotten():
    net = talking()
    there = current(net, 0, 1).peer
    met = net[0].met_at(there.id)
    assert NOW <= met < NOW + 1
    net.run(REKEY_AFTER_S * 1.2)
    net.say(0, 1, b"renews")
    net.settle()
    assert current(net, 0, 1).created_at > met
    assert net[0].met_at(there.id) == met
    net[0].forget(there.address)
    assert net[0].met_at(there.id) is None
    net.say(0, 1, b"again")
    net.settle()
    assert net[0].met_at(there.id) > met


def test_frames_sealed_with_the_old_keys_are_still_heard():
    net = talking()
    net.run(REKEY_AFTER_S)
    net.say(1, 0, b"on its way")
    [(late, _)] = net[1].datagrams_to_send()
    net.say(0, 1, b"renews")
    net.settle()
    assert current(net, 0, 1).created_at > NOW + 1
    net[0].receive(late, address(1), net.now)
    assert net.heard(0) == [b"on its way"]


def test_old_session_is_forgotten_after_the_grace():
    net = talking()
    net.run(REKEY_AFTER_S)
    net.say(0, 1, b"renews")
    net.settle()
    for _ in range(20):
        net.run(GRACE_S / 8)
        net.say(0, 1, b"x")
        net.settle()
    for number in (0, 1):
        assert len(net[number]._links._by_index) == 1
        assert len(net[number]._links._by_peer_index) == 1


def test_session_at_the_end_of_its_age_is_replaced_before_anything_is_sent():
    net = talking()
    net.run(MAX_SESSION_S)
    net.log.clear()
    net.say(0, 1, b"fresh")
    net.settle()
    assert [data[0] for data, _, _ in net.log] == [HELLO, ANSWER, DATA]
    assert net.heard(1) == [b"first", b"fresh"]


def test_failed_renewal_is_no_reason_to_call_a_peer_dead():
    net = talking()
    net.run(REKEY_AFTER_S)
    net.drop = lambda data, _s, _t: data[0] == HELLO
    net.say(0, 1, b"second")
    net.run(2)
    net.say(0, 1, b"third")
    net.run(2)
    assert net.heard(1) == [b"first", b"second", b"third"]
    assert not any(isinstance(event, Unreachable) for event in net.seen(0))


def test_clock_put_back_delays_no_hello():
    net = Net.of(0, 1, drop=lambda _d, _s, _t: True)
    net.say(0, 1, b"x")
    net.now -= 3600
    net[0].handle_timer(net.now)
    assert net[0].next_deadline() - net.now < 1
    net.run(2)
    assert [type(event) for event in net.seen(0)] == [Unreachable]


def test_clock_put_back_keeps_sessions():
    net = talking()
    net.now -= 3600
    net.say(0, 1, b"second")
    net.say(1, 0, b"third")
    net.settle()
    assert net.heard(1) == [b"first", b"second"]
    assert net.heard(0) == [b"third"]


@pytest.mark.parametrize("skew", [-20 * 3600, 20 * 3600])
def test_peers_whose_clocks_differ_by_hours_understand_each_other(skew):
    ours, theirs = node(0), node(1)
    for turn in range(2):
        ours.send(address(1), peer(1).id, b"x", NOW + turn)
        for _ in range(2):
            for data, _ in ours.datagrams_to_send():
                theirs.receive(data, address(0), NOW + turn + skew)
            for data, _ in theirs.datagrams_to_send():
                ours.receive(data, address(1), NOW + turn)
    assert theirs.peer_at(address(0)) == peer(0)


def test_clock_put_forward_costs_new_handshakes_and_nothing_else():
    net = talking()
    net.now += 10 * 86_400
    net.say(1, 0, b"later")
    net.settle()
    assert net.heard(0) == [b"later"]


def test_hellos_of_ours_are_bounded():
    sessions = node(0)
    for number in range(MAX_ATTEMPTS + 10):
        sessions.send((f"10.1.{number // 200}.{number % 200 + 1}", 1000), None, b"x", NOW)
    assert len(sessions._attempts) == MAX_ATTEMPTS
    assert sessions.counters["too many hellos of ours"] == 10
    dropped = [sessions.next_event() for _ in range(10)]
    assert dropped[0] == Unreachable(address=("10.1.2.113", 1000), expected=None, dropped=1)
    assert sessions.next_event() is None


def test_given_up_hellos_make_room_and_are_forgotten():
    sessions = node(0)
    for number in range(MAX_ATTEMPTS):
        sessions.send((f"10.1.{number // 200}.{number % 200 + 1}", 1000), None, b"x", NOW)
    for step in range(1, 30):
        sessions.handle_timer(NOW + step * 0.1)
    sessions.send(("10.1.9.9", 1), None, b"x", NOW + 3)
    assert len(sessions._attempts) == MAX_ATTEMPTS
    assert sessions.next_deadline() is not None
    for step in range(1, 30):
        sessions.handle_timer(NOW + 3 + step * 0.5)
    assert len(sessions._attempts) == 0


def links_with(count):
    links = Links(RingId(1))
    for number in range(2, count + 2):
        links.install(session_with(number), NOW)
    return links


def session_with(number, *, index=None, created_at=NOW, initiator=True, port=7000):
    return Session(
        me=RingId(1),
        peer=Peer(id=RingId(number), host="10.0.0.1", port=port),
        index=index or number,
        peer_index=index or number,
        keys=(bytes(32), bytes(32)),
        initiator=initiator,
        hello_time_ms=0,
        created_at=created_at,
        valid_until=NOW + 10**6,
    )


def test_least_recently_used_peer_makes_room():
    links = links_with(MAX_SESSIONS)
    links.touch(RingId(2))
    links.install(session_with(90_000), NOW)
    assert len(links) == MAX_SESSIONS
    assert links.get(RingId(2)) is not None
    assert links.get(RingId(3)) is None
    assert links.by_index(3) is None
    assert len(links._by_peer_index) == MAX_SESSIONS


def test_one_peer_has_few_sessions_whatever_it_does():
    links = links_with(1)
    for number in range(50):
        links.install(session_with(2, index=100 + number, created_at=NOW + number, port=7000 + number), NOW + number)
    assert len(links._by_index) == MAX_PREVIOUS + 1
    assert len(links._at) == 1


@pytest.mark.parametrize(("me", "them"), [(1, 2), (2, 1)])
def test_crossed_handshakes_are_decided_by_the_lower_id_on_both_sides(me, them):
    for order in ((True, False), (False, True)):
        links = Links(RingId(me))
        for place, initiator in enumerate(order):
            session = Session(
                me=RingId(me),
                peer=Peer(id=RingId(them), host="10.0.0.1", port=7000),
                index=10 + place,
                peer_index=20 + place,
                keys=(bytes(32), bytes(32)),
                initiator=initiator,
                hello_time_ms=0,
                created_at=NOW + place / 100,
                valid_until=NOW + 10**6,
            )
            links.install(session, NOW)
        assert links.get(RingId(them)).current.initiator == (me < them)


def test_sweep_falls_back_to_a_session_that_is_still_good():
    links = links_with(1)
    short = session_with(2, index=50, created_at=NOW + 2)
    short.valid_until = NOW + 3
    links.install(short, NOW + 2)
    assert links.get(RingId(2)).current is short
    links.sweep(NOW + 4)
    assert links.get(RingId(2)).current.index == 2
    assert links.find(("10.0.0.1", 7000), None) is not None
    assert links.by_index(50) is None


def test_storm_of_restarts_under_loss_leaves_no_state_behind():
    rng = random.Random(9)
    net = Net.of(0, 1, 2, drop=lambda _d, _s, _t: rng.random() < 0.1)
    pairs = list(itertools.permutations(range(3), 2))
    for turn in range(60):
        if turn % 7 == 0:
            net.nodes[address(1)] = node(1, seed=turn + 1)
        for source, target in pairs:
            net.say(source, target, bytes([turn, source]))
        net.run(0.7)
    net.drop = lambda _d, _s, _t: False
    # the first word after a loss may fall on keys that the other side has not; whoever repeats it is heard
    for word in (b"wake", b"end"):
        for source, target in pairs:
            net.say(source, target, word)
        net.run(5)
    for number in range(3):
        assert net.heard(number)[-2:] == [b"end", b"end"]
    net.run(GRACE_S * 3)
    for number in range(3):
        net[number].handle_timer(net.now)
        assert len(net[number]._links._by_index) == 2
        assert len(net[number]._half_open) == 0
        assert len(net[number]._attempts) == 0
