"""How a call ended, in a status, a cause and words: our own reason where we ended it, else the other side's.

I/O: none.
"""

from dataclasses import dataclass
from typing import Final

from adapter.softphone.message import clip

OK: Final = 200
REQUEST_TIMEOUT: Final = 408
REQUEST_TERMINATED: Final = 487
UNREACHABLE_CODES: Final = frozenset({408, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of one call."""

    status: int
    """As events.Ended has it."""
    cause: str
    """One of events.CAUSES."""
    reason: str


def ending_of(
    *,
    was_up: bool,
    outgoing: bool,
    doom: tuple[str, str] | None,
    refusal: int,
    status: int,
    phrase: str,
) -> Ending:
    """Tell how a call ended.

    `doom` is why we ended it (cause and words), `refusal` the status that we refused it with, 0 for none; `status` and
    `phrase` are what PJSIP last heard.
    """
    cause, reason = doom or _their_doing(status, phrase, was_up=was_up, outgoing=outgoing)
    if was_up:
        status = OK
    elif doom is not None:
        status = refusal or (REQUEST_TIMEOUT if cause == "unreachable" else REQUEST_TERMINATED)
    return Ending(status=status, cause=cause, reason=reason)


def _their_doing(status: int, phrase: str, *, was_up: bool, outgoing: bool) -> tuple[str, str]:
    if was_up:
        return "hung up there", "the other side hung up"
    if not outgoing:
        return "hung up there", "the caller gave up"
    return "unreachable" if status in UNREACHABLE_CODES else "refused", clip(f"{status} {phrase}")
