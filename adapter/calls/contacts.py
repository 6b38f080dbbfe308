"""The SIP URI that a 302 shows the caller's phone, made from one contact of a REDIRECT, and which contacts get there.

Pure.  `192.0.2.7:5062;udp` becomes `sip:bob@192.0.2.7:5062;p2p=<token>`.  The token announces the call: phones copy a
Contact's URI parameters into the Request-URI of the INVITE that follows, so the phone that is called can tell an
announced call from any other [RFC 3261 §8.1.3.4, §19.1.1].  `transport=udp` is what a URI without that parameter means,
so it is left out.

The callee chose the contact, and any phone will do what the 302 says: so it must not be steered at a service of its own
host, at another protocol's port, or back at this adapter, where the call would go round [RFC 3261 §26.1, §8.1.3.4].
A callee with a phone of each address family names both, and phones try Contacts in the order given: what the caller's
phone can reach comes first, and of that its own family [RFC 3261 §8.1.3.4] [RFC 6724 §5].

The token itself is a secret of three: both adapters and the phone that calls.  Traces and screens get its digest, which
tells that an INVITE bears it and gives it to nobody.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Collection
from ipaddress import ip_address

from overlay.wire.messages import Contact

TOKEN_PARAMETER = "p2p"  # noqa: S105 - the name of a URI parameter, not a secret
"""The URI parameter that carries the token: 16 bytes as 22 characters of unpadded base64url."""
FINGERPRINT_PARAMETER = "secp2psip-fp"
"""The Contact parameter that names a phone's certificate: its SHA-256 as 64 hexadecimal digits. Phones tell it to their
adapter in REGISTER, and are told the other phone's in a 302; parameters of a Contact that a phone does not know are
passed over [RFC 3261 §8.3, §20.10]."""
TLS_PORT_PARAMETER = "secp2psip-tls"
"""The Contact parameter of a REGISTER with the port where that phone takes SIP over TLS."""
DIGEST_BYTES = 8
"""Enough to tell the tokens of a minute apart."""
LOWEST_PORT = 1024
"""No phone listens below; much else does, and a phone that is sent there speaks to it from inside its network."""
_TOKEN_IN_URI = re.compile(rf";{TOKEN_PARAMETER}=([A-Za-z0-9_-]{{22}})(?=[;>?]|$)")


def uri_of(contact: Contact, aor: str, token: bytes) -> str:
    """Return the SIP URI of the user `aor` at this contact, `token` (16 bytes) in its `TOKEN_PARAMETER`."""
    authority, _, transport = str(contact).partition(";")
    parameter = "" if transport == "udp" else f";transport={transport}"
    text = base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")
    return f"sip:{aor}@{authority}{parameter};{TOKEN_PARAMETER}={text}"


def flaw_in(contact: Contact, *, node_host: str, own: Collection[tuple[str, int]]) -> str:
    """Say why a caller's phone is not sent to this contact; nothing if it may be.

    `node_host` is the IP literal that the ring proved the callee's node at: only a node on this very host can mean a
    loopback address.  `own` are the addresses of this adapter.
    """
    address = ip_address(contact.host)
    if address.is_loopback:
        if not ip_address(node_host).is_loopback:
            return "a loopback address of another host"
    elif getattr(address, "ipv4_mapped", None) is not None or address.is_reserved or contact.host.startswith("0."):
        return "no address of one phone"
    if contact.port < LOWEST_PORT:
        return "no port of a phone"
    return "this adapter itself" if (contact.host, contact.port) in own else ""


def in_order(contacts: Collection[Contact], *, phone_host: str, reaches: Callable[[str], bool]) -> list[Contact]:
    """Return the contacts as the caller's phone is to try them; of equal ones, as the callee put them.

    `phone_host` is the IP literal that the phone sends from, or nothing; `reaches` tells of another one whether it gets
    there: rules 1 and 2 for destinations, as far as they are about families.
    """
    own = ip_address(phone_host).version if phone_host else 0

    def place(contact: Contact) -> tuple[bool, bool]:
        return not reaches(contact.host), ip_address(contact.host).version != own

    return sorted(contacts, key=place)


def token_digest(token: bytes) -> str:
    """Return what may be shown of a token (16 bytes): 16 hexadecimal digits."""
    return hashlib.sha256(b"secp2psip call token\0" + token).digest()[:DIGEST_BYTES].hex()


def digest_in(request_uri: str) -> str:
    """Return the digest of the token that a Request-URI bears, or nothing."""
    found = _TOKEN_IN_URI.search(request_uri)
    return token_digest(base64.urlsafe_b64decode(found[1] + "==")) if found else ""
