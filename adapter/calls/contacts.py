"""The SIP URI that a 302 shows the caller's phone, made from one contact of a REDIRECT.

Pure.  `192.0.2.7:5062;udp` becomes `sip:bob@192.0.2.7:5062;p2p=<token>`.  The token announces the call: phones copy a
Contact's URI parameters into the Request-URI of the INVITE that follows, so the phone that is called can tell an
announced call from any other [RFC 3261 §8.1.3.4, §19.1.1].  `transport=udp` is what a URI without that parameter means,
so it is left out.
"""

import base64

from overlay.wire.messages import Contact

TOKEN_PARAMETER = "p2p"  # noqa: S105 - the name of a URI parameter, not a secret
"""The URI parameter that carries the token: 16 bytes as 22 characters of unpadded base64url."""


def uri_of(contact: Contact, aor: str, token: bytes) -> str:
    """Return the SIP URI of the user `aor` at this contact, `token` (16 bytes) in its `TOKEN_PARAMETER`."""
    authority, _, transport = str(contact).partition(";")
    parameter = "" if transport == "udp" else f";transport={transport}"
    text = base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")
    return f"sip:{aor}@{authority}{parameter};{TOKEN_PARAMETER}={text}"
