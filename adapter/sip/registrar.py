"""The registrar: which phones of which users can be reached where, in memory.  I/O: none.

A REGISTER is read and checked first and stored second, because between the two the user's name is registered on the
overlay, which takes time: `read` refuses what is wrong with it, `store` checks its order again and takes it whole or
not at all [RFC 3261 §10.3]. `changed` and `restore` let the shell keep bindings across a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from adapter.sip.binding import (
    DEFAULT_EXPIRES_S,
    GONE,
    MAX_EXPIRES_S,
    Binding,
    Contact,
    bind,
    is_itself,
    read_contacts,
    requested_expiry,
)
from adapter.sip.limits import DEFAULT_LIMITS
from adapter.sip.refusal import Refusal
from overlay.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.sip.registrations import Kept
    from adapter.sip.validate import ValidRequest

MAX_CONTACTS_PER_USER: Final = 8
"""One more pushes the oldest out: a phone that restarts without a goodbye on another port must not lock itself out."""
MAX_BINDINGS: Final = DEFAULT_LIMITS.bindings
RETRY_FULL_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one REGISTER asks for."""

    user: str
    contacts: tuple[Contact, ...]
    removes_all: bool
    """`Contact: *`."""
    call_id: str
    cseq: int
    source: tuple[str, int]
    connection: int

    @property
    def registers(self) -> bool:
        """Tell whether it adds or refreshes a Contact, rather than only asking or removing."""
        return any(contact.expires_s for contact in self.contacts)


