"""What may come out of a 302 into PJSIP, and what may be dialled at all: judged on text before PJSIP acts on it.

I/O: none. The Contact of a 302 was chosen by the far side, so it may try to steer our phone at something that is no
phone: only scheme sip, an IPv4 literal (no name look-up, and this PJSIP has no IPv6), a port that phones use, known
parameters, no URI headers (they would become headers of our INVITE) and never our own adapter (a loop). The grammar
here is far narrower than the RFC's on purpose: what it lets pass, every parser reads alike. [RFC 3261 §8.1.3.4]
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from adapter.calls.contacts import FINGERPRINT_PARAMETER, TOKEN_PARAMETER
from overlay.errors import RemoteError

MAX_RESPONSE_CHARS: Final = 8192
"""Cap on a 302 that is looked into at all."""
MAX_CONTACTS: Final = 4
MAX_CONTACT_CHARS: Final = 512
"""Cap on one Contact header field's value."""
DEFAULT_PORT: Final = 5060
LOWEST_PORT: Final = 1024
"""No phone listens below; much else does."""
KNOWN_PARAMETERS: Final = frozenset({TOKEN_PARAMETER, "transport", "user", "ob"})
"""The token announces the call to the other phone; `ob` and `user` come from stock phones."""
TRANSPORTS: Final = frozenset({"udp", "tls"})
"""What this phone can speak; TLS only to a certificate that is named."""

