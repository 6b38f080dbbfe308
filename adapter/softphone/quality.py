"""How a call goes just now: its last seconds in figures, and the troubles worth telling a person.

I/O: none; `now` is seconds of a monotonic clock. A trouble begins at one threshold and ends well below it, after a
while of calm, and not on the strength of a few packets: what is told, is told once.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapter.softphone.emodel import CONCEALED, IMPAIRMENTS, mean_opinion, rating

WINDOW_S: Final = 10.0
"""What counts as just now; the other side's reports come every 5 s [RFC 3550 §6.2]."""
ENOUGH_PACKETS: Final = 100
"""Two seconds of sound: fewer say nothing about a share."""
CALM_S: Final = 5.0
"""How long a trouble has to be below its lower threshold before it is over."""
PACKET_MS: Final = 20.0
"""One packet is filled before it goes, and one frame waits for its turn at the other end."""

LOSS: Final = "loss"
LOSS_THERE: Final = "loss there"
LATE: Final = "late"
DELAY: Final = "delay"
TROUBLES: Final[Mapping[str, tuple[float, float]]] = {
    LOSS: (0.03, 0.01),
    LOSS_THERE: (0.03, 0.01),
    LATE: (0.03, 0.01),
    DELAY: (300.0, 250.0),
}
"""What may go wrong, where it begins and where it ends: shares of packets, and milliseconds from mouth to ear.
3 % of loss is where concealment begins to be heard; 300 ms is where two people begin to talk at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The figures of a call from its beginning on."""

    received: int = 0
    lost: int = 0
    """Packets that the sequence numbers say should have come."""
    late: int = 0
    """Packets that came after their turn and were thrown away."""
    sent: int = 0
    lost_there: int = 0
    """Packets of ours that the other side says it lacks."""
    jitter_ms: float = 0.0
    rtt_ms: float = 0.0
    """By the other side's reports; 0.0 before the first, some 5 s into the call."""
    buffer_ms: float = 0.0
    """How long the sound that came is held back."""

    def since(self, before: "Counts") -> "Counts":
        """Return what was counted after `before`; the times are as they are now."""
        return Counts(
            received=self.received - before.received,
            lost=max(0, self.lost - before.lost),  # a late packet is no longer counted as lost
            late=self.late - before.late,
            sent=self.sent - before.sent,
            lost_there=max(0, self.lost_there - before.lost_there),
            jitter_ms=self.jitter_ms,
            rtt_ms=self.rtt_ms,
            buffer_ms=self.buffer_ms,
        )

    @property
    def delay_ms(self) -> float:
        """From mouth to ear, without what microphone and loudspeaker take."""
        return self.rtt_ms / 2 + self.buffer_ms + 2 * PACKET_MS

    def share(self, trouble: str) -> float:
        """Return the figure of one of TROUBLES, 0.0 where too little was counted to tell."""
        heard = self.received + self.lost
        match trouble:
            case "loss":
                return self.lost / heard if heard >= ENOUGH_PACKETS else 0.0
            case "late":
                return self.late / heard if heard >= ENOUGH_PACKETS else 0.0
            case "loss there":
                return min(1.0, self.lost_there / self.sent) if self.sent >= ENOUGH_PACKETS else 0.0
        return self.delay_ms

    def rating(self, codec: str) -> float:
        """Return R of what is heard here: a packet that was lost and one that came too late are the same to the ear."""
        loss = self.share(LOSS) + self.share(LATE)
        return rating(delay_ms=self.delay_ms, loss=loss, impairment=IMPAIRMENTS.get(codec, CONCEALED))

    def mean_opinion(self, codec: str) -> float:
        """Return the mean opinion score of what is heard here."""
        return mean_opinion(self.rating(codec))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A trouble that began or is over."""

    trouble: str
    on: bool
    figure: float


@dataclass(slots=True)
class _Trouble:
    on: bool = False
    calm_since: float | None = None


class QualityWatch:
    """Watches one call that is up."""

    def __init__(self, now: float) -> None:
        """Begin with a call of which nothing was counted yet."""
        self._samples = deque([(now, Counts())])
        self._troubles = {name: _Trouble() for name in TROUBLES}

    def note(self, counts: Counts, now: float) -> tuple[Change, ...]:
        """Take the figures of the whole call so far; return what changed for a person."""
        self._samples.append((now, counts))
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        recent = self.recent()
        changes = (self._judge(name, recent.share(name), now) for name in TROUBLES)
        return tuple(change for change in changes if change is not None)

    def forget(self) -> None:
        """Begin the window anew, as after a hold: what was lost meanwhile was not meant to be heard."""
        self._samples.clear()

    def recent(self) -> Counts:
        """Return what the window holds."""
        if not self._samples:
            return Counts()
        return self._samples[-1][1].since(self._samples[0][1])

    def _judge(self, name: str, figure: float, now: float) -> Change | None:
        begins, ends = TROUBLES[name]
        trouble = self._troubles[name]
        if not trouble.on:
            trouble.on = figure >= begins
            trouble.calm_since = None
            return Change(trouble=name, on=True, figure=figure) if trouble.on else None
        if figure >= ends:
            trouble.calm_since = None
        elif trouble.calm_since is None:
            trouble.calm_since = now
        elif now - trouble.calm_since >= CALM_S:
            trouble.on = False
            return Change(trouble=name, on=False, figure=figure)
        return None
