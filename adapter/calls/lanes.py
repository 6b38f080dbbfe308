"""Three lanes to the lookup, so that no flood keeps a good call out: known pairs, first calls, the crowd.

Pure: time is an argument.  [docs/adr/0023]

To verify an INVITE the caller's key has to be looked up, a dozen questions to other nodes.  Who sent it is certain (the
ring proves the node), whom it names is not.  So what anybody may claim must cost a claimant alone, and each lane has a
budget that the others cannot use up:

    KNOWN   the node proved this caller within the hour, and both within their rate
    FIRST   the node keeps to a few INVITEs a minute, one after the other, and none of the last hour failed: a person
            who calls, also for the first time, is always in here; a flood leaves it with its first INVITE
    CROWD   everything else, up to the rate of a node: looked at, and looked up a few times a second

It takes two steps.  `enter` comes before anything is decrypted and knows the node alone; `may_look_up` comes last and
knows the caller whom the INVITE names.  There the named caller has a rate of his own: members of the crowd who all
borrow one name get a few lookups between them and take nothing from its owner, who is in another lane.
"""

import math
from collections import OrderedDict
from enum import Enum

from adapter.calls.rates import Bucket, RateLimiter
from adapter.calls.standing import Standing
from overlay.ring.ids import RingId

RATE_PER_SOURCE = 5.0
"""INVITEs that one node, and one caller in the lane KNOWN, may send a second."""
BURST_PER_SOURCE = 20
"""How many of them at once."""
FIRST_BURST, FIRST_PER_S = 5, 0.1
"""The INVITEs of one node that count as a person's: so many at once, and six a minute."""


class Lane(Enum):
    """Where an INVITE goes through, best first."""

    KNOWN = "known"
    FIRST = "first"
    CROWD = "crowd"


TOTAL: dict[Lane, tuple[int, float]] = {Lane.KNOWN: (100, 50.0), Lane.FIRST: (50, 25.0), Lane.CROWD: (100, 50.0)}
"""INVITEs of all nodes together that each lane lets in: at once, and per second after that."""
PER_CALLER: dict[Lane, tuple[int, float]] = {
    Lane.KNOWN: (BURST_PER_SOURCE, RATE_PER_SOURCE),
    Lane.CROWD: (2, 0.2),
}
"""Lookups of one named caller.  None in FIRST: there a name that many borrow must not be closed to its owner, and
lookups of one name that run at the same time are one (`adapter.recent`)."""
CROWD_LOOKUPS = (10, 5.0)
"""Lookups that the crowd gets altogether."""
PLACES: dict[Lane, int] = {Lane.KNOWN: 128, Lane.FIRST: 112, Lane.CROWD: 8}
"""How many lookups may run when one more is begun.  One of a name that nobody has takes up to 2.4 s and does little but
wait: what FIRST lets in meanwhile has room, so that names which do not exist keep nobody out."""
UNDER_WAY_S = 5.0
"""How long an INVITE counts as under way that nobody settles."""


class Lanes:
    """Decides for each INVITE how far it may go; whoever proves or doubts callers tells it."""

    def __init__(self, *, now: float, per_node_s: float = RATE_PER_SOURCE) -> None:
        """`per_node_s` is how many INVITEs a second one node may send; more than RATE_PER_SOURCE raises every bound."""
        share = per_node_s / RATE_PER_SOURCE
        self._grow = max(1.0, share)
        self._nodes = RateLimiter(burst=math.ceil(BURST_PER_SOURCE * share), per_s=per_node_s, now=now)
        self._firsts = self._limiter((FIRST_BURST, FIRST_PER_S), now)
        self._totals = {lane: self._bucket(TOTAL[lane], now) for lane in Lane}
        self._callers = {lane: self._limiter(rate, now) for lane, rate in PER_CALLER.items()}
        self._crowd_lookups = self._bucket(CROWD_LOOKUPS, now)
        self._good, self._pairs, self._failed = Standing(), Standing(), Standing()
        self._under_way: OrderedDict[RingId, float] = OrderedDict()  # node -> until when; in the lane FIRST

    def enter(self, node: RingId, now: float) -> Lane | None:
        """Return the best lane that is open to a node's next INVITE, and count it there; None: it goes no further."""
        if not self._nodes.allows(node, now):
            return None
        if self._good.is_good(node, now) and self._totals[Lane.KNOWN].take(now):
            return Lane.KNOWN
        if self._enters_first(node, now):
            return Lane.FIRST
        return Lane.CROWD if self._totals[Lane.CROWD].take(now) else None

    def may_look_up(self, lane: Lane, node: RingId, caller: str, *, running: int, now: float) -> Lane | None:
        """Return by which lane the caller whom an INVITE names may be looked up, None: not now.

        It entered by `lane`, and `running` others are being looked up. Whoever enters FIRST is to be settled.
        """
        if lane is Lane.KNOWN and not self._pairs.is_good((node, caller), now):
            # good for another name: whoever has one name of his own must not borrow others by it
            lane = Lane.FIRST if self._enters_first(node, now) else Lane.CROWD
        may = (
            running < PLACES[lane]
            and (lane not in self._callers or self._callers[lane].allows(caller, now))
            and (lane is not Lane.CROWD or self._crowd_lookups.take(now))
        )
        if not may:
            self.settled(node, lane)
        return lane if may else None

    def settled(self, node: RingId, lane: Lane) -> None:
        """Take note that an INVITE of this node, by this lane, was answered, or will not be."""
        if lane is Lane.FIRST:
            self._under_way.pop(node, None)

    def proved(self, node: RingId, caller: str, now: float) -> None:
        """Take note that an INVITE of this node bore its caller's true signature."""
        self._good.proved(node, now)
        self._pairs.proved((node, caller), now)
        self._failed.doubted(node)

    def doubted(self, node: RingId, caller: str, now: float) -> None:
        """Take note that an INVITE of this node could not be proved."""
        self._good.doubted(node)
        self._pairs.doubted((node, caller))
        self._failed.proved(node, now)

    def _enters_first(self, node: RingId, now: float) -> bool:
        while self._under_way and next(iter(self._under_way.values())) <= now:
            self._under_way.popitem(last=False)
        if node in self._under_way or self._failed.is_good(node, now):
            return False
        if not self._firsts.allows(node, now) or not self._totals[Lane.FIRST].take(now):
            return False
        self._under_way[node] = now + UNDER_WAY_S
        return True

    def _bucket(self, rate: tuple[int, float], now: float) -> Bucket:
        return Bucket(burst=math.ceil(rate[0] * self._grow), per_s=rate[1] * self._grow, now=now)

    def _limiter(self, rate: tuple[int, float], now: float) -> RateLimiter:
        return RateLimiter(burst=math.ceil(rate[0] * self._grow), per_s=rate[1] * self._grow, now=now)
