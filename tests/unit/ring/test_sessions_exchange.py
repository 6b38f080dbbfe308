"""Two nodes talk: handshake, payloads both ways, loss, crossing hellos, restarts."""

import random

import pytest

from overlay.errors import LocalError
from overlay.ring.attempts import MAX_QUEUED
from overlay.ring.frames import ANSWER, ANSWER_BYTES, DATA, HELLO, HELLO_BYTES, RESET
from overlay.ring.sessions import Established, Received, Refused, Unreachable
from tests.unit.ring.session_pair import NOW, Net, address, identity, node, peer


def kinds(net: Net) -> list[int]:
    return [data[0] for data, _, _ in net.log]


@pytest.mark.parametrize("blind", [False, True])
def test_first_payload_rides_behind_one_hello(blind):
    net = Net.of(0, 1)
    net.say(0, 1, b"ping", blind=blind)
    net.run()
    assert kinds(net) == [HELLO, ANSWER, DATA]
    assert net.seen(1) == [Established(peer=peer(0)), Received(peer=peer(0), payload=b"ping")]
    assert [event.peer for event in net.seen(0)] == [peer(1)]


def test_second_payload_and_the_way_back_need_no_hello():
    net = Net.of(0, 1)
    net.say(0, 1, b"one")
    net.settle()
    net.say(0, 1, b"two")
    net.say(1, 0, b"three")
    net.settle()
    assert kinds(net)[3:] == [DATA, DATA]
    assert net.heard(1) == [b"one", b"two"]
    assert net.heard(0) == [b"three"]


def test_established_tells_the_round_trip():
    net = Net.of(0, 1, delay_s=0.01)
    net.say(0, 1, b"ping")
    net.run()
    assert net.seen(0)[0].rtt_s == pytest.approx(0.02, abs=1e-6)
    assert net.seen(1)[0].rtt_s is None


def test_several_payloads_wait_behind_one_hello_in_order():
    net = Net.of(0, 1)
    sent = [bytes([number]) for number in range(MAX_QUEUED)]
    for payload in sent:
        net.say(0, 1, payload)
    net.run()
    assert kinds(net).count(HELLO) == 1
    assert net.heard(1) == sent


def test_queue_behind_a_hello_is_bounded():
    net = Net.of(0, 1)
    for number in range(100):
        net.say(0, 1, bytes([number]))
    net.run()
    assert len(net.heard(1)) == MAX_QUEUED
    assert net.heard(1)[-1] == bytes([99])
    assert net[0].counters["queue full"] == 100 - MAX_QUEUED


def test_dead_address_fails_within_nine_tenths_of_a_second():
    net = Net.of(0)
    net.say(0, 1, b"ping")
    net.run(0.9)
    assert net.seen(0) == [Unreachable(address=address(1), expected=peer(1).id, dropped=1)]
    assert kinds(net) == [HELLO] * 4
    assert net[0].next_deadline() is None


@pytest.mark.parametrize("lost", [HELLO, ANSWER, DATA])
def test_one_lost_frame_of_each_kind_is_made_good(lost):
    missed = []

    def drop(data, _source, _target):
        if data[0] == lost and not missed:
            missed.append(data)
            return True
        return False

    net = Net.of(0, 1, drop=drop)
    net.say(0, 1, b"one")
    net.run(0.5)
    net.say(0, 1, b"two")
    net.run(0.5)
    assert net.heard(1)[-1] == b"two"
    assert isinstance(net.seen(0)[0], Established)
    assert missed


def test_repeated_hello_is_answered_with_the_same_answer():
    net = Net.of(0, 1, drop=lambda data, _s, _t: data[0] == ANSWER)
    net.say(0, 1, b"ping")
    net.run(0.7)
    answers = {data for data, _, _ in net.log if data[0] == ANSWER}
    assert len(answers) == 1
    assert kinds(net).count(ANSWER) == 4
    assert net[1].counters["hello repeated"] == 3


