"""How a call attempt ends in the terms of the caller's phone.  Pure tables.

Two statuses for "identity": 438 where *we* cannot prove who the callee is, 403 where the callee could not prove who we
are [RFC 8224 §6.2.2].
"""

from collections.abc import Mapping

from adapter.calls.events import Failure

RETRY_AFTER_S = 5
"""What a phone is told to wait when the ring does not answer, in seconds."""

FAILURES: Mapping[Failure, tuple[int, str]] = {
    Failure.UNKNOWN: (404, "nobody on the ring knows {callee}"),
    Failure.AWAY: (480, "{callee} is registered but away"),
    Failure.REVOKED: (480, "the key of {callee} is revoked"),
    Failure.UNVERIFIABLE: (438, "{callee}'s key could not be verified"),
    Failure.CHANGED: (438, "{callee}'s key has changed and the known one does not vouch for it"),
    Failure.UNREACHABLE: (503, "the ring does not answer"),
}
"""When the lookup brings no key."""

REFUSALS: Mapping[str, tuple[int, str]] = {
    "unavailable": (480, "{callee} has no phone registered"),
    "refused": (603, "{callee} does not take this call"),
    "policy": (603, "{callee} does not take this call"),
    "unverified": (403, "{callee} could not verify {caller}'s key"),
    "busy": (480, "{callee}'s adapter is busy"),
    "unknown": (480, "{callee}'s adapter does not serve that key"),
    "bad": (480, "{callee}'s adapter refused the invitation"),
    "revoked": (480, "{callee}'s adapter refused the invitation"),
    "taken": (480, "{callee}'s adapter refused the invitation"),
    "internal": (480, "{callee}'s adapter failed"),
}
"""When the callee signs an ERROR with this code; `again` is no end."""

FOUND = (302, "{callee} is there")
NOWHERE = (480, "{callee}'s adapter names no phone that can be called")
NO_WAY = (480, "there is no way from here to {callee}'s phone, which has an {family} address")
NO_ANSWER = (480, "{callee}'s adapter does not answer")
UNPROVEN = (438, "what answers in {callee}'s place cannot prove to be {callee}")
CANCELLED = (487, "the caller hung up")
