"""The callee's side of all calls: from a SECP2PSIP INVITE to the REDIRECT, or to a refusal.

[paper §II.C] Pure: events with `now` go in, events come out.  `now` is seconds since the epoch on a clock that does not
step.

One rule shapes this side: *whatever costs more comes later*.

    ARRIVED     `adapter.calls.door` turns it away                                              -> REFUSED
    ARRIVED     it passes; its id is remembered, its caller's key is looked up                  -> LOOKING
    LOOKING     key found, it is the one named, its signature is good, a phone is registered    -> REDIRECTED
    LOOKING     no key, another key, a bad signature, no phone, too late                        -> REFUSED

An INVITE that is REDIRECTED or REFUSED is forgotten but for its id in the replay cache: what comes for it later is out
of place and counted.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from adapter.calls.door import Arrival, Door, LocalUser, Refusal, Reply
from adapter.calls.events import Announced, Failure, LookUp, Refused, SendLine
from adapter.calls.lanes import RATE_PER_SOURCE
from adapter.findings import Found
from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer
from overlay.trust.acceptance import Liar
from overlay.wire.codec import line_digest
from overlay.wire.envelope import seal_error, seal_redirect
from overlay.wire.messages import MAX_CONTACTS, TOKEN_BYTES, Contact, Error, Invite, Redirect

ONE_WAY = "the phone is registered over a connection that nobody else can use: set its transport to UDP"
"""Why a phone that is there cannot be called, and the cure."""
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
    def source(self) -> tuple[str, int]:
        """IP literal and port that it registered from."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""

    @property
    def tls_port(self) -> int:
        """Where it takes SIP over TLS, 0 for nowhere."""

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate that it shows there, 32 bytes, or empty."""

    @property
    def is_one_way(self) -> bool:
        """Whether nobody but this adapter can reach it, by the phone's own connection."""


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
        per_node_s: float = RATE_PER_SOURCE,
    ) -> None:
        """`users` by AOR, read afresh each time; `contacts(aor)` gives a user's registered phones, best first.

        `accepts(caller, callee)` is the users' policy; `now` is when this process began to answer; `per_node_s` is how
        many INVITEs a second one node may send.
        """
        self.counters: Counter[str] = Counter()
        """INVITEs by what became of them: `redirected`, or the code of the refusal."""
        self._contacts, self._random_bytes = contacts, random_bytes
        self._door = Door(users=users, accepts=accepts, random_bytes=random_bytes, now=now, per_node_s=per_node_s)
        self._looking: dict[bytes, Arrival] = {}  # by INVITE id, oldest first
        self._events: deque[LookUp | SendLine | Announced | Refused] = deque()

    # ---- what the shell calls

    def line_received(self, line: bytes, source: Peer, now: float) -> None:
        """Take a line; `source` is the node that the ring proved it came from."""
        arrival = Arrival(line=line, source=source, at=now, ahead=len(self._looking))
        refusal = self._door.check(arrival)
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
        self._door.lanes.proved(arrival.source.id, message.issuer.aor, now)
        secure = self._secure_contact(user.party.aor) if invite.fingerprint else None
        contacts = [secure[0]] if secure else self._usable_contacts(user.party.aor)
        if not contacts:
            is_one_way = any(binding.is_one_way for binding in self._contacts(user.party.aor))
            self._refuse(arrival, Refusal("unavailable", ONE_WAY if is_one_way else "no phone is registered"), now)
            return
        self._redirect(arrival, invite, found, contacts, now, fingerprint=secure[1] if secure else b"")

    def lookup_failed(self, ticket: bytes, failure: Failure, now: float, *, liars: tuple[Liar, ...] = ()) -> None:
        """Take the news that the caller's key could not be had, and who lied about it."""
        arrival = self._looking.pop(ticket, None)
        if arrival is None:
            self.counters["late lookup"] += 1
        elif failure is Failure.UNREACHABLE:
            self._refuse(arrival, Refusal("internal", "the ring does not answer here"), now)
        elif failure is Failure.CHANGED:
            why = "the caller's key has changed and the one known here does not vouch for it"
            self._refuse(arrival, Refusal("unverified", why), now, liars=liars)
        else:
            why = "the caller's key cannot be proved from the ring"
            self._refuse(arrival, Refusal("unverified", why), now, liars=liars)

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

    # ---- the answers

    def _redirect(
        self,
        arrival: Arrival,
        invite: Invite,
        caller: Found,
        contacts: Sequence[Contact],
        now: float,
        *,
        fingerprint: bytes,
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
            fingerprint=fingerprint,
        )
        self.counters["redirected"] += 1
        self._door.lanes.settled(arrival.source.id, arrival.lane)
        # announced first: the caller's phone may be quicker than the rest of this turn
        self._events.append(
            Announced(
                caller=invite.issuer.aor,
                callee=user.party.aor,
                token=token,
                fingerprint=invite.fingerprint if fingerprint else b"",
                expires_at=now + REDIRECT_LIFETIME_S,
            )
        )
        line = seal_redirect(redirect, user.private, caller.bundle).line
        self._events.append(SendLine(peer=arrival.source, line=line))

    def _secure_contact(self, aor: str) -> tuple[Contact, bytes] | None:
        """Return where the best phone that can encrypt takes it, and its certificate's fingerprint.

        A caller who can encrypt too is sent to that phone alone, whatever others are registered: no call falls back to
        plain SIP unless none of the callee's phones can do better.
        """
        for binding in self._contacts(aor):
            if binding.fingerprint and not binding.is_one_way:
                try:
                    return Contact(host=binding.host, port=binding.tls_port, transport="tls"), binding.fingerprint
                except LocalError:
                    self.counters["unusable contact"] += 1
        return None

    def _usable_contacts(self, aor: str) -> list[Contact]:
        usable: dict[Contact, None] = {}
        for binding in self._contacts(aor):
            if binding.is_one_way:
                self.counters["one-way contact"] += 1
                continue
            try:
                contact = Contact(host=binding.host, port=binding.port, transport=binding.transport)
            except LocalError:
                self.counters["unusable contact"] += 1
                continue
            usable[contact] = None
        return list(usable)[:MAX_CONTACTS]

    def _refuse(self, arrival: Arrival, refusal: Refusal, now: float, *, liars: tuple[Liar, ...] = ()) -> None:
        self.counters[refusal.code] += 1
        message, user = arrival.message, arrival.user
        self._door.lanes.settled(arrival.source.id, arrival.lane)
        if refusal.code == "unverified" and message:
            self._door.lanes.doubted(arrival.source.id, message.issuer.aor, now)
        self._events.append(
            Refused(
                source=arrival.source,
                code=refusal.code,
                why=refusal.why,
                caller=message.issuer.aor if message else "",
                callee=user.party.aor if user else "",
                liars=liars,
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
