"""JWS and JWE with nothing to choose: one algorithm each, exact headers, one spelling.  I/O: none.

joserfc does the cryptography; here stands what it may see. Signatures: `Ed25519`, the fully specified name of what RFC
8037 calls EdDSA [RFC 7515] [RFC 8037] [RFC 9864]. Encryption: `ECDH-ES` with X25519, `A256GCM` [RFC 7516] [RFC 7518].
The header has exactly the expected members, so zip, jku, jwk, kid, x5*, crit and b64 cannot even be asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PUBLIC_BYTES, SIGNATURE_BYTES, THUMBPRINT_BYTES, KeyBundle, PrivateBundle
from overlay.trust.points import is_small_order_x25519
from overlay.wire.payload import decode_base64, decode_json, encode_base64, encode_json

SIGNATURE_ALGORITHM: Final = "Ed25519"
KEY_AGREEMENT: Final = "ECDH-ES"
CONTENT_ENCRYPTION: Final = "A256GCM"
KEY_CURVE: Final = "X25519"
IV_BYTES: Final = 12
TAG_BYTES: Final = 16
JWS_PARTS: Final = 3
JWE_PARTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Jws:
    """A signed token, taken apart but believed by nobody until `verify` returns."""

    compact: str
    """The token as it came."""
    method: str
    """Its `typ`: the message that it is."""
    key_id: bytes
    """Its `kid`: 16 bytes of thumbprint, or empty."""
    payload: bytes
    """The JSON inside, not verified."""

    @property
    def hash(self) -> bytes:
        """SHA-256 of the token, 32 bytes."""
        return hashlib.sha256(self.compact.encode("ascii")).digest()

    def verify(self, signer: KeyBundle) -> None:
        """RemoteError unless the owner of that bundle signed this token."""
        key = OKPKey.import_key(Ed25519PublicKey.from_public_bytes(signer.ed25519))
        try:
            jws.deserialize_compact(self.compact, key, algorithms=[SIGNATURE_ALGORITHM])
        except (JoseError, ValueError):
            raise RemoteError(f"{self.method} not signed by its issuer") from None


def sign(method: str, payload: bytes, signer: PrivateBundle, *, key_id: bytes = b"") -> str:
    """Sign a payload as a message of that kind: a compact JWS. The kind is signed too, as `typ`."""
    return jws.serialize_compact(
        _jws_header(method, key_id), payload, OKPKey.import_key(signer.signing), algorithms=[SIGNATURE_ALGORITHM]
    )


def parse_jws(token: str, method: str, *, names_key: bool = False) -> Jws:
    """Take a compact JWS apart; RemoteError unless it is one spelling of a message of that kind. Verifies nothing.

    A token names its key exactly where `names_key` says so.
    """
    parts = token.split(".")
    if len(parts) != JWS_PARTS:
        raise RemoteError("a signed token has three parts")
    header = decode_json(decode_base64(parts[0]))
    key_id = decode_base64(header.get("kid")) if names_key else b""
    if names_key and len(key_id) != THUMBPRINT_BYTES:
        raise RemoteError(f"a key id has {THUMBPRINT_BYTES} bytes")
    if list(header.items()) != list(_jws_header(method, key_id).items()):
        raise RemoteError("a signed token with another header")
    if len(decode_base64(parts[2])) != SIGNATURE_BYTES:
        raise RemoteError(f"a signature has {SIGNATURE_BYTES} bytes")
    return Jws(compact=token, method=method, key_id=key_id, payload=decode_base64(parts[1]))


def encrypt(plaintext: bytes, recipient: KeyBundle) -> str:
    """Encrypt to the owner of a bundle: a compact JWE with a fresh key of its own."""
    header = {"alg": KEY_AGREEMENT, "enc": CONTENT_ENCRYPTION}
    key = OKPKey.import_key(X25519PublicKey.from_public_bytes(recipient.x25519))
    return jwe.encrypt_compact(header, plaintext, key, algorithms=[KEY_AGREEMENT, CONTENT_ENCRYPTION])


def decrypt(token: str, recipient: PrivateBundle) -> bytes:
    """Open a compact JWE; RemoteError on any flaw: another key, algorithm, header, spelling, or a changed byte."""
    parts = token.split(".")
    if len(parts) != JWE_PARTS:
        raise RemoteError("an encrypted token has five parts")
    _check_jwe_header(decode_json(decode_base64(parts[0])))
    sizes = [len(decode_base64(part)) for part in parts[1:]]
    if sizes[0] != 0 or sizes[1] != IV_BYTES or sizes[3] != TAG_BYTES:
        raise RemoteError("an encrypted token with parts of other sizes")
    key = OKPKey.import_key(recipient.exchange)
    try:
        opened = jwe.decrypt_compact(token, key, algorithms=[KEY_AGREEMENT, CONTENT_ENCRYPTION])
    except (JoseError, ValueError):
        raise RemoteError("a token that this key does not open") from None
    if opened.plaintext is None:
        raise LocalError("the library opened a token and gave nothing")
    return opened.plaintext


def signed_size(method: str, payload_bytes: int) -> int:
    """Return the characters of `sign`'s token without a key id."""
    header = len(encode_json(_jws_header(method, b"")))
    return sum(_base64_size(size) for size in (header, payload_bytes, SIGNATURE_BYTES)) + JWS_PARTS - 1


def encrypted_size(plaintext_bytes: int) -> int:
    """Return the characters of `encrypt`'s token."""
    epk = {"crv": KEY_CURVE, "x": "A" * _base64_size(PUBLIC_BYTES), "kty": "OKP"}
    header = len(encode_json({"alg": KEY_AGREEMENT, "enc": CONTENT_ENCRYPTION, "epk": epk}))
    return sum(_base64_size(size) for size in (header, IV_BYTES, plaintext_bytes, TAG_BYTES)) + JWE_PARTS - 1


def _base64_size(size: int) -> int:
    return (4 * size + 2) // 3


def _jws_header(method: str, key_id: bytes) -> dict[str, Any]:
    header = {"alg": SIGNATURE_ALGORITHM, "typ": method}
    if key_id:
        header["kid"] = encode_base64(key_id)
    return header


def _check_jwe_header(header: dict[str, Any]) -> None:
    epk = header.get("epk")
    if set(header) != {"alg", "enc", "epk"} or not isinstance(epk, dict) or set(epk) != {"kty", "crv", "x"}:
        raise RemoteError("an encrypted token with another header")
    if (header["alg"], header["enc"], epk["kty"], epk["crv"]) != (KEY_AGREEMENT, CONTENT_ENCRYPTION, "OKP", KEY_CURVE):
        raise RemoteError("an encrypted token with another algorithm")
    public = decode_base64(epk["x"])
    if len(public) != PUBLIC_BYTES or is_small_order_x25519(public):
        raise RemoteError("an encrypted token with an ephemeral key that is none")