class Registrar:
    """The bindings of every user of this adapter."""

    def __init__(
        self,
        *,
        address: Callable[[], tuple[str, int]],
        tls_port: Callable[[], int] = lambda: 0,
        max_bindings: int = MAX_BINDINGS,
    ) -> None:
        """Serve on `address()`, the host and port that phones register at, and `tls_port()`, 0 for none.

        `max_bindings` Contacts are kept in all.
        """
        self._address, self._tls_port, self._max_bindings = address, tls_port, max_bindings
        self._bindings: dict[str, list[Binding]] = {}
        self._number = 0
        self._changed: set[str] = set()

    def read(self, request: ValidRequest, user: str, source: tuple[str, int], *, connection: int = 0) -> Update:
        """Read what a REGISTER for `user` asks for; RemoteError when it cannot be granted.

        It came from `source`, over the connection with this number, 0 for UDP.
        """
        values = request.raw.values("contact")
        header = request.raw.value("expires").strip()
        removes_all = "*" in (value.strip() for value in values)
        if removes_all and (len(values) > 1 or requested_expiry(header, DEFAULT_EXPIRES_S) != 0):
            raise RemoteError("a Contact of * stands alone and with Expires 0")
        default_s = requested_expiry(header, DEFAULT_EXPIRES_S)
        contacts = () if removes_all else read_contacts(values, default_s=default_s)
        if any(is_itself(contact, self._address(), self._tls_port()) for contact in contacts):
            # calls for it would come back here for ever
            raise RemoteError("a Contact is the adapter itself")
        return Update(
            user=user,
            contacts=contacts,
            removes_all=removes_all,
            call_id=request.call_id,
            cseq=request.cseq,
            source=source,
            connection=connection,
        )

    def check(self, update: Update, now: float) -> None:
        """Refuse an update that is older than what is stored, or one too many [RFC 3261 §10.3 step 7]."""
        current = self._live(update.user, now)
        for binding in current:
            concerned = update.removes_all or any(
                contact.uri.is_same(binding.contact.uri) for contact in update.contacts
            )
            if concerned and binding.call_id == update.call_id and update.cseq <= binding.cseq:
                raise Refusal(500, "REGISTER out of order")
        if not update.registers:
            return
        fresh = sum(1 for contact in update.contacts if not any(contact.uri.is_same(b.contact.uri) for b in current))
        if sum(map(len, self._bindings.values())) + fresh > self._max_bindings:
            self._sweep(now)
            if sum(map(len, self._bindings.values())) + fresh > self._max_bindings:
                raise Refusal(503, "Too many phones are registered", headers=(("Retry-After", str(RETRY_FULL_S)),))

    def store(self, update: Update, now: float) -> None:
        """Take an update, all of it or, with a Refusal, nothing."""
        self.check(update, now)
        self._changed.add(update.user)
        if update.removes_all:
            self._bindings.pop(update.user, None)
            return
        bindings = self._live(update.user, now)
        for contact in update.contacts:
            bindings = [binding for binding in bindings if not contact.uri.is_same(binding.contact.uri)]
            if contact.expires_s:
                self._number += 1
                order = (update.call_id, update.cseq, self._number)
                host = self._address()[0]
                bindings.append(bind(contact, adapter_host=host, update=update, now=now, order=order))
        self._bindings[update.user] = sorted(bindings, key=lambda binding: binding.number)[-MAX_CONTACTS_PER_USER:]
        if not bindings:
            del self._bindings[update.user]

    def restore(self, user: str, kept: Kept, left_s: float, now: float) -> bool:
        """Take back what was kept of a binding with `left_s` seconds to live; False when it is worth nothing."""
        if left_s <= 0 or len(self._bindings.get(user, ())) >= MAX_CONTACTS_PER_USER:
            return False
        if sum(map(len, self._bindings.values())) >= self._max_bindings:
            return False
        try:
            (contact,) = read_contacts([kept.contact], default_s=MAX_EXPIRES_S)
        except (RemoteError, ValueError):
            return False
        if is_itself(contact, self._address(), self._tls_port()):
            return False
        # a clock that was set back must not make a binding live longer than any
        contact = replace(contact, expires_s=min(max(1, int(left_s)), MAX_EXPIRES_S))
        self._number += 1
        update = Update(
            user=user,
            contacts=(contact,),
            removes_all=False,
            call_id=kept.call_id,
            cseq=kept.cseq,
            source=kept.source,
            connection=GONE if kept.is_connected else 0,
        )
        order = (kept.call_id, kept.cseq, self._number)
        binding = bind(contact, adapter_host=self._address()[0], update=update, now=now, order=order)
        self._bindings.setdefault(user, []).append(binding)
        return True

    def changed(self) -> dict[str, tuple[Binding, ...]]:
        """Return the bindings, oldest first, of every user whose own changed since the last time."""
        users, self._changed = self._changed, set()
        return {user: tuple(self._bindings.get(user, ())) for user in users}

    def has_changed(self) -> bool:
        """Tell whether `changed` would return anything."""
        return bool(self._changed)

    def contacts(self, user: str, now: float) -> tuple[Binding, ...]:
        """Return a user's live bindings, best q first and the youngest first among equals."""
        return tuple(sorted(self._live(user, now), key=lambda binding: (-binding.q, -binding.number)))

    def listing(self, user: str, now: float) -> tuple[tuple[str, str], ...]:
        """Return the Contact headers of a 200, each as its phone wrote it with the seconds that are left."""
        return tuple(
            ("Contact", f"{binding.contact.echo};expires={max(1, round(binding.expires_at - now))}")
            for binding in self.contacts(user, now)
        )

    def users_at(self, source: tuple[str, int], now: float, *, connection: int = 0) -> frozenset[str]:
        """Return the users whose live registrations came from this address and port, by this very connection if any.

        A port means nothing once its connection is gone: the next program gets it.
        """
        return frozenset(
            user
            for user, bindings in self._bindings.items()
            if any((b.source, b.connection) == (source, connection) and b.expires_at > now for b in bindings)
        )

    def _live(self, user: str, now: float) -> list[Binding]:
        return [binding for binding in self._bindings.get(user, ()) if binding.expires_at > now]

    def _sweep(self, now: float) -> None:
        self._bindings = {user: live for user in self._bindings if (live := self._live(user, now))}
