"""The SIP URI that a 302 shows the caller's phone, made from one contact of a REDIRECT.

Pure.  `192.0.2.7:5062;udp` becomes `sip:bob@192.0.2.7:5062;p2p=<token>`.  The token announces the call: phones copy a
Contact's URI parameters into the Request-URI of the INVITE that follows, so the phone that is called can tell an
announced call from any other [RFC 3261 §8.1.3.4, §19.1.1].  `transport=udp` is what a URI without that parameter means,
so it is left out.

The token itself is a secret of three: both adapters and the phone that calls.  Traces and screens get its digest, which
tells that an INVITE bears it and gives it to nobody.
"""

import base64
import hashlib
import re

from overlay.wire.messages import Contact

TOKEN_PARAMETER = "p2p"  # noqa: S105 - the name of a URI parameter, not a secret
"""The URI parameter that carries the token: 16 bytes as 22 characters of unpadded base64url."""
DIGEST_BYTES = 8
"""Enough to tell the tokens of a minute apart."""
_TOKEN_IN_URI = re.compile(rf";{TOKEN_PARAMETER}=([A-Za-z0-9_-]{{22}})(?=[;>?]|$)")


def uri_of(contact: Contact, aor: str, token: bytes) -> str:
    """Return the SIP URI of the user `aor` at this contact, `token` (16 bytes) in its `TOKEN_PARAMETER`."""
    authority, _, transport = str(contact).partition(";")
    parameter = "" if transport == "udp" else f";transport={transport}"
    text = base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")
    return f"sip:{aor}@{authority}{parameter};{TOKEN_PARAMETER}={text}"


def token_digest(token: bytes) -> str:
    """Return what may be shown of a token (16 bytes): 16 hexadecimal digits."""
    return hashlib.sha256(b"secp2psip call token\0" + token).digest()[:DIGEST_BYTES].hex()


def digest_in(request_uri: str) -> str:
    """Return the digest of the token that a Request-URI bears, or nothing."""
    found = _TOKEN_IN_URI.search(request_uri)
    return token_digest(base64.urlsafe_b64decode(found[1] + "==")) if found else ""
