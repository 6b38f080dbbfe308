"""One phone's Contact: how it is read from a REGISTER and what is kept of it.  I/O: none.

The Contact is kept twice: as the phone wrote it, because a phone looks for its own text in the answer, and as others
can reach it: a loopback host becomes this adapter's address on the network [RFC 3261 §10.2.1, §10.3].
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapter.calls.contacts import FINGERPRINT_PARAMETER, TLS_PORT_PARAMETER
from adapter.sip.grammar import address_of, split_outside, without_parameters
from adapter.sip.refusal import Refusal
from adapter.sip.uri import SipUri, parse_name_addr
from overlay.errors import RemoteError

if TYPE_CHECKING:
    from adapter.sip.registrar import Update

MIN_EXPIRES_S: Final = 30
MAX_EXPIRES_S: Final = 300
"""After a restart whose file of registrations was lost, a phone is back within this time by itself."""
DEFAULT_EXPIRES_S: Final = 300
MAX_CONTACTS_PER_REQUEST: Final = 8
MAX_CONTACT_CHARS: Final = 1024
FIRST_EPHEMERAL_PORT: Final = 32_768
"""Where Linux begins to hand out ports to connections; other systems begin higher [RFC 6335 §6]."""
GONE: Final = -1
"""A connection that ended with the adapter that it belonged to."""

_Q: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_SECONDS: Final = re.compile(r"[0-9]+")
_PORT: Final = re.compile(r"[1-9][0-9]{3,4}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One Contact value of a REGISTER."""

    echo: str
    """The value as it came, without its expires parameter."""
    uri: SipUri
    text: str
    """The URI as it came."""
    q: float
    expires_s: int
    """What the phone asks for, cut to what is granted; 0 removes the binding."""
    tls_port: int = 0
    """Where the phone takes SIP over TLS; 0 when it does not say, or says no certificate."""
    fingerprint: bytes = b""
    """SHA-256 of its certificate, 32 bytes, or empty: both or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A registered Contact of one user."""

    uri: str
    """The URI that others are sent to."""
    host: str
    """Host of `uri`, IPv6 without brackets."""
    port: int
    """Port of `uri`, the transport's own when it names none."""
    transport: str
    """Lower case: udp, tcp or tls."""
    q: float
    source: tuple[str, int]
    """Address and port that the REGISTER came from."""
    connection: int
    """Number of the connection that it came over; 0 for UDP, `GONE` for one of an adapter that has ended since."""
    expires_at: float
    """On the clock of the endpoint."""
    registered_at: float
    contact: Contact
    call_id: str
    cseq: int
    number: int
    """Counts up with every refresh of any binding, so that the youngest is known."""

    @property
    def tls_port(self) -> int:
        """Where the phone takes SIP over TLS, 0 for nowhere."""
        return self.contact.tls_port

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the phone's certificate, 32 bytes, or empty."""
        return self.contact.fingerprint

    @property
    def is_one_way(self) -> bool:
        """Tell whether only the phone's own connection leads to it: its Contact is where it called from, not a door.

        Phones that do so over TCP (linphone) cannot be called by anyone else. A port below those that the kernel hands
        out was chosen, so something listens there.
        """
        return bool(self.connection) and self.port == self.source[1] >= FIRST_EPHEMERAL_PORT


def read_contacts(values: list[str], *, default_s: int) -> tuple[Contact, ...]:
    """Read the Contact values of a REGISTER, `*` excluded.

    RemoteError when one is malformed or no SIP URI, Refusal 423 when one asks for less time than is granted
    [RFC 3261 §10.3].
    """
    if not values:
        return ()
    # the library cuts at commas and knows no escaped quotes: put together and cut again
    texts = split_outside(", ".join(values), ",")
    if len(texts) > MAX_CONTACTS_PER_REQUEST:
        raise RemoteError("there are too many Contacts in one REGISTER")
    return tuple(_read_contact(text.strip(), default_s) for text in texts)


