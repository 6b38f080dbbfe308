"""The INVITEs of one call, and what counts as an answer to one of them.

[paper §II.C] Pure.  Every INVITE is remembered by its id, by the hash of its inner signature and by the digest of its
line.  An answer has to name one of these; a REDIRECT or a signed ERROR has to be by the key that the INVITE was
encrypted to besides, and a REDIRECT addressed to the caller.  So an answer to another call, to another caller, or by
another key is none.
"""

from dataclasses import dataclass

from adapter.calls.freshness import FRESHNESS_S
from adapter.findings import Found
from overlay.errors import RemoteError
from overlay.trust.identity import KeyBundle, PrivateBundle
from overlay.wire.codec import decode_line, line_digest
from overlay.wire.envelope import open_error, seal_invite, unseal, verify_error
from overlay.wire.messages import Error, Invite, Party, Redirect

INVITE_LIFETIME_S = 30
"""How long an INVITE is good, in seconds."""


class UnprovenRedirect(RemoteError):
    """A REDIRECT that names an INVITE of this call and does not prove to be the callee's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """An ERROR about an INVITE of this call that nobody signed: it says where not to wait, and no more."""

    code: str
    """A code of ERROR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    invite_id: bytes
    line_digest: bytes
    callee: Party
    found: Found

    @property
    def key(self) -> KeyBundle:
        return self.found.bundle


class SentInvites:
    """What was sent for one call."""

    def __init__(self, *, caller: PrivateBundle, party: Party, fingerprint: bytes = b"") -> None:
        """`party` and `fingerprint` go into every INVITE."""
        self._caller, self._party, self._fingerprint = caller, party, fingerprint
        self._by_hash: dict[bytes, _Sent] = {}
        self._clock_ahead_s = 0.0

    def make(self, found: Found, *, invite_id: bytes, now: float, cookie: bytes = b"") -> bytes:
        """Return the line of a new INVITE to the user that was found, signed by the caller, readable by the user."""
        callee = Party(aor=found.aor, generation=found.generation, thumbprint=found.thumbprint)
        invite = Invite(
            issuer=self._party,
            audience=callee,
            id=invite_id,
            issued_at=int(now),
            expires_at=int(now) + INVITE_LIFETIME_S,
            cookie=cookie,
            fingerprint=self._fingerprint,
        )
        sealed = seal_invite(invite, self._caller, found.bundle)
        self._by_hash[sealed.hash] = _Sent(
            invite_id=invite_id, line_digest=line_digest(sealed.line), callee=callee, found=found
        )
        return sealed.line

    def answered_by(self, redirect: Redirect) -> Found:
        """Return whom the INVITE was for that a REDIRECT of `read` answers: who was found last may be another."""
        return self._by_hash[redirect.invite_hash].found

    def learn_clock(self, their_time: int, now: float) -> None:
        """Take the callee's signed time, by which the expiry of a REDIRECT is judged from now on."""
        self._clock_ahead_s = their_time - now

    def read(self, line: bytes, now: float) -> Redirect | Error | Hint:
        """Return the answer that a line holds.

        UnprovenRedirect if it pretends to be one; RemoteError if it has nothing to do with this call.
        """
        method = decode_line(line).method
        if method == "REDIRECT":
            return self._read_redirect(line, now)
        if method == "ERROR":
            return self._read_error(line)
        raise RemoteError("neither a redirect nor an error")

    def _read_redirect(self, line: bytes, now: float) -> Redirect:
        sealed = unseal(line, self._caller)
        sent = self._by_hash.get(sealed.invite_hash)
        if sent is None:
            raise RemoteError("redirect for another invite")
        try:
            # the key to verify with is the one that this call found, whatever the message says of itself
            redirect = sealed.verify_redirect(sent.key)
        except RemoteError as error:
            raise UnprovenRedirect(f"redirect not by the callee: {error}") from error
        if redirect.issuer != sent.callee:
            raise UnprovenRedirect("redirect by another name or generation")
        if redirect.audience != self._party:
            raise UnprovenRedirect("redirect for another caller")
        # the hash proves that it is new, so the clocks may differ; the expiry guards against one kept back
        if redirect.expires_at + FRESHNESS_S <= now + self._clock_ahead_s:
            raise UnprovenRedirect("redirect has expired")
        return redirect

    def _read_error(self, line: bytes) -> Error | Hint:
        claimed = open_error(line)
        for sent in self._by_hash.values():
            if claimed.about == sent.invite_id:
                try:
                    return verify_error(line, sent.key)
                except RemoteError:
                    return Hint(code=claimed.code)
            if claimed.about == sent.line_digest:
                return Hint(code=claimed.code)
        raise RemoteError("error about another invite")