def test_round_trip_of_a_repeated_hello_is_not_measured():
    dropped = iter([True])
    net = Net.of(0, 1, drop=lambda data, _s, _t: data[0] == HELLO and next(dropped, False))
    net.say(0, 1, b"ping")
    net.run()
    assert net.seen(0)[0].rtt_s is None


def test_late_answer_still_counts():
    net = Net.of(0, 1, delay_s=0.6)
    net.say(0, 1, b"lost")
    net.run(3)
    assert [type(event) for event in net.seen(0)] == [Unreachable, Established]
    net.say(0, 1, b"kept")
    net.run(1)
    assert net.heard(1) == [b"kept"]


def test_payload_after_a_failure_sends_the_same_hello_again():
    net = Net.of(0)
    net.say(0, 1, b"lost")
    net.run(1)
    net.nodes[address(1)] = node(1)
    net.say(0, 1, b"kept")
    net.run(1)
    assert net.heard(1) == [b"kept"]
    assert len({data for data, _, _ in net.log if data[0] == HELLO}) == 1


def test_hello_timeout_may_be_told_for_an_address():
    waits = {}
    for told in (0.0, 0.08, 5.0):
        net = Net.of(0)
        net[0]._hello_timeout_s = lambda _address, told=told: told
        net.say(0, 1, b"ping")
        waits[told] = net[0].next_deadline() - NOW
    assert waits == {0.0: pytest.approx(0.06), 0.08: pytest.approx(0.08), 5.0: pytest.approx(0.11)}


@pytest.mark.parametrize("delay_s", [0.001, 0.04])
@pytest.mark.parametrize("gap_s", [0.0, 0.0005, 0.03])
@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)])
def test_crossing_hellos_end_in_one_session_on_both_sides(first, second, gap_s, delay_s):
    net = Net.of(first, second, delay_s=delay_s)
    net.say(first, second, b"one")
    net.run(gap_s)
    net.say(second, first, b"two")
    net.run()
    assert net.heard(first) == [b"two"]
    assert net.heard(second) == [b"one"]
    ours, theirs = net[first]._links.get(peer(second).id).current, net[second]._links.get(peer(first).id).current
    assert (ours.index, ours.peer_index) == (theirs.peer_index, theirs.index)
    net.run(100)
    net.say(first, second, b"later")
    net.say(second, first, b"later too")
    net.run()
    assert net.heard(first)[-1] == b"later too"
    assert net.heard(second)[-1] == b"later"


def test_restarted_peer_is_found_again_and_payload_waits():
    net = Net.of(0, 1)
    net.say(0, 1, b"before")
    net.settle()
    net.run(1)
    net.nodes[address(1)] = node(1, seed=7)
    net.events.clear()
    net.log.clear()
    net.say(0, 1, b"lost")
    net.settle()
    net.say(0, 1, b"after")
    net.run(1)
    assert kinds(net)[:2] == [DATA, RESET]
    assert net.heard(1) == [b"after"]


def test_payload_waits_while_a_reset_is_looked_into():
    net = Net.of(0, 1)
    net.say(0, 1, b"before")
    net.run(1)
    net.nodes[address(1)] = node(1, seed=7)
    net.events.clear()
    net.say(0, 1, b"lost")
    net.drop = lambda data, _s, _t: data[0] == HELLO
    net.settle()
    net.say(0, 1, b"waits")
    net.settle()
    assert net.heard(1) == []
    net.drop = lambda _d, _s, _t: False
    net.run(1)
    assert net.heard(1) == [b"waits"]


