"""Who gets to the lookup during a flood: known pairs and first-time callers; what a flood gets."""

import random

from adapter.calls import lanes
from adapter.calls.lanes import FIRST_BURST, PLACES, Lane, Lanes
from adapter.calls.standing import STANDING_S
from overlay.ring.ids import RingId

ALICE, BOBBY = RingId(1), RingId(2)
EVIL = [RingId(1000 + number) for number in range(60)]
PER_S = 1000
SECONDS = 20
LOOKUP_S, IN_VAIN_S = 0.05, 2.4
"""What a lookup takes, and one of a name that nobody has."""
ALL_JUDGED_S = 11
"""By then each evil node had one INVITE looked up and failed, be it with its second try as a first caller."""


class Callee:
    """What the door does with the lanes: looks up whom they let pass, and says what came of it after LOOKUP_S."""

    def __init__(self):
        self.lanes, self.now = Lanes(now=0.0), 0.0
        self.running = []
        self.lookups = []

    def at(self, now):
        self.now = now
        while self.running and self.running[0][0] <= now:
            _, node, caller, is_true, lane = self.running.pop(0)
            self.lanes.settled(node, lane)
            tell = self.lanes.proved if is_true else self.lanes.doubted
            tell(node, caller, now)

    def invite(self, node, caller, *, is_true):
        lane = self.lanes.enter(node, self.now)
        if lane is None:
            return False
        lane = self.lanes.may_look_up(lane, node, caller, running=len(self.running), now=self.now)
        if lane is None:
            return False
        self.running.append((self.now + (LOOKUP_S if is_true else IN_VAIN_S), node, caller, is_true, lane))
        self.running.sort(key=lambda one: one[0])
        self.lookups.append((self.now, node))
        return True


