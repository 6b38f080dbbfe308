"""The callee's side of all calls: from a SECP2PSIP INVITE to the REDIRECT, or to a refusal.

[paper §II.C] Pure: events with `now` go in, events come out.  `now` is seconds since the epoch on a clock that does not
step.

One rule shapes this file: *whatever costs more comes later*.  To verify an INVITE the caller's key has to be fetched
from the ring, which is a dozen questions to other nodes for one datagram of anybody's.  So an INVITE first passes
`CHECKS`, in their order, each cheaper or more telling than the next.

    ARRIVED --a check fails--> REFUSED
       | all pass: its id is remembered, the caller's key is looked up
       v
    LOOKING --key found, signature good, phone there--> REDIRECTED
       | no key, another key, bad signature, no phone, too late
       v
    REFUSED

Three ways to refuse.  *Signed*, where one of our users could open the INVITE: an ERROR that ends the call on the
caller's side.  *Hinted*, where nobody could: an unsigned ERROR about the very line, so that the caller looks elsewhere.
*Silently*, where an answer would serve a flood.  What the INVITE says of its sender is not verified until the lookup is
done; refusing somebody who only claims to be carol harms nobody but the claimant.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from adapter.calls.events import Announced, Failure, LookUp, Refused, SendLine
from adapter.calls.freshness import SECRET_BYTES, Cookies, ReplayCache, Seen, is_timely
from adapter.calls.rates import RateLimiter
from adapter.calls.sent import line_digest
from adapter.findings import Found
from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer, id_to_bytes
from overlay.trust.identity import PrivateBundle
from overlay.wire.codec import MAX_DATAGRAM_LINE_BYTES, decode_line
from overlay.wire.envelope import Unverified, seal_error, seal_redirect, unseal
from overlay.wire.messages import MAX_CONTACTS, TOKEN_BYTES, Contact, Error, Invite, Party, Redirect

BURST_PER_SOURCE, RATE_PER_SOURCE = 20, 5.0
"""INVITEs that one node may send at once, and per second after that."""
BURST_TOTAL, RATE_TOTAL = 100, 50.0
"""The same for all nodes together."""
MAX_LOOKING = 32
"""Callers' keys looked up at the same time."""
LOOKUP_PATIENCE_S = 5.0
"""How long a lookup may take before its INVITE is forgotten, in seconds."""
REDIRECT_LIFETIME_S = 60
"""How long a REDIRECT and its token are good, in seconds."""


class Binding(Protocol):
    """Where one phone of a user is registered, as the registrar keeps it."""

    @property
    def host(self) -> str:
        """IP literal."""

    @property
    def port(self) -> int:
        """1 to 65,535."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUser:
    """One of the users that this adapter answers for."""

    private: PrivateBundle
    """Both private keys; opens INVITEs and signs REDIRECTs."""
    party: Party
    """How callers know the user: AOR, generation, thumbprint."""
    fingerprint: bytes = b""
    """SHA-256 of the phone's TLS certificate, 32 bytes or empty."""


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
    source: Peer
    at: float
    user: LocalUser | None = None
    message: Unverified | None = None

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


