"""What became of each call of the built-in phone, for `secp2psip calls`.  I/O: files.

The adapter keeps who called whom and what proved it; only the phone knows whether anybody answered, for how long they
talked and how it sounded.
"""

import time
from pathlib import Path
from typing import Any, Final

from adapter.call_log import TALK, CallLog
from adapter.screen import Screen
from adapter.softphone import events

CALLER: Final = "caller"
CALLEE: Final = "callee"
_KEPT: Final = (
    "cause",
    "reason",
    "established",
    "duration_s",
    "codec",
    "packets_received",
    "packets_sent",
    "packets_lost",
    "packets_late",
    "packets_lost_there",
    "loss_percent",
    "jitter_ms",
    "rtt_ms",
    "delay_ms",
    "rating",
    "mos",
)
BUSY: Final = "busy"
PHONE_DIED: Final = "phone died"


class History:
    """Writes what became of calls into the state directory."""

    def __init__(self, state_dir: Path, screen: Screen) -> None:
        self._log = CallLog(state_dir)
        self._screen = screen

    def keep(
        self,
        over: events.Ended | events.ChildDied | events.Missed,
        *,
        side: str,
        caller: str,
        callee: str,
        call: str = "",
    ) -> None:
        """Keep the end of a call; `side` is ours, `call` the digest of its token, empty where it had none.

        A disk that takes nothing is told of and disturbs no call.
        """
        row = {"kind": TALK, "side": side, "caller": caller, "callee": callee, "call": call, TALK: talk_of(over)}
        try:
            self._log.keep(row, time.time())
        except OSError as error:
            text = f"this call is missing in secp2psip calls: {error.strerror or error}"
            self._screen.show({"event": "warning", "text": text, "hint": "is the disk full?"})


def talk_of(over: events.Ended | events.ChildDied | events.Missed) -> dict[str, Any]:
    """Return the end of a call as the history keeps it."""
    if isinstance(over, events.Missed):
        return {"cause": BUSY, "reason": "another call was up", "established": False}
    if isinstance(over, events.ChildDied):
        return {"cause": PHONE_DIED, "reason": over.reason, "established": False}
    found = {"status": over.status} | {name: getattr(over, name) for name in _KEPT}
    return found if over.packets_received else {name: found[name] for name in ("status", *_KEPT[:4])}