_URI: Final = re.compile(
    r"sip:(?P<user>[A-Za-z0-9._~%+-]{1,64})@(?P<host>[0-9.]{7,15})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<parameters>(?:;[A-Za-z0-9_-]{1,32}(?:=[A-Za-z0-9._~-]{1,128})?){0,8})",
    re.ASCII,
)
_CONTACT: Final = re.compile(
    r"\s*(?:\"[^\"\\]{0,128}\"\s*|[A-Za-z0-9 ._-]{0,128})<(?P<uri>[^<>\s\",]{1,400})>"
    r"(?P<parameters>(?:;[A-Za-z0-9.+_-]{1,64}(?:=(?:\"[^\"\\]{0,128}\"|[A-Za-z0-9.+:_~-]{1,128}))?){0,8})\s*(?:,|$)",
    re.ASCII,
)
_FINGERPRINT: Final = re.compile(rf";{FINGERPRINT_PARAMETER}=([0-9a-f]{{64}})(?=;|$)", re.ASCII | re.IGNORECASE)
_Q: Final = re.compile(r";q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)(?=;|$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A SIP URI that passed the checks, and what PJSIP will make of it."""

    uri: str
    """As it was written."""
    user: str
    host: str
    """IPv4 literal."""
    port: int
    q: float = 1.0
    """Preference of a Contact, 0.0 to 1.0."""
    fingerprint: str = ""
    """SHA-256 in hexadecimal of the certificate that has to be there, for TLS alone; empty: plain SIP over UDP."""

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


def check_uri(uri: str, *, q: float = 1.0, fingerprint: str = "") -> Target:
    """Judge one SIP URI by its grammar, host, port and parameters; RemoteError names the flaw.

    `fingerprint` names the certificate of a phone that is reached over TLS, and comes with TLS alone.
    """
    if not uri.lower().startswith("sip:"):
        raise RemoteError("only sip: addresses can be called")
    if (match := _URI.fullmatch("sip:" + uri[4:])) is None:
        raise RemoteError("the address is not of the form sip:name@1.2.3.4:port with plain parameters")
    try:
        host = IPv4Address(match["host"])
    except ValueError:
        raise RemoteError("the address does not hold an IPv4 literal") from None
    if host.is_multicast or host.is_unspecified or host == IPv4Address("255.255.255.255"):
        raise RemoteError(f"{host} is no address of one phone")
    port = int(match["port"] or DEFAULT_PORT)
    if not LOWEST_PORT <= port <= 65_535:  # noqa: PLR2004  the highest port there is
        raise RemoteError(f"{port} is no port of a phone")
    parameters: dict[str, str] = {}
    for parameter in match["parameters"].lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name not in KNOWN_PARAMETERS or name in parameters:
            raise RemoteError(f"the address has the parameter {name}, unknown or for the second time")
        parameters[name] = value
    transport = parameters.get("transport", "udp")
    if transport not in TRANSPORTS:
        raise RemoteError(f"this phone does not speak SIP over {transport or 'nothing'}")
    if (transport == "tls") is not bool(fingerprint):
        raise RemoteError("TLS comes with the fingerprint of a certificate, and only TLS does")
    return Target(uri=uri, user=match["user"], host=str(host), port=port, q=q, fingerprint=fingerprint)


def contacts_of(response: str) -> tuple[Target, ...]:
    """Read and judge every Contact of a 302's text, in its order.

    RemoteError where there is none, where one of them fails, or where the text cannot be read beyond doubt: PJSIP
    chooses among all of them, so that one bad Contact spoils the response.
    """
    if len(response) > MAX_RESPONSE_CHARS:
        raise RemoteError("the 302 is over-long")
    first, *lines = re.split(r"\r\n|\r|\n", response)
    if not first.startswith(("SIP/2.0 302 ", "SIP/2.0 301 ")):
        raise RemoteError("only 301 and 302 are followed")
    found: list[Target] = []
    for line in lines:
        if not line:
            break
        if line[0] in " \t":
            raise RemoteError("the 302 has a folded header")  # of our adapter's making none has
        name, _, value = line.partition(":")
        if name.strip().lower() not in {"contact", "m"}:
            continue
        if len(value) > MAX_CONTACT_CHARS:
            raise RemoteError("the 302 has an over-long Contact")
        found.extend(_read_contacts(value.strip()))
    if not found:
        raise RemoteError("the 302 has no Contact")
    if len(found) > MAX_CONTACTS:
        raise RemoteError(f"the 302 has more than {MAX_CONTACTS} Contacts")
    return tuple(found)


def choose(response: str, *, selected: str, forbidden: Collection[str], own_host: str) -> Target:
    """Judge a 302 and return the Contact that PJSIP is about to follow.

    `selected` is PJSIP's own word for it, which lacks port and transport (`<sip:bob@1.2.3.4;p2p=x>`): it must name the
    user and host of the most preferred Contact, or the two of us have read the response differently. `forbidden` holds
    the `host:port` of our own adapter and of ourselves; on a network address (`own_host`) a loopback Contact is
    refused, since nobody else can mean our own loopback. RemoteError says what is wrong.
    """
    targets = contacts_of(response)
    for target in targets:
        if target.address in forbidden:
            raise RemoteError(f"the 302 leads back to {target.address}, which is ourselves")
        if IPv4Address(target.host).is_loopback and not IPv4Address(own_host).is_loopback:
            raise RemoteError("the 302 leads to a loopback address of this host")
    chosen = max(targets, key=lambda target: target.q)  # the first of equals, as PJSIP takes them
    if selected.strip("<>").partition(";")[0].lower() != f"sip:{chosen.user}@{chosen.host}".lower():
        raise RemoteError("the 302 cannot be read beyond doubt")
    return chosen


def _read_contacts(value: str) -> list[Target]:
    targets: list[Target] = []
    position = 0
    while position < len(value):
        if (match := _CONTACT.match(value, position)) is None:
            raise RemoteError("the 302 has a Contact that is not of the form <sip:name@1.2.3.4:port>")
        q = _Q.search(match["parameters"])
        named = _FINGERPRINT.search(match["parameters"])
        fingerprint = named[1].lower() if named else ""
        targets.append(check_uri(match["uri"], q=float(q[1]) if q else 1.0, fingerprint=fingerprint))
        position = match.end()
    return targets
