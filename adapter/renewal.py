"""When a registered state runs out, when a new one is due, and what to say where none can be had.  I/O: none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.enrolment import EnrolmentRefused

if TYPE_CHECKING:
    from adapter.enrolment import Enrolment

RENEW_AFTER_S: Final = 7 * 86_400
"""Pieces and credential older than this are renewed as soon as the bootstrap server answers [docs/protocol.md]."""
WARN_BEFORE_S: Final = 7 * 86_400
"""How long before its expiry an enrolment that could not be renewed is spoken of."""


def expires_at(enrolment: Enrolment) -> int:
    """Return when the first part of a registered state expires, in seconds since the epoch."""
    return min(enrolment.credential.expires_at, *(piece.expires_at for piece in enrolment.pieces))


def is_due(enrolment: Enrolment, now: float) -> bool:
    """Tell whether a registered state is so old that the bootstrap server is asked for a new one."""
    return enrolment.pieces[0].issued_at + RENEW_AFTER_S <= now


def word_of_failure(user: str, enrolment: Enrolment, error: Exception, now: float) -> tuple[str, str] | None:
    """Return a sentence and its hint where a renewal failed and the user should know; None where there is time."""
    if isinstance(error, EnrolmentRefused) and error.code in {"taken", "revoked"}:
        return (
            f"the name {user} is lost to the key of this device: {error}",
            "if that is no wish of yours, speak to whoever runs the bootstrap server",
        )
    left_s = expires_at(enrolment) - now
    if left_s < WARN_BEFORE_S:
        return (
            f"{user}'s registration runs out in {left_s / 86_400:.1f} days and could not be renewed: {error}",
            "start the bootstrap server, or give its address with --bootstrap",
        )
    return None
