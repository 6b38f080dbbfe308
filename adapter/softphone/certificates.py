"""Which certificate stands at the other end of which TLS connection, and which one has to.

I/O: none. Fingerprints are SHA-256 of the certificate's DER form, 64 hexadecimal digits in lower case; addresses are
`host:port` of the other end. A phone's certificate is worth what names it: a REDIRECT or an INVITE signed by a key
that was rebuilt from the ring. PJSIP reuses a connection that stands, so what was seen is kept as long as it stands;
a phone that comes back, at an address where another was before, is no impostor. Names in certificates count for
nothing: nobody vouches for them on somebody's LAN.
"""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from typing import Final

MAX_CONNECTIONS: Final = 64
"""Ends remembered; PJSIP has no more handles than that."""
FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]{1,16384})-----END CERTIFICATE-----", re.ASCII)


class Certificates:
    """The ends of one phone's TLS connections."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._expected: tuple[str, str] = ("", "")

    def expect(self, address: str, fingerprint: str) -> bool:
        """Demand this certificate at an address from now on; False where another one stands there already."""
        self._expected = (address, fingerprint)
        return (self.of(address) or fingerprint) == fingerprint

    def connected(self, address: str, fingerprint: str, link: int = 0) -> bool:
        """Note the end of a new connection; False where it is not the one that is demanded at this address.

        `link` is a number that no other connection has while this one stands.
        """
        self._seen.pop(address, None)
        self._seen[address] = fingerprint, link
        if len(self._seen) > MAX_CONNECTIONS:
            self._seen.popitem(last=False)
        demanded_at, demanded = self._expected
        return address != demanded_at or fingerprint == demanded

    def ended(self, link: int) -> None:
        """Forget what stood at the end of a connection that is no more."""
        for address in [address for address, (_, other) in self._seen.items() if other == link]:
            del self._seen[address]

    def of(self, address: str) -> str:
        """Give the fingerprint of the certificate at an address, or nothing where no TLS connection leads."""
        return self._seen.get(address, ("", 0))[0]


def fingerprint_of(pem: str) -> str:
    """Return the fingerprint of the first certificate in a PEM text, or nothing where there is none."""
    if (match := _PEM.search(pem)) is None:
        return ""
    try:
        der = base64.b64decode("".join(match[1].split()), validate=True)
    except binascii.Error:
        return ""
    return hashlib.sha256(der).hexdigest() if der else ""