def flood(callee, *, nodes, names, good, begin=0.0):
    """Send a thousand forged INVITEs a second, and let `good(second)` call between them; who came through."""
    through = []
    for tick in range(SECONDS * PER_S):
        callee.at(begin + tick / PER_S)
        callee.invite(nodes[tick % len(nodes)], names[tick % len(names)], is_true=False)
        if tick % PER_S == PER_S // 2:
            node, caller = good(tick // PER_S)
            through.append(callee.invite(node, caller, is_true=True))
    return through


def forged(callee):
    return sum(node in EVIL for _, node in callee.lookups)


def late(callee):
    return sum(node in EVIL and at > ALL_JUDGED_S for at, node in callee.lookups)


NAMES = [f"n{number}" for number in range(500)]


def test_who_calls_for_the_first_time_gets_through_a_flood_of_many_nodes_and_names():
    callee = Callee()
    assert all(flood(callee, nodes=EVIL, names=NAMES, good=lambda second: (RingId(10 + second), f"new{second}")))


def test_who_is_named_by_the_whole_flood_gets_through_it_too():
    callee = Callee()
    assert all(flood(callee, nodes=EVIL, names=["alice"], good=lambda _: (ALICE, "alice")))


def test_a_flood_of_forged_names_makes_few_lookups():
    callee = Callee()
    flood(callee, nodes=EVIL, names=NAMES, good=lambda _: (ALICE, "alice"))
    most = len(EVIL) * 2 + lanes.CROWD_LOOKUPS[0] + SECONDS * lanes.CROWD_LOOKUPS[1]
    assert forged(callee) < most
    assert late(callee) <= (SECONDS - ALL_JUDGED_S) * lanes.CROWD_LOOKUPS[1] + 1


def test_a_flood_under_one_name_makes_fewer_still():
    callee = Callee()
    flood(callee, nodes=EVIL, names=["alice"], good=lambda _: (ALICE, "alice"))
    burst, per_s = lanes.PER_CALLER[Lane.CROWD]
    assert late(callee) <= burst + per_s * (SECONDS - ALL_JUDGED_S)


def test_a_name_of_ones_own_opens_no_lane_for_borrowed_ones():
    """An evil node proves its own name again and again, and forges others between."""
    callee = Callee()
    for tick in range(SECONDS * 10):
        callee.at(tick / 10)
        callee.invite(EVIL[0], "mallory", is_true=True)
        callee.invite(EVIL[0], NAMES[tick], is_true=False)
    proofs = sum(is_true for _, _, _, is_true, _ in callee.running)
    assert proofs <= PLACES[Lane.KNOWN]
    # one that is proved brings no more than a few others before it: its own few INVITEs a minute
    callee.at(SECONDS + 1)
    before = len(callee.lookups)
    for number in range(100):
        callee.invite(EVIL[0], f"other{number}", is_true=False)
    burst, _ = lanes.CROWD_LOOKUPS
    assert len(callee.lookups) - before <= FIRST_BURST + burst


def test_known_callers_who_flood_keep_no_first_caller_out():
    """Thirty nodes with names of their own send five proved INVITEs a second each: the lane of the known is full."""
    callee = Callee()
    crowd = EVIL[:30]
    through = []
    for tick in range(10 * 150):
        callee.at(tick / 150)
        node = tick % len(crowd)
        callee.invite(crowd[node], f"own{node}", is_true=True)
        if tick % 150 == 75:
            through.append(callee.invite(RingId(10 + tick), f"new{tick}", is_true=True))
    assert all(through)


def test_one_that_failed_waits_with_the_crowd_for_an_hour_or_until_it_is_proved():
    dealt = Lanes(now=0.0)
    assert dealt.enter(ALICE, 0.0) is Lane.FIRST
    dealt.doubted(ALICE, "alice", 1.0)
    assert dealt.enter(ALICE, 2.0) is Lane.CROWD
    assert dealt.enter(ALICE, STANDING_S + 2) is Lane.FIRST
    dealt.doubted(ALICE, "alice", STANDING_S + 3)
    dealt.proved(ALICE, "alice", STANDING_S + 4)
    assert dealt.enter(ALICE, STANDING_S + 5) is Lane.KNOWN


def test_a_proof_is_of_a_node_with_a_name():
    dealt = Lanes(now=0.0)
    dealt.proved(ALICE, "alice", 0.0)
    full = PLACES[Lane.FIRST]
    assert dealt.may_look_up(Lane.KNOWN, ALICE, "alice", running=full, now=1.0)
    assert not dealt.may_look_up(Lane.KNOWN, ALICE, "bob", running=full, now=1.0)
    assert not dealt.may_look_up(Lane.KNOWN, BOBBY, "alice", running=full, now=1.0)


def test_a_first_caller_is_one_at_a_time():
    dealt = Lanes(now=0.0)
    assert dealt.enter(ALICE, 0.0) is Lane.FIRST
    assert dealt.enter(ALICE, 0.1) is Lane.CROWD
    dealt.settled(ALICE, Lane.CROWD)  # of the second one, which tells nothing of the first
    assert dealt.enter(ALICE, 0.2) is Lane.CROWD
    dealt.settled(ALICE, Lane.FIRST)
    assert dealt.enter(ALICE, 0.3) is Lane.FIRST
    assert dealt.enter(ALICE, 0.3 + lanes.UNDER_WAY_S) is Lane.FIRST  # nobody ever settled it


def test_one_caller_has_one_rate_however_many_nodes_he_has():
    dealt = Lanes(now=0.0)
    for node in EVIL:
        dealt.proved(node, "mallory", 0.0)
    passed = [dealt.may_look_up(Lane.KNOWN, node, "mallory", running=0, now=0.0) for node in EVIL]
    assert passed.count(Lane.KNOWN) == lanes.BURST_PER_SOURCE


def test_whoever_raises_the_rate_of_a_node_raises_every_bound():
    wide = Lanes(now=0.0, per_node_s=100 * lanes.RATE_PER_SOURCE)
    rng = random.Random(1)
    assert all(wide.enter(rng.choice(EVIL), 0.0) is not None for _ in range(5_000))