class Answering:
    """Every INVITE to every user of one adapter."""

    def __init__(
        self,
        *,
        users: Mapping[str, LocalUser],
        contacts: Callable[[str], Sequence[Binding]],
        random_bytes: Callable[[int], bytes],
        now: float,
        accepts: Callable[[str, str], bool] = lambda _caller, _callee: True,
    ) -> None:
        """`users` by AOR, read afresh each time; `contacts(aor)` gives a user's registered phones, best first.

        `accepts(caller, callee)` is the users' policy; `now` is when this process began to answer.
        """
        self.counters: Counter[str] = Counter()
        """INVITEs by what became of them: `redirected`, or the code of the refusal."""
        self._users, self._contacts, self._accepts = users, contacts, accepts
        self._random_bytes, self._started_at = random_bytes, now
        self._cookies = Cookies(random_bytes(SECRET_BYTES))
        self._replays = ReplayCache()
        self._rates = RateLimiter(
            burst=BURST_PER_SOURCE,
            per_s=RATE_PER_SOURCE,
            total_burst=BURST_TOTAL,
            total_per_s=RATE_TOTAL,
            now=now,
        )
        self._looking: dict[bytes, Arrival] = {}  # by INVITE id, oldest first
        self._events: deque[LookUp | SendLine | Announced | Refused] = deque()

    # ---- what the shell calls

    def line_received(self, line: bytes, source: Peer, now: float) -> None:
        """Take a line; `source` is the node that the ring proved it came from."""
        arrival = Arrival(line=line, source=source, at=now)
        for check in CHECKS:
            refusal: Refusal | None = getattr(self, check)(arrival)
            if refusal is not None:
                self._refuse(arrival, refusal, now)
                return
        _, message = arrival.opened
        self._looking[message.id] = arrival
        self._events.append(LookUp(aor=message.issuer.aor, ticket=message.id, record_needed=False))

    def looked_up(self, ticket: bytes, found: Found, now: float) -> None:
        """Take the caller's key; `ticket` is that of the `LookUp`."""
        arrival = self._looking.pop(ticket, None)
        if arrival is None:
            self.counters["late lookup"] += 1
            return
        user, message = arrival.opened
        try:
            if (found.generation, found.thumbprint) != (message.issuer.generation, message.issuer.thumbprint):
                raise RemoteError("the invite names another key than the ring")  # noqa: TRY301 - one way out
            invite = message.verify_invite(found.bundle)
        except RemoteError as error:
            self._refuse(arrival, Refusal("unverified", str(error)), now)
            return
        contacts = self._usable_contacts(user.party.aor)
        if not contacts:
            self._refuse(arrival, Refusal("unavailable", "no phone is registered"), now)
            return
        self._redirect(arrival, invite, found, contacts, now)

    def lookup_failed(self, ticket: bytes, failure: Failure, now: float) -> None:
        """Take the news that the caller's key could not be had."""
        arrival = self._looking.pop(ticket, None)
        if arrival is None:
            self.counters["late lookup"] += 1
        elif failure is Failure.UNREACHABLE:
            self._refuse(arrival, Refusal("internal", "the ring does not answer here"), now)
        else:
            self._refuse(arrival, Refusal("unverified", "the caller's key cannot be proved from the ring"), now)

    def handle_timer(self, now: float) -> None:
        """Forget the INVITEs whose lookup takes too long."""
        late = [ticket for ticket, arrival in self._looking.items() if now >= arrival.at + LOOKUP_PATIENCE_S]
        for ticket in late:
            self._refuse(self._looking.pop(ticket), Refusal("internal", "the lookup took too long"), now)

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called, None when there is nothing to wait for."""
        return next((arrival.at + LOOKUP_PATIENCE_S for arrival in self._looking.values()), None)

    def next_event(self) -> LookUp | SendLine | Announced | Refused | None:
        """Return the next thing to be done, None when there is none."""
        return self._events.popleft() if self._events else None

    # ---- the checks: None lets the INVITE pass

    def _check_size(self, arrival: Arrival) -> Refusal | None:
        if len(arrival.line) > MAX_DATAGRAM_LINE_BYTES:
            return Refusal("bad", "the line is too long", Reply.SILENT)
        return None

    def _check_rate(self, arrival: Arrival) -> Refusal | None:
        if not self._rates.allows(arrival.source.id, arrival.at):
            return Refusal("busy", "too many invites", Reply.SILENT)
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
        if len(self._looking) >= MAX_LOOKING:
            return Refusal("busy", "too many callers at once")
        seen = self._replays.add(message.id, arrival.at)
        if seen is Seen.FULL:
            return Refusal("busy", "too many invites in a minute")
        # `_check_replay` has looked at the same cache a moment ago
        return None if seen is Seen.NEW else Refusal("bad", "the invite was seen before")

    # ---- the answers

    def _redirect(
        self, arrival: Arrival, invite: Invite, caller: Found, contacts: Sequence[Contact], now: float
    ) -> None:
        token = self._random_bytes(TOKEN_BYTES)
        user, message = arrival.opened
        redirect = Redirect(
            issuer=user.party,
            audience=invite.issuer,
            invite_hash=message.hash,
            issued_at=int(now),
            expires_at=int(now) + REDIRECT_LIFETIME_S,
            contacts=tuple(str(contact) for contact in contacts),
            token=token,
            fingerprint=user.fingerprint,
        )
        self.counters["redirected"] += 1
        # announced first: the caller's phone may be quicker than the rest of this turn
        self._events.append(
            Announced(
                caller=invite.issuer.aor,
                callee=user.party.aor,
                token=token,
                fingerprint=invite.fingerprint,
                expires_at=now + REDIRECT_LIFETIME_S,
            )
        )
        line = seal_redirect(redirect, user.private, caller.bundle).line
        self._events.append(SendLine(peer=arrival.source, line=line))

    def _usable_contacts(self, aor: str) -> list[Contact]:
        usable: dict[Contact, None] = {}
        for binding in self._contacts(aor):
            try:
                contact = Contact(host=binding.host, port=binding.port, transport=binding.transport)
            except LocalError:
                self.counters["unusable contact"] += 1
                continue
            usable[contact] = None
        return list(usable)[:MAX_CONTACTS]

    def _refuse(self, arrival: Arrival, refusal: Refusal, now: float) -> None:
        self.counters[refusal.code] += 1
        message, user = arrival.message, arrival.user
        self._events.append(
            Refused(
                source=arrival.source,
                code=refusal.code,
                why=refusal.why,
                caller=message.issuer.aor if message else "",
                callee=user.party.aor if user else "",
            )
        )
        if refusal.reply is Reply.SILENT:
            return
        # an ERROR that nobody of ours can sign names the line instead of the id, which nobody could read
        error = Error(
            code=refusal.code,
            reason=refusal.why,
            about=message.id if message else line_digest(arrival.line),
            cookie=refusal.cookie,
            time=int(now),
        )
        signer = user.private if user and refusal.reply is Reply.SIGNED else None
        self._events.append(SendLine(peer=arrival.source, line=seal_error(error, signer)))
