"""The figures of a call, added up over its streams.  I/O: none; it reads PJSIP's values, in the child process alone."""

import re
from dataclasses import replace
from typing import Any

import pjsua2 as pj

from adapter.softphone.quality import LATE, LOSS, Counts


class Tally:
    """Adds up the figures of a call's streams: a re-INVITE ends one and starts another."""

    def __init__(self) -> None:
        self._ended = Counts()
        self._source = self._codec = ""

    def begin(self, codec: str) -> None:
        """Note the codec of the stream that begins."""
        self._codec = codec or self._codec

    @property
    def codec(self) -> str:
        """Such as `G722`; empty while there was none."""
        return self._codec

    def add(self, statistics: pj.StreamStat, source: str) -> None:
        """Take over one stream's final figures and the address that its RTP came from."""
        jitter = statistics.rtcp.rxStat.jitterUsec
        total = self.with_stream(statistics)
        self._ended = replace(total, jitter_ms=jitter.mean / 1000 if jitter.n else self._ended.jitter_ms)
        if re.fullmatch(r"[0-9.]+:[0-9]+", source) and not source.endswith(":0"):
            self._source = source

    def with_stream(self, statistics: pj.StreamStat) -> Counts:
        """Return the figures of the whole call, the stream that runs among them; its times are the latest."""
        ended = self._ended
        heard, said, around = statistics.rtcp.rxStat, statistics.rtcp.txStat, statistics.rtcp.rttUsec
        return Counts(
            received=ended.received + heard.pkt,
            lost=ended.lost + heard.loss,
            late=ended.late + heard.discard,
            sent=ended.sent + said.pkt,
            lost_there=ended.lost_there + said.loss,
            jitter_ms=heard.jitterUsec.last / 1000 if heard.jitterUsec.n else ended.jitter_ms,
            rtt_ms=around.last / 1000 if around.n else ended.rtt_ms,
            buffer_ms=statistics.jbuf.avgDelayMsec or ended.buffer_ms,
        )

    def fields(self) -> dict[str, Any]:
        """Give the members of events.Ended."""
        ended = self._ended
        judged = ended.received > 0
        return {
            "packets_received": ended.received,
            "packets_sent": ended.sent,
            "packets_lost": ended.lost,
            "packets_late": ended.late,
            "packets_lost_there": ended.lost_there,
            "loss_percent": round(100 * (ended.share(LOSS) + ended.share(LATE)), 2),
            "jitter_ms": round(ended.jitter_ms, 2),
            "rtt_ms": round(ended.rtt_ms, 2),
            "delay_ms": round(ended.delay_ms, 1) if judged else 0.0,
            "codec": self._codec,
            "rating": round(ended.rating(self._codec), 1) if judged else 0.0,
            "mos": round(ended.mean_opinion(self._codec), 2) if judged else 0.0,
            "heard_from": self._source,
        }