@pytest.mark.parametrize(("stays", "restarts"), [(0, 1), (1, 0), (2, 1), (1, 2)])
@pytest.mark.parametrize("initiator", ["stays", "restarts"])
def test_restarted_node_says_hello_itself(stays, restarts, initiator):
    net = Net.of(stays, restarts)
    if initiator == "stays":
        net.say(stays, restarts, b"before")
    else:
        net.say(restarts, stays, b"before")
    net.run(1)
    net.nodes[address(restarts)] = node(restarts, seed=7)
    net.events.clear()
    net.say(restarts, stays, b"hello again")
    net.run(1)
    assert net.seen(stays)[0] == Established(peer=peer(restarts), again=True)
    assert net.heard(stays) == [b"hello again"]
    net.say(stays, restarts, b"welcome back")
    net.run(1)
    assert net.heard(restarts)[-1] == b"welcome back"


def test_forgotten_address_gets_a_new_hello():
    net = Net.of(0, 1)
    net.say(0, 1, b"one")
    net.settle()
    net[0].forget(address(1))
    assert net[0].peer_at(address(1)) is None
    assert net[0].peers() == []
    net.log.clear()
    net.say(0, 1, b"two")
    net.run()
    assert kinds(net)[0] == HELLO
    assert net.heard(1)[-1] == b"two"


def test_forgetting_ends_a_hello_under_way():
    net = Net.of(0)
    net.say(0, 1, b"one")
    net[0].forget(address(1))
    net.run(5)
    assert net.seen(0) == []
    assert net[0].next_deadline() is None


def test_peer_that_moves_is_followed_and_its_old_address_forgotten():
    net = Net.of(0, 1)
    net.say(1, 0, b"here")
    net.run(1)
    moved = node(1, seed=5)
    moved.own_address = address(4)
    del net.nodes[address(1)]
    net.nodes[address(4)] = moved
    moved.send(address(0), peer(0).id, b"there", net.now)
    net.run(1)
    assert net.heard(0) == [b"here", b"there"]
    assert net[0].peer_at(address(4)).id == peer(1).id
    assert net[0].peer_at(address(1)) is None


def test_many_nodes_under_loss_all_hear_each_other():
    rng = random.Random(5)
    net = Net.of(0, 1, 2, 3, 4, 5, drop=lambda _d, _s, _t: rng.random() < 0.05)
    for round_number in range(20):
        for source in range(6):
            for target in range(6):
                if source != target:
                    net.say(source, target, bytes([round_number, source]))
        net.run(1)
    assert not any(isinstance(event, Refused) for number in range(6) for event in net.seen(number))
    for target in range(6):
        assert len(net.heard(target)) > 0.9 * 20 * 5
        assert len(set(net.heard(target))) == len(net.heard(target))


def test_sizes_on_the_wire():
    net = Net.of(0, 1)
    net.say(0, 1, b"x" * 100)
    net.run()
    assert [len(data) for data, _, _ in net.log] == [HELLO_BYTES, ANSWER_BYTES, 133]
    assert HELLO_BYTES == 512
    assert ANSWER_BYTES < HELLO_BYTES


@pytest.mark.parametrize("bad", [("10.0.0.1", 0), ("localhost", 80), ("10.0.0.1", 70000), ("224.0.0.1", 80)])
def test_address_that_would_close_the_socket_is_our_own_mistake(bad):
    with pytest.raises(LocalError):
        node(0).send(bad, None, b"x", NOW)


def test_payload_over_the_cap_is_our_own_mistake():
    with pytest.raises(LocalError):
        node(0).send(address(1), None, b"x" * 8193, NOW)


def test_largest_payload_passes():
    net = Net.of(0, 1)
    net.say(0, 1, b"x" * 8192)
    net.run()
    assert net.heard(1) == [b"x" * 8192]


def test_renewed_credential_keeps_the_sessions():
    net = Net.of(0, 1)
    net.say(0, 1, b"one")
    net.settle()
    net[0].renew(identity(0, expires_at=NOW + 29 * 86_400))
    net.say(0, 1, b"two")
    net.run()
    assert net.heard(1) == [b"one", b"two"]
    with pytest.raises(LocalError):
        net[0].renew(identity(1))
