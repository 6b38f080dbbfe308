"""When to send a request again, and when to give up.  I/O: none.

The estimator is RFC 6298's with Karn's rule: an answer to a request that was sent twice measures nothing. Floor and
ceiling are those of a local network, because a dead node must cost a look-up less than a second and retransmission is
what keeps successors exact under loss, not a nicety: single shots miss 9 of 150 first successors at 5 % loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from overlay.errors import LocalError

INITIAL_RTO_S: Final = 0.15
"""Before anything was measured [RFC 6298 §2.1 says one second, for the whole Internet]."""
MIN_RTO_S: Final = 0.1
"""Above the stalls of an event loop that commits to a disk."""
MAX_RTO_S: Final = 0.3
"""Three of these are the most that a silent node costs."""
CLOCK_GRANULARITY_S: Final = 0.001
_ALPHA: Final = 1 / 8
_BETA: Final = 1 / 4
_K: Final = 4


class RoundTripEstimator:
    """Smoothed round-trip time of one peer and the timeout that follows from it [RFC 6298 §2]."""

    __slots__ = ("_rttvar", "_srtt")

    def __init__(self) -> None:
        self._srtt: float | None = None
        self._rttvar = 0.0

    @property
    def srtt_s(self) -> float | None:
        """Smoothed round-trip time in seconds, None before the first sample."""
        return self._srtt

    @property
    def rto_s(self) -> float:
        """Seconds of silence after which a request is sent again, within MIN_RTO_S and MAX_RTO_S."""
        if self._srtt is None:
            return INITIAL_RTO_S
        rto = self._srtt + max(CLOCK_GRANULARITY_S, _K * self._rttvar)
        return min(MAX_RTO_S, max(MIN_RTO_S, rto))

    @property
    def timeout_s(self) -> float | None:
        """The same without floor and ceiling, None before the first sample: for who has bounds of its own."""
        return None if self._srtt is None else self._srtt + max(CLOCK_GRANULARITY_S, _K * self._rttvar)

    def sample(self, rtt_s: float, *, transmissions: int) -> None:
        """Take the time between a request and its answer; ignored unless it was sent just once [Karn 1987].

        LocalError on a negative time or no transmission at all.
        """
        if rtt_s < 0 or transmissions < 1:
            raise LocalError("a round trip takes time and a transmission")
        if transmissions > 1:
            return
        if self._srtt is None:
            self._srtt = rtt_s
            self._rttvar = rtt_s / 2
            return
        self._rttvar = (1 - _BETA) * self._rttvar + _BETA * abs(self._srtt - rtt_s)
        self._srtt = (1 - _ALPHA) * self._srtt + _ALPHA * rtt_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a request is repeated: the gaps between transmissions, in units of the RTO, and the end."""

    gaps: tuple[float, ...]
    """Gap before the second transmission, before the third, ..., and from the last transmission to giving up."""
    limit_s: float
    """Seconds after the first transmission at which it is given up in any case."""

    def __post_init__(self) -> None:
        if not self.gaps or min(self.gaps) <= 0 or self.limit_s <= 0:
            raise LocalError("patience needs positive gaps and a limit")

    def schedule(self, rto_s: float) -> tuple[float, ...]:
        """Return the seconds after the first transmission at which to send again, the last one being the end."""
        times: list[float] = []
        at = 0.0
        for gap in self.gaps:
            at += gap * rto_s
            if at >= self.limit_s:
                break
            times.append(at)
        if len(times) == len(self.gaps):
            return tuple(times)
        return (*times, self.limit_s)


QUICK: Final = Patience(gaps=(1, 0.5, 0.5, 0.5, 0.5), limit_s=0.9)
"""Look-ups: five transmissions in three RTOs; at 5 % loss each way one living node in 100,000 is taken for dead. With
four it was one in 10,000, and so a wrong successor in some thousand look-ups."""
BRIEF: Final = Patience(gaps=(1, 1), limit_s=0.9)
"""Pings of a suspect, of which it takes two more to bury it: two transmissions each."""
PATIENT: Final = Patience(gaps=(1, 2, 2, 2), limit_s=0.95)
"""Stores, fetches and lines: nobody else can answer, so four transmissions, further apart."""
