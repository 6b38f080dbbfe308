"""How long a call may stay without a sign of life: while it is set up, and once sound should run.

I/O: none; `now` is seconds of a monotonic clock. PJSIP alone would wait 32 s for a dead address and for ever for a
phone that rings or has gone silent; its timers cannot be set through pjsua2.
"""

from typing import Final, Self

NO_ANSWER_S: Final = 4.0
"""An INVITE that gets no answer at all, not even 100: the address is dead (retransmitted at 0.5, 1.5 and 3.5 s)."""
PROCEEDING_S: Final = 32.0
"""100 and then nothing: as long as a transaction may last without it. [RFC 3261 §17.1.1.2, timer B]"""
RINGING_S: Final = 180.0
"""A phone that rings and is not answered. [RFC 3261 §16.6, timer C]"""
SILENCE_WARNED_S: Final = 3.0
"""No RTP for this long is reported once."""
SILENCE_ENDS_S: Final = 10.0
"""No RTP for this long ends the call [docs/conformance.md]."""


class Patience:
    """Watches one call, ours or another's, until it is established."""

    __slots__ = ("_cause", "_deadline", "_why")

    def __init__(self, *, cause: str, why: str, deadline: float) -> None:
        """Be patient until `deadline`; then `cause` (of events.CAUSES) and `why` say what was waited for in vain."""
        self._cause = cause
        self._why = why
        self._deadline = deadline

    @classmethod
    def invited(cls, target: str, now: float) -> Self:
        """Start with an INVITE to `target`: the first, or the one after a 302."""
        why = f"no answer from {target} for {NO_ANSWER_S:.0f} s"
        return cls(cause="unreachable", why=why, deadline=now + NO_ANSWER_S)

    @classmethod
    def proceeding(cls, target: str, now: float) -> Self:
        """Go on after 100: the target lives, and should say more soon."""
        why = f"{target} said nothing more for {PROCEEDING_S:.0f} s"
        return cls(cause="unreachable", why=why, deadline=now + PROCEEDING_S)

    @classmethod
    def ringing(cls, now: float) -> Self:
        """Go on while a phone rings: a person may be on the way to it."""
        return cls(cause="not answered", why=f"nobody answered for {RINGING_S:.0f} s", deadline=now + RINGING_S)

    def run_out(self, now: float) -> tuple[str, str] | None:
        """Give cause and words of what was waited for in vain, or None while there is time left."""
        return (self._cause, self._why) if now >= self._deadline else None


class SoundWatch:
    """Watches the count of received RTP packets of an established call."""

    __slots__ = ("_count", "_heard_at", "_warned")

    def __init__(self, now: float) -> None:
        """Start when the call is established: the first packet has the full time to come."""
        self._count = 0
        self._heard_at = now
        self._warned = False

    def count(self, packets: int, now: float) -> None:
        """Note the stream's count; a re-INVITE starts it anew, so that any change is a sign of life."""
        if packets != self._count:
            self._count = packets
            self._heard_at = now
            self._warned = False

    def is_silent(self, now: float) -> bool:
        """Tell whether the latest count was the one before."""
        return now > self._heard_at

    def warning(self, now: float) -> float | None:
        """Give the seconds of silence, once for each silence of SILENCE_WARNED_S or more; else None."""
        silence_s = now - self._heard_at
        if self._warned or silence_s < SILENCE_WARNED_S:
            return None
        self._warned = True
        return silence_s

    def run_out(self, now: float) -> str | None:
        """Say why the call has to end, or None while sound comes or silence is still short."""
        if now - self._heard_at < SILENCE_ENDS_S:
            return None
        return f"no sound from the other side for {SILENCE_ENDS_S:.0f} s"
