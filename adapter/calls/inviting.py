"""The caller's side of one call: from a name to the 302, or to the reason why not.

[paper §II.C] Pure: events with `now` go in, events come out.  `now` is seconds since the epoch on a clock that does not
step.  The rules, the states and the transitions stand in `adapter.calls.inviting_table`; read that first.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any

from adapter.calls import outcomes
from adapter.calls.contacts import flaw_in, in_order, token_digest, uri_of
from adapter.calls.events import AskHigherSequence, Done, Failure, LookUp, Outcome, SendLine
from adapter.calls.inviting_table import ANSWER_S, GIVE_UP_S, LAST_S, SEARCH_AFTER_S, TABLE, Input, State
from adapter.calls.receipt import receipt_of_lookup, rows_of_liars
from adapter.calls.sent import Hint, SentInvites, UnprovenRedirect
from adapter.findings import Found
from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer, RingId
from overlay.trust.acceptance import Liar
from overlay.trust.identity import PrivateBundle
from overlay.wire.messages import INVITE_ID_BYTES, Error, Party, Redirect


class Inviting:
    """One call attempt of one of our users."""

    def __init__(
        self,
        *,
        caller: PrivateBundle,
        party: Party,
        callee: str,
        random_bytes: Callable[[int], bytes],
        now: float,
        fingerprint: bytes = b"",
        own: Collection[tuple[str, int]] = (),
        phone_host: str = "",
        reaches: Callable[[str], bool] = lambda _host: True,
    ) -> None:
        """Begin, by asking for a lookup of `callee` (an AOR).

        `party` is the caller as others know him: AOR, generation, thumbprint of `caller`'s public half.  `fingerprint`
        is the SHA-256 of his phone's TLS certificate, 32 bytes or empty.  `own` are the addresses of this adapter,
        where no REDIRECT may lead.  `phone_host` is the IP literal that his phone sends from, where that is known;
        `reaches` tells of another one whether that phone gets there.
        """
        self.state = State.LOOKING
        self.counters: Counter[str] = Counter()
        """Lines that did not count, by reason; inputs out of place under "out of place"."""
        self._caller, self._party, self._callee = caller, party, callee
        self._can_encrypt = bool(fingerprint)
        self._random_bytes, self._own = random_bytes, own
        self._phone_host, self._reaches = phone_host, reaches
        self._began = now
        self._search_at: float | None = None
        self._give_up_at = now + GIVE_UP_S
        self._found: Found | None = None
        self._sent = SentInvites(caller=caller, party=party, fingerprint=fingerprint)
        self._asked: dict[RingId, Peer] = {}
        self._dead: set[RingId] = set()
        self._unproven = False
        self._repeated: set[RingId] = set()
        self._ids: dict[RingId, bytes] = {}
        self._receipt: dict[str, Any] = {"caller": party.aor, "callee": callee, "times_ms": {}}
        self._events: deque[LookUp | SendLine | AskHigherSequence | Done] = deque([LookUp(aor=callee)])

    # ---- what the shell calls

    def looked_up(self, found: Found, now: float) -> None:
        """Take the answer to `LookUp`."""
        self._handle(Input.LOOKED_UP, now, found)

    def lookup_failed(self, failure: Failure, now: float, *, liars: Collection[Liar] = ()) -> None:
        """Take the failure of `LookUp`, and who lied in it."""
        self._receipt["liars"] = rows_of_liars(liars)
        self._handle(Input.LOOKUP_FAILED, now, failure)

    def not_found(self, now: float) -> None:
        """Take the commonest failure of `LookUp`: nobody holds the name."""
        self.lookup_failed(Failure.UNKNOWN, now)

    def searched(self, found: Found | None, now: float) -> None:
        """Take the answer to `AskHigherSequence`; None if nobody had a newer record."""
        self._handle(Input.SEARCHED, now, found)

    def delivered(self, peer: Peer, ok: bool, now: float) -> None:  # noqa: FBT001 - the ring's own answer, handed on
        """Take the ring's word on a `SendLine`: whether the node acknowledged it."""
        self._handle(Input.DELIVERED if ok else Input.UNDELIVERED, now, peer)

    def line_received(self, line: bytes, source: Peer, now: float) -> None:
        """Take a line; `source` is the node that the ring proved it came from."""
        self._handle(Input.LINE, now, (line, source))

    def cancel(self, now: float) -> None:
        """End the attempt: the caller hung up."""
        self._handle(Input.CANCEL, now, None)

    def handle_timer(self, now: float) -> None:
        """Act on `next_deadline`, if it has come."""
        deadline = self.next_deadline()
        if deadline is not None and now >= deadline:
            self._handle(Input.TIMER, now, None)

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called, None when never again."""
        if self.state is State.DONE:
            return None
        if self.state is State.INVITED and self._search_at is not None:
            return min(self._search_at, self._give_up_at)
        return self._give_up_at

    def next_event(self) -> LookUp | SendLine | AskHigherSequence | Done | None:
        """Return the next thing to be done, None when there is none."""
        return self._events.popleft() if self._events else None

    # ---- what the table names

    def _handle(self, what: Input, now: float, detail: Any) -> None:
        move = TABLE[self.state].get(what)
        if move is None:
            self.counters["out of place"] += 1
            return
        getattr(self, move.action)(now, detail)
        if self.state not in move.to:
            raise LocalError(f"{what.name.lower()} led to {self.state.name.lower()} against the table")

    def _begin(self, now: float, found: Found) -> None:
        self._found = found
        self._receipt |= receipt_of_lookup(found)
        self._stamp("looked_up", now)
        self.state = State.INVITED
        if found.contact is None:
            self._search(now, None)
        else:
            self._invite(found, found.contact, now)
            self._search_at = now + SEARCH_AFTER_S

    def _fail(self, now: float, failure: Failure) -> None:
        self._end(outcomes.FAILURES[failure], now)

    def _be_patient(self, now: float, peer: Peer) -> None:
        if peer.id in self._asked:
            self._stamp("acknowledged", now)
            self._give_up_at = max(self._give_up_at, min(now + ANSWER_S, self._began + LAST_S))

    def _strike(self, now: float, peer: Peer) -> None:
        """Count a node as gone, and do now what its silence would have made us do."""
        if peer.id not in self._asked:
            return
        self._dead.add(peer.id)
        if self.state is State.INVITED:
            self._search(now, None)
        elif self.state is State.WAITING:
            self._end_if_hopeless(now)

    def _search(self, now: float, _nothing: None) -> None:
        found = self._found
        lowest = 0 if found is None or found.record is None else found.record.sequence + 1
        self._stamp("searched", now)
        self._events.append(AskHigherSequence(aor=self._callee, min_sequence=lowest))
        self.state = State.SEARCHING

    def _go_on(self, now: float, found: Found | None) -> None:
        self.state = State.WAITING
        contact = None if found is None else found.contact
        if (
            found is None
            or contact is None
            or (self._asked.get(contact.id) == contact and contact.id not in self._dead)
        ):
            self._end_if_hopeless(now)
            return
        self._found = found
        self._receipt |= receipt_of_lookup(found) | {"contact_moved": True}
        self._dead.discard(contact.id)
        self._invite(found, contact, now)

    def _end_if_hopeless(self, now: float) -> None:
        if self._dead >= set(self._asked):
            self._give_up(now, None)

    def _read(self, now: float, detail: tuple[bytes, Peer]) -> None:
        line, source = detail
        if source.id not in self._asked:
            self.counters["line from a stranger"] += 1
            return
        try:
            answer = self._sent.read(line, now)
        except RemoteError as error:
            # another call's answer, or a pretender's: neither ends this call
            self.counters[str(error)] += 1
            self._unproven = self._unproven or isinstance(error, UnprovenRedirect)
            return
        if isinstance(answer, Hint):
            self.counters["hint"] += 1
            self._strike(now, source)
            return
        if isinstance(answer, Redirect):
            self._redirect(answer, source, now)
        elif answer.code == "again":
            self._repeat(answer, source, now)
        else:
            self._receipt["refusal"] = {"code": answer.code, "reason": answer.reason}
            self._end(outcomes.REFUSALS.get(answer.code, outcomes.REFUSALS["internal"]), now)

    def _invite(self, found: Found, peer: Peer, now: float) -> None:
        self._asked[peer.id] = peer
        self._ids[peer.id] = self._random_bytes(INVITE_ID_BYTES)
        self._found = found
        self._send(peer, now)

    def _repeat(self, error: Error, source: Peer, now: float) -> None:
        """Send the INVITE once more with the cookie that stands for its freshness."""
        if source.id in self._repeated or not error.cookie:
            self.counters["asked again twice"] += 1
            return
        self._repeated.add(source.id)
        self._sent.learn_clock(error.time, now)
        self._stamp("asked_again", now)
        self._send(source, now, cookie=error.cookie)

    def _send(self, peer: Peer, now: float, *, cookie: bytes = b"") -> None:
        if self._found is None:
            raise LocalError("an invite needs a callee that was found")
        line = self._sent.make(self._found, invite_id=self._ids[peer.id], now=now, cookie=cookie)
        self._receipt["contact"] = str(peer)
        self._stamp("invited", now)
        self._events.append(SendLine(peer=peer, line=line))

    def _redirect(self, redirect: Redirect, source: Peer, now: float) -> None:
        self._stamp("redirected", now)
        self._receipt |= {"answered_by": str(source), "contacts": list(redirect.contacts)}
        self._receipt["call"] = token_digest(redirect.token)
        flaws = {
            contact: flaw_in(contact, node_host=source.host, own=self._own) for contact in redirect.parsed_contacts()
        }
        self.counters.update(f"contact: {flaw}" for flaw in flaws.values() if flaw)
        usable = [contact for contact, flaw in flaws.items() if not flaw]
        fingerprint = redirect.fingerprint if self._can_encrypt else b""
        if fingerprint:
            # a certificate is that of one phone, and stands behind TLS alone
            usable = [contact for contact in usable if contact.transport == "tls"][:1]
        self._receipt["encrypted"] = bool(fingerprint)
        if not usable:
            self._end(outcomes.NOWHERE, now)
            return
        usable = in_order(usable, phone_host=self._phone_host, reaches=self._reaches)
        if not self._reaches(usable[0].host):
            status, reason = outcomes.NO_WAY
            family = f"IPv{ip_address(usable[0].host).version}"
            self._end((status, reason.replace("{family}", family)), now)
            return
        self._end(
            outcomes.FOUND,
            now,
            contacts=tuple(uri_of(contact, self._callee, redirect.token) for contact in usable),
            token=redirect.token,
            fingerprint=fingerprint,
            proved=self._sent.answered_by(redirect),
        )

    def _give_up(self, now: float, _nothing: None) -> None:
        if self.state is State.LOOKING:
            self._end(outcomes.FAILURES[Failure.UNREACHABLE], now)
        else:
            self._end(outcomes.UNPROVEN if self._unproven else outcomes.NO_ANSWER, now)

    def _cancel(self, now: float, _nothing: None) -> None:
        self._end(outcomes.CANCELLED, now)

    def _end(
        self,
        how: tuple[int, str],
        now: float,
        *,
        contacts: tuple[str, ...] = (),
        token: bytes = b"",
        fingerprint: bytes = b"",
        proved: Found | None = None,
    ) -> None:
        status, reason = how
        self.state = State.DONE
        self._stamp("done", now)
        self._receipt["status"] = status
        outcome = Outcome(
            status=status,
            reason=reason.format(callee=self._callee, caller=self._party.aor),
            contacts=contacts,
            token=token,
            fingerprint=fingerprint,
            retry_after_s=outcomes.RETRY_AFTER_S if status == outcomes.FAILURES[Failure.UNREACHABLE][0] else None,
            receipt=dict(self._receipt),
        )
        self._events.clear()  # whatever was still to be done is pointless now
        self._events.append(Done(outcome=outcome, proved=proved))

    def _stamp(self, what: str, now: float) -> None:
        self._receipt["times_ms"][what] = round((now - self._began) * 1000, 1)
