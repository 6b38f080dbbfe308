"""Whether a 302 is followed, and to which Contact: one, once.  I/O: none.

Two Contacts, the first of which fails, abort PJSIP; so a second look at a redirect is its end, whatever it offers.
"""

from dataclasses import dataclass, field

from adapter.softphone import checks
from overlay.errors import RemoteError


class NotFollowed(RemoteError):
    """The redirect ends the call: `cause` is one of events.CAUSES, the text says why."""

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


@dataclass(slots=True, kw_only=True)
class Redirects:
    """What one call may be led to."""

    own_host: str
    """Our own IPv4 address."""
    forbidden: frozenset[str] = field(default_factory=frozenset)
    """`host:port` of our own adapter and of ourselves."""
    can_encrypt: bool = False
    must_encrypt: bool = False
    seen: int = 0
    """Redirects so far; a call that goes on in another's place goes on counting."""

    def judge(self, response: str, *, selected: str) -> checks.Target:
        """Return the Contact to follow, given the text of the 302 and PJSIP's word for what it chose.

        NotFollowed where there is none.
        """
        self.seen += 1
        if self.seen > 1:
            raise NotFollowed("redirect refused", "a second redirect, or a second Contact, is not followed")
        try:
            target = checks.choose(response, selected=selected, forbidden=self.forbidden, own_host=self.own_host)
        except RemoteError as flaw:
            raise NotFollowed("redirect refused", str(flaw)) from None
        if target.fingerprint and not self.can_encrypt:
            raise NotFollowed("redirect refused", "the other phone wants encryption, which is off here")
        if self.must_encrypt and not target.fingerprint:
            raise NotFollowed("not encrypted", "the other phone cannot encrypt")
        return target