def requested_expiry(text: str, default_s: int) -> int:
    """Read an Expires value in seconds; a malformed one counts as absent [RFC 3261 §10.2.1.1, §20.19]."""
    # only the length matters beyond ten digits
    return int(text[:10]) if _SECONDS.fullmatch(text) else default_s


def reachable(contact: Contact, *, adapter_host: str) -> str:
    """Return the URI that another host can call: a loopback or unspecified host becomes the adapter's own.

    Nothing changes while the adapter itself is on loopback or on every address: then there is nothing better to say.
    """
    own = address_of(adapter_host)
    if own is None or own.is_loopback or own.is_unspecified or not _is_local(contact.uri.host):
        return contact.text
    return contact.uri.at_host(f"[{own}]" if own.version == 6 else str(own))  # noqa: PLR2004 - the IP version


def is_itself(contact: Contact, address: tuple[str, int], tls_port: int = 0) -> bool:
    """Tell whether others would reach the adapter at `address` by this Contact, and never a phone.

    At its `tls_port` (0: none) it has TCP only, so a phone may have the UDP port of the same number.
    """
    host, port = address
    moved = reachable(contact, adapter_host=host) != contact.text
    ports = {port} if contact.uri.transport == "udp" else {port, tls_port}
    return port_of(contact.uri) in ports and (moved or address_of(contact.uri.host) == address_of(host) is not None)


def port_of(uri: SipUri) -> int:
    """Return the port that a URI leads to, the transport's own when it names none [RFC 3261 §19.1.2]."""
    return uri.port or (5061 if uri.transport == "tls" else 5060)


def bind(contact: Contact, *, adapter_host: str, update: Update, now: float, order: tuple[str, int, int]) -> Binding:
    """Make the binding that a Contact of a REGISTER asks for; `order` is Call-ID, CSeq and the running number."""
    uri = reachable(contact, adapter_host=adapter_host)
    moved = uri != contact.text
    return Binding(
        uri=uri,
        host=(adapter_host if moved else contact.uri.host).strip("[]"),
        port=port_of(contact.uri),
        transport=contact.uri.transport,
        q=contact.q,
        source=update.source,
        connection=update.connection,
        expires_at=now + contact.expires_s,
        registered_at=now,
        contact=contact,
        call_id=order[0],
        cseq=order[1],
        number=order[2],
    )


def _read_contact(text: str, default_s: int) -> Contact:
    if len(text) > MAX_CONTACT_CHARS:
        raise RemoteError("a Contact is too long")
    value = parse_name_addr(text)
    if value.uri is None:
        raise RemoteError("a Contact is no SIP URI")
    q = value.parameters.get("q", "1")
    if q is None or not _Q.fullmatch(q):
        raise RemoteError("the q of a Contact is no number from 0 to 1")
    expires_s = requested_expiry(value.parameters.get("expires") or "", default_s)
    if 0 < expires_s < MIN_EXPIRES_S:
        raise Refusal(423, headers=(("Min-Expires", str(MIN_EXPIRES_S)),))
    tls_port, fingerprint = _tls_of(value.parameters)
    return Contact(
        echo=without_parameters(text, frozenset({"expires"})),
        uri=value.uri,
        text=value.text,
        q=float(q),
        expires_s=min(expires_s, MAX_EXPIRES_S),
        tls_port=tls_port,
        fingerprint=fingerprint,
    )


def _tls_of(parameters: dict[str, str | None]) -> tuple[int, bytes]:
    """Read where a phone takes SIP over TLS and the certificate that it shows there; what is malformed is not there."""
    port, fingerprint = (parameters.get(name) or "" for name in (TLS_PORT_PARAMETER, FINGERPRINT_PARAMETER))
    if not _PORT.fullmatch(port) or not _FINGERPRINT.fullmatch(fingerprint) or int(port) > 65_535:  # noqa: PLR2004
        return 0, b""
    return int(port), bytes.fromhex(fingerprint)


def _is_local(host: str) -> bool:
    address = address_of(host)
    if address is None:
        return host.rstrip(".") == "localhost"
    return address.is_loopback or address.is_unspecified
