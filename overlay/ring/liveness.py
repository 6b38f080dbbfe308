"""What is known of each peer's health: its round-trip time, its silences, whether to suspect it.  I/O: none.

One silence makes a suspect, which look-ups pass over for a minute; three silences, one after the other, make a dead
node. Calls that were under way at the same moment count as one silence: five look-ups that meet one stalled node do not
bury it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from overlay.ring.retransmission import RoundTripEstimator

if TYPE_CHECKING:
    from overlay.ring.ids import RingId

SUSPECT_S: Final = 60.0
"""How long a silent node is passed over, unless it speaks before."""
MISSES_TO_DROP: Final = 3
MAX_KNOWN: Final = 2048
"""Peers of which something is remembered; who was met longest ago is forgotten first."""


_NOBODY: Final[frozenset[RingId]] = frozenset()


@dataclass(slots=True)
class _Health:
    round_trip: RoundTripEstimator = field(default_factory=RoundTripEstimator)
    misses: int = 0
    missed_at: float = 0.0


class Liveness:
    """Health of peers by id."""

    __slots__ = ("_known", "_suspects", "anybody")

    def __init__(self) -> None:
        self._known: OrderedDict[RingId, _Health] = OrderedDict()
        self._suspects: dict[RingId, float] = {}
        self.anybody = RoundTripEstimator()
        """Round trips to all peers together: what to expect of a stranger."""

    def round_trip(self, peer: RingId) -> RoundTripEstimator:
        """Return the estimator of one peer, a new one for a stranger."""
        return self._health(peer).round_trip

    def srtt_s(self, peer: RingId) -> float | None:
        """Return the smoothed round-trip time of a peer in seconds, None where nothing was measured."""
        health = self._known.get(peer)
        return None if health is None else health.round_trip.srtt_s

    def heard(self, peer: RingId) -> bool:
        """Take note that an authentic message of this peer came in; tell whether it was under suspicion."""
        health = self._known.get(peer)
        if health is not None:
            health.misses = 0
        return self._suspects.pop(peer, None) is not None

    def missed(self, peer: RingId, *, begun_at: float, now: float) -> bool:
        """Take note that a request begun at `begun_at` was given up; tell whether the peer counts as dead now."""
        health = self._health(peer)
        if health.misses == 0 or begun_at >= health.missed_at:
            health.misses += 1
            health.missed_at = self._suspects[peer] = now
        return health.misses >= MISSES_TO_DROP

    def is_suspect(self, peer: RingId, now: float) -> bool:
        """Tell whether a peer was silent lately and has not spoken since."""
        missed_at = self._suspects.get(peer)
        return missed_at is not None and now - missed_at < SUSPECT_S

    def suspects(self, now: float) -> frozenset[RingId]:
        """Return all that were silent lately and have not spoken since."""
        if not self._suspects:
            return _NOBODY
        for peer in [peer for peer, missed_at in self._suspects.items() if now - missed_at >= SUSPECT_S]:
            del self._suspects[peer]
        return frozenset(self._suspects)

    def forget(self, peer: RingId) -> None:
        """Start afresh with a peer."""
        self._known.pop(peer, None)
        self._suspects.pop(peer, None)

    def _health(self, peer: RingId) -> _Health:
        health = self._known.get(peer)
        if health is None:
            health = self._known[peer] = _Health()
            if len(self._known) > MAX_KNOWN:
                self._suspects.pop(self._known.popitem(last=False)[0], None)
        else:
            self._known.move_to_end(peer)
        return health
