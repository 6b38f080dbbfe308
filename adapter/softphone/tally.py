"""The figures of a call, added up over its streams.  I/O: none; it reads PJSIP's values, in the child process alone."""

import re
from typing import Any

import pjsua2 as pj


class Tally:
    """Adds up the figures of a call's streams: a re-INVITE ends one and starts another."""

    def __init__(self) -> None:
        self._received = self._sent = self._lost = 0
        self._jitter_us = self._rtt_us = 0
        self._source = ""

    def add(self, statistics: pj.StreamStat, source: str) -> None:
        """Take over one stream's final figures and the address that its RTP came from."""
        heard, said = statistics.rtcp.rxStat, statistics.rtcp.txStat
        self._received += heard.pkt
        self._lost += heard.loss
        self._sent += said.pkt
        self._jitter_us = heard.jitterUsec.mean if heard.jitterUsec.n else self._jitter_us
        self._rtt_us = statistics.rtcp.rttUsec.mean if statistics.rtcp.rttUsec.n else self._rtt_us
        if re.fullmatch(r"[0-9.]+:[0-9]+", source) and not source.endswith(":0"):
            self._source = source

    def fields(self) -> dict[str, Any]:
        """Give the members of events.Ended."""
        return {
            "packets_received": self._received,
            "packets_sent": self._sent,
            "packets_lost": self._lost,
            "jitter_ms": round(self._jitter_us / 1000, 2),
            "rtt_ms": round(self._rtt_us / 1000, 2),
            "heard_from": self._source,
        }
