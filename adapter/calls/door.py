"""What a SECP2PSIP INVITE has to pass before its caller is looked up.

Pure.  To verify an INVITE the caller's key has to be fetched from the ring: a dozen questions to other nodes for one
datagram of anybody's.  So the checks below come first, cheapest first.  What the INVITE says of its sender is not
verified here; refusing somebody who only claims to be carol harms nobody but the claimant.

There are three ways to refuse.  *Signed*, where one of our users could open the INVITE: an ERROR that ends the call on
the caller's side.  *Hinted*, where nobody could: an unsigned ERROR about the very line, so that the caller looks
elsewhere.  *Silently*, where an answer would serve a flood.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from adapter.calls.freshness import SECRET_BYTES, Cookies, ReplayCache, Seen, is_timely
from adapter.calls.lanes import RATE_PER_SOURCE, Lane, Lanes
from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer, id_to_bytes
from overlay.trust.identity import PrivateBundle
from overlay.wire.codec import MAX_DATAGRAM_LINE_BYTES, decode_line
from overlay.wire.envelope import Unverified, unseal
from overlay.wire.messages import Invite, Party


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUser:
    """One of the users that this adapter answers for."""

    private: PrivateBundle
    """Both private keys; opens INVITEs and signs REDIRECTs."""
    party: Party
    """How callers know the user: AOR, generation, thumbprint."""


class Reply(Enum):
    """How a refusal is told."""

    SIGNED = auto()
    HINTED = auto()
    SILENT = auto()


class Refusal(NamedTuple):
    """Why an INVITE goes no further."""

    code: str
    """A code of ERROR."""
    why: str
    """One clause; goes into the ERROR and the log."""
    reply: Reply = Reply.SIGNED
    """How the sender is told."""
    cookie: bytes = b""
    """With `again`."""


@dataclass(slots=True, kw_only=True)
class Arrival:
    """One INVITE on its way through the checks; the later fields are filled in as they become known."""

    line: bytes
    """As it came."""
    source: Peer
    """The node that the ring proved it came from."""
    at: float
    """When, in seconds since the epoch."""
    ahead: int
    """INVITEs whose caller is being looked up at the moment."""
    lane: Lane = Lane.CROWD
    """By which it goes through."""
    user: LocalUser | None = None
    """The user who could open it."""
    message: Unverified | None = None
    """What it claims."""

    @property
    def opened(self) -> tuple[LocalUser, Unverified]:
        """The user who could open it and what it claims; LocalError before that is known."""
        if self.user is None or self.message is None:
            raise LocalError("the checks ran out of order")
        return self.user, self.message


CHECKS: tuple[str, ...] = (
    "_check_size",  # nothing is spent on what cannot be an INVITE
    "_check_rate",  # nor on a flood: everything below costs at least a key agreement
    "_check_method",
    "_check_opens",  # some user of ours can decrypt it, and it names that user's key inside
    "_check_audience",  # by the right name and generation
    "_check_replay",  # before freshness: a replay is told so, whatever its age
    "_check_fresh",  # a timestamp, or else a cookie: `again`
    "_check_policy",  # the user's own wish, before the work is done
    "_check_room",  # last, because it remembers the id
)
"""What an INVITE passes before its caller is looked up, in order."""


class Door:
    """Lets an INVITE pass or says why not."""

    def __init__(
        self,
        *,
        users: Mapping[str, LocalUser],
        accepts: Callable[[str, str], bool],
        random_bytes: Callable[[int], bytes],
        now: float,
        per_node_s: float = RATE_PER_SOURCE,
    ) -> None:
        """`users` by AOR, read afresh each time; `accepts(caller, callee)` is their policy; `now` is our beginning.

        `per_node_s` is how many INVITEs a second one node may send.
        """
        self._users, self._accepts, self._started_at = users, accepts, now
        self._cookies = Cookies(random_bytes(SECRET_BYTES))
        self._replays = ReplayCache()
        self.lanes = Lanes(now=now, per_node_s=per_node_s)
        """Who goes how far; whoever proves or doubts callers tells it."""

    def check(self, arrival: Arrival) -> Refusal | None:
        """Run `CHECKS` in order; None means that the INVITE may go on, and that its id is remembered."""
        for name in CHECKS:
            refusal: Refusal | None = getattr(self, name)(arrival)
            if refusal is not None:
                return refusal
        return None

    def _check_size(self, arrival: Arrival) -> Refusal | None:
        if len(arrival.line) > MAX_DATAGRAM_LINE_BYTES:
            return Refusal("bad", "the line is too long", Reply.SILENT)
        return None

    def _check_rate(self, arrival: Arrival) -> Refusal | None:
        lane = self.lanes.enter(arrival.source.id, arrival.at)
        if lane is None:
            return Refusal("busy", "too many invites", Reply.SILENT)
        arrival.lane = lane
        return None

    def _check_method(self, arrival: Arrival) -> Refusal | None:
        try:
            if decode_line(arrival.line).method == Invite.METHOD:
                return None
        except RemoteError as error:
            return Refusal("bad", str(error), Reply.SILENT)
        return Refusal("bad", "not an invite", Reply.SILENT)

    def _check_opens(self, arrival: Arrival) -> Refusal | None:
        for user in self._users.values():
            try:
                arrival.message = unseal(arrival.line, user.private)
            except RemoteError:
                continue
            arrival.user = user
            return None
        return Refusal("unknown", "no user here can open this invite", Reply.HINTED)

    def _check_audience(self, arrival: Arrival) -> Refusal | None:
        user, message = arrival.opened
        if message.audience != user.party:
            return Refusal("unknown", "the invite names another user or generation")
        return None

    def _check_replay(self, arrival: Arrival) -> Refusal | None:
        _, message = arrival.opened
        if message.id in self._replays:
            return Refusal("bad", "the invite was seen before")
        return None

    def _check_fresh(self, arrival: Arrival) -> Refusal | None:
        _, message = arrival.opened
        source, now = id_to_bytes(arrival.source.id), arrival.at
        if self._cookies.check(message.cookie, source=source, invite_id=message.id, now=now) or is_timely(
            issued_at=message.issued_at, expires_at=message.expires_at, started_at=self._started_at, now=now
        ):
            return None
        cookie = self._cookies.make(source=source, invite_id=message.id, now=now)
        return Refusal("again", "repeat the invite with this cookie", cookie=cookie)

    def _check_policy(self, arrival: Arrival) -> Refusal | None:
        user, message = arrival.opened
        if not self._accepts(message.issuer.aor, user.party.aor):
            return Refusal("refused", "the callee does not take this call")
        return None

    def _check_room(self, arrival: Arrival) -> Refusal | None:
        _, message = arrival.opened
        lane = self.lanes.may_look_up(
            arrival.lane, arrival.source.id, message.issuer.aor, running=arrival.ahead, now=arrival.at
        )
        if lane is None:
            return Refusal("busy", "too many callers at once")
        arrival.lane = lane
        seen = self._replays.add(message.id, arrival.at)
        if seen is Seen.FULL:
            return Refusal("busy", "too many invites in a minute")
        # `_check_replay` has looked at the same cache a moment ago
        return None if seen is Seen.NEW else Refusal("bad", "the invite was seen before")
