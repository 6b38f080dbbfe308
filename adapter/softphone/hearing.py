"""What is heard in one call: counted every second while it is up, told, and summed up at its end.

I/O: none; it reads PJSIP's values. Run by the child process alone.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Final

import pjsua2 as pj

from adapter.softphone import events
from adapter.softphone.patience import SoundWatch
from adapter.softphone.quality import LATE, LOSS, LOSS_THERE, QualityWatch
from adapter.softphone.tally import Tally

COUNT_EVERY_S: Final = 1.0
"""How often the packets are counted."""
TELL_EVERY_S: Final = 5.0
"""How often the figures are told; a trouble is told as soon as it is seen."""


class Hearing:
    """The sound of one call, from Established on; a hold interrupts it."""

    def __init__(self, emit: Callable[[events.CallEvent], None]) -> None:
        self._emit = emit
        self._tally = Tally()
        self._quality = QualityWatch(0.0)
        self._silence: SoundWatch | None = None
        self._is_held = False
        self._count_at = self._tell_at = 0.0

    @property
    def has_begun(self) -> bool:
        """The call is established."""
        return self._silence is not None

    def begin(self, codec: str, now: float) -> None:
        """Expect sound from now on."""
        self._tally.begin(codec)
        self._silence, self._quality = SoundWatch(now), QualityWatch(now)
        self._tell_at = now + TELL_EVERY_S

    def hold(self, *, on: bool, now: float) -> None:
        """Expect none while the call is on hold, and for the full time after it."""
        self._is_held = on
        if self._silence is not None:
            self._silence = SoundWatch(now)
            self._quality.forget()

    def stream_ended(self, statistics: pj.StreamStat, source: str) -> None:
        """Take a stream's final figures and the `host:port` that its RTP came from."""
        self._tally.add(statistics, source)

    def listen(self, call: pj.Call, now: float) -> str | None:
        """Count where it is due; say why the call has to end, or nothing."""
        silence = self._silence
        if silence is None or self._is_held or now - self._count_at < COUNT_EVERY_S:
            return None
        self._count_at = now
        with contextlib.suppress(pj.Error):  # no stream just now, as between two offers: counts as silence
            statistics = call.getStreamStat(0)
            silence.count(statistics.rtcp.rxStat.pkt, now)
            if not silence.is_silent(now):  # nothing can be said of sound that does not come
                self._judge(statistics, now)
        if (silence_s := silence.warning(now)) is not None:
            self._emit(events.AudioLost(at=now, seconds=round(silence_s, 1)))
        return silence.run_out(now)

    def fields(self) -> dict[str, Any]:
        """Give the figures of the whole call: members of events.Ended."""
        return self._tally.fields()

    def _judge(self, statistics: pj.StreamStat, now: float) -> None:
        changes = self._quality.note(self._tally.with_stream(statistics), now)
        for change in changes:
            self._emit(events.Troubled(at=now, trouble=change.trouble, on=change.on, figure=round(change.figure, 4)))
        if not changes and now < self._tell_at:
            return
        self._tell_at = now + TELL_EVERY_S
        recent, codec = self._quality.recent(), self._tally.codec
        self._emit(
            events.Quality(
                at=now,
                codec=codec,
                loss_percent=round(100 * recent.share(LOSS), 2),
                late_percent=round(100 * recent.share(LATE), 2),
                loss_there_percent=round(100 * recent.share(LOSS_THERE), 2),
                jitter_ms=round(recent.jitter_ms, 2),
                rtt_ms=round(recent.rtt_ms, 2),
                delay_ms=round(recent.delay_ms, 1),
                rating=round(recent.rating(codec), 1),
                mos=round(recent.mean_opinion(codec), 2),
            )
        )
