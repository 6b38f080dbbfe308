"""How a request is turned down: one exception that carries the answer.  I/O: none.

Reason phrases are what a phone shows on its display, so they say what its owner can do, in a few words; the Warning
header says it again for phones that show that instead [RFC 3261 §20.43, §21].
"""

from __future__ import annotations

from typing import Final

from adapter.sip.grammar import quote
from overlay.errors import RemoteError

WARN_AGENT: Final = "secp2psip"
MISCELLANEOUS_WARNING: Final = 399
"""The warning code for text that a human reads [RFC 3261 §20.43]."""

REASONS: Final = {
    100: "Trying",
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    423: "Interval Too Brief",
    438: "Caller Cannot Be Verified",
    480: "Temporarily Unavailable",
    481: "Call Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    489: "Bad Event",
    500: "Server Internal Error",
    503: "Service Unavailable",
    505: "Version Not Supported",
    603: "Decline",
}

Headers = tuple[tuple[str, str], ...]


class Refusal(RemoteError):
    """A request that is answered with an error: its status, its reason phrase and the headers that go with them."""

    def __init__(self, status: int, reason: str = "", *, headers: Headers = ()) -> None:
        super().__init__(reason or reason_of(status))
        self.status = status
        self.headers = headers


def as_refusal(error: RemoteError) -> Refusal:
    """Return the answer to a request that something is wrong with: its own, or 400 with the reason for the display."""
    if isinstance(error, Refusal):
        return error
    return Refusal(400, error.reason[:1].upper() + error.reason[1:])


def reason_of(status: int) -> str:
    """Return the usual reason phrase of a status."""
    return REASONS.get(status, "Refused")


def explain(*, warning: str | None, retry_after: int | None) -> Headers:
    """Spell a Warning and a Retry-After header where there is something to say; `retry_after` in seconds."""
    headers: list[tuple[str, str]] = []
    if warning:
        headers.append(("Warning", f"{MISCELLANEOUS_WARNING} {WARN_AGENT} {quote(warning)}"))
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return tuple(headers)
