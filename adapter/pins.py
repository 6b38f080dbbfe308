"""Pinned contacts: whose key was once proved in a call, and what a later lookup may make of it.  I/O: none.

A key is pinned at its first proof (trust on first use). From then on that name means that key, or one that the pinned
key leads to by its own signatures (`overlay.trust.succession`). Whoever answers with another is refused, be he backed
by every holder and by the bootstrap's keys: only the person at the adapter may forget a pin.

The first MAX_CONTACTS names are kept and later ones are not pinned: were the oldest dropped instead, whoever can call
under many names could wash a pin away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import KeyBundle, is_aor
from overlay.trust.signed import MAX_GENERATION, check_int
from overlay.trust.succession import leads_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from overlay.trust.records import LookupRecord

    Save = Callable[[tuple["Pin", ...]], None]

MAX_CONTACTS: Final = 512
EVERYONE, CONTACTS, NOBODY = "everyone", "contacts", "nobody"
ACCEPT: Final = (EVERYONE, CONTACTS, NOBODY)
"""Whose calls the users of a device take; see `Pins.admits`."""
_GROUP_DIGITS: Final = 5
_GROUPS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One name and the key that it means here."""

    aor: str
    """User name in its one spelling."""
    bundle: bytes
    """64 bytes: the key bundle that was proved."""
    generation: int
    """Its generation."""
    first_seen: float
    """When the first key of this pin was proved, in seconds since 1970."""
    verified: bool = False
    """Whether a person compared the fingerprint with its owner; a key that follows by signature inherits it."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("a pin is of a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        _ = self.key

    @property
    def key(self) -> KeyBundle:
        """The pinned key."""
        return KeyBundle.decode(self.bundle)

    @property
    def thumbprint(self) -> bytes:
        """Its 16-byte thumbprint."""
        return self.key.thumbprint()

    def leads_to(self, record: LookupRecord) -> bool:
        """Whether a record that verified by itself is of the pinned key, or of one that the pinned key leads to."""
        if record.aor != self.aor:
            return False
        if record.bundle == self.bundle:
            return record.generation == self.generation
        try:
            return record.generation > self.generation and bool(leads_from(record.successions(), self.thumbprint))
        except RemoteError:
            return False


class Pins:
    """The pins of one device; `save` is called with all of them after each change."""

    def __init__(
        self, pins: Iterable[Pin] = (), *, save: Callable[[tuple[Pin, ...]], None] = lambda _pins: None
    ) -> None:
        self._pins = {pin.aor: pin for pin in pins}
        self._save = save
        if len(self._pins) > MAX_CONTACTS:
            raise LocalError(f"at most {MAX_CONTACTS} contacts are kept")

    def get(self, aor: str) -> Pin | None:
        """Return the pin of a name, if there is one."""
        return self._pins.get(aor)

    def all(self) -> tuple[Pin, ...]:
        """Return every pin, by name."""
        return tuple(sorted(self._pins.values(), key=lambda pin: pin.aor))

    def admits(self, caller: str, accept: str) -> bool:
        """Whether the policy `accept`, one of ACCEPT, lets a caller of that name ask for the phone.

        A name is all that is known before the lookup; who borrows a contact's name fails there, by the pin.
        """
        return accept == EVERYONE or (accept == CONTACTS and caller in self._pins)

    def note(self, aor: str, bundle: KeyBundle, generation: int, now: float) -> bool:
        """Pin a key that a call has just proved under the rules of the lookup; whether anything changed.

        The lookup has already refused what the pin does not lead to: a newer key here is one that it leads to.
        """
        old, data = self._pins.get(aor), bundle.encode()
        if old is None:
            if len(self._pins) >= MAX_CONTACTS:
                return False
            self._pins[aor] = Pin(aor=aor, bundle=data, generation=generation, first_seen=now)
        elif generation > old.generation and data != old.bundle:
            self._pins[aor] = replace(old, bundle=data, generation=generation)
        else:
            return False
        self._save(self.all())
        return True

    def verify(self, aor: str) -> Pin:
        """Mark a pin as compared by a person. LocalError without that contact."""
        pin = self._pins.get(aor)
        if pin is None:
            raise LocalError(f"{aor} is no contact here")
        self._pins[aor] = replace(pin, verified=True)
        self._save(self.all())
        return self._pins[aor]

    def forget(self, aor: str) -> bool:
        """Drop a pin; the next call pins whatever key it proves. Whether there was one."""
        if self._pins.pop(aor, None) is None:
            return False
        self._save(self.all())
        return True


def digits(thumbprint: bytes) -> str:
    """Return a 16-byte thumbprint as six groups of five digits, to be read out over the phone (about 99.7 bits)."""
    number = int.from_bytes(thumbprint) % 10 ** (_GROUPS * _GROUP_DIGITS)
    text = f"{number:0{_GROUPS * _GROUP_DIGITS}d}"
    return " ".join(text[at : at + _GROUP_DIGITS] for at in range(0, len(text), _GROUP_DIGITS))
