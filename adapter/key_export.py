"""A user's key as a file to carry away, sealed by a passphrase.  Pure: bytes and a passphrase in, bytes out.

One line of ASCII, the same for the same content, salt and nonce; docs/protocol.md §12 gives it byte by byte:

    secp2psip-key-export-1 BASE64(salt || nonce || sealed || checksum)

Sealed by ChaCha20-Poly1305 [RFC 8439] under a key of scrypt [RFC 7914] are the name, the key, and the line of earlier
keys that leads to it, without which contacts could not follow. The costs of scrypt are fixed by the version, so that a
file cannot ask for gigabytes. The checksum tells a damaged file from a wrong passphrase; it proves nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import MAX_AOR_CHARS, PRIVATE_BUNDLE_BYTES, PrivateBundle, is_aor
from overlay.trust.signed import MAX_GENERATION, check_int
from overlay.trust.succession import LINK_BYTES, MAX_LINKS, decode_chain

HEADER: Final = "secp2psip-key-export-1"
SCRYPT_N: Final = 2**17
"""With r = 8: 128 MiB and some 0.4 s for each passphrase tried."""
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
CHECKSUM_BYTES: Final = 8
MIN_PASSPHRASE_CHARS: Final = 8
MAX_PASSPHRASE_BYTES: Final = 1024
_HEAD: Final = struct.Struct(">BIB")
"""Length of the name, generation, links."""
_LEAST_BYTES: Final = SALT_BYTES + NONCE_BYTES + _HEAD.size + 1 + PRIVATE_BUNDLE_BYTES + TAG_BYTES + CHECKSUM_BYTES
_MOST_BYTES: Final = _LEAST_BYTES - 1 + MAX_AOR_CHARS + MAX_LINKS * LINK_BYTES
MAX_EXPORT_BYTES: Final = len(HEADER) + 2 + 4 * ((_MOST_BYTES + 2) // 3)
"""The longest file there is."""


class WrongPassphrase(LocalError):
    """The file is whole, and this passphrase does not open it."""

    code = "wrong_passphrase"
    hint = "try again: capitals and keyboard layout count; without the passphrase nobody can open the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedKey:
    """What is carried from one device to another."""

    aor: str
    """User name in its one spelling."""
    keys: PrivateBundle
    """Both private keys."""
    generation: int = 1
    """Their generation, as far as known."""
    succession: bytes = b""
    """The links that lead from earlier keys to this one (`overlay.trust.succession`)."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("a key is exported under a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        public = self.keys.public.encode()
        for link in decode_chain(self.succession, aor=self.aor, generation=self.generation, bundle=public):
            link.verify()


def check_passphrase(passphrase: str) -> bytes:
    """Return the bytes that scrypt takes: UTF-8 of the passphrase in NFKC. LocalError for one too short or too long."""
    data = unicodedata.normalize("NFKC", passphrase).encode("utf-8", errors="surrogateescape")
    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        raise LocalError(f"a passphrase has at least {MIN_PASSPHRASE_CHARS} characters; several words are better")
    if len(data) > MAX_PASSPHRASE_BYTES:
        raise LocalError(f"a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes")
    return data


def seal_export(content: ExportedKey, passphrase: str, *, salt: bytes, nonce: bytes) -> bytes:
    """Return the file. `salt` (16 bytes) and `nonce` (12) are random and of this file alone; LocalError otherwise."""
    if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise LocalError(f"an export takes {SALT_BYTES} bytes of salt and {NONCE_BYTES} of nonce")
    name = content.aor.encode("ascii")
    head = _HEAD.pack(len(name), content.generation, len(content.succession) // LINK_BYTES)
    plain = head + name + content.keys.to_bytes() + content.succession
    sealed = _cipher(passphrase, salt).encrypt(nonce, plain, HEADER.encode("ascii"))
    return _encode(salt + nonce + sealed)


def check_export(data: bytes) -> bytes:
    """Return salt || nonce || sealed of a file that is whole; RemoteError for any other. Costs no passphrase."""
    try:
        header, body = data.decode("ascii").split()
        raw = base64.b64decode(body, validate=True) if len(data) <= MAX_EXPORT_BYTES else b""
    except (UnicodeDecodeError, ValueError, binascii.Error):
        raise RemoteError("it is no exported key") from None
    if header != HEADER or not _LEAST_BYTES <= len(raw) <= _MOST_BYTES:
        raise RemoteError("it is no exported key")
    if _encode(raw[:-CHECKSUM_BYTES]) != data:  # one content, one spelling
        raise RemoteError("it is damaged")
    return raw[:-CHECKSUM_BYTES]


def open_export(data: bytes, passphrase: str) -> ExportedKey:
    """Return what a file holds. RemoteError for one that is damaged or none, WrongPassphrase, LocalError as above."""
    raw = check_export(data)
    salt, nonce, sealed = raw[:SALT_BYTES], raw[SALT_BYTES : SALT_BYTES + NONCE_BYTES], raw[SALT_BYTES + NONCE_BYTES :]
    try:
        plain = _cipher(passphrase, salt).decrypt(nonce, sealed, HEADER.encode("ascii"))
    except InvalidTag:
        raise WrongPassphrase("the passphrase is wrong") from None
    length, generation, links = _HEAD.unpack_from(plain)
    rest = plain[_HEAD.size :]
    if len(rest) != length + PRIVATE_BUNDLE_BYTES + links * LINK_BYTES:
        raise RemoteError("it is damaged")
    try:
        return ExportedKey(
            aor=rest[:length].decode("ascii"),
            keys=PrivateBundle.from_bytes(rest[length : length + PRIVATE_BUNDLE_BYTES]),
            generation=generation,
            succession=rest[length + PRIVATE_BUNDLE_BYTES :],
        )
    except (UnicodeDecodeError, LocalError):
        raise RemoteError("it is damaged") from None


def _encode(body: bytes) -> bytes:
    checksum = hashlib.sha256(HEADER.encode("ascii") + b"\0" + body).digest()[:CHECKSUM_BYTES]
    return f"{HEADER} {base64.b64encode(body + checksum).decode('ascii')}\n".encode("ascii")


def _cipher(passphrase: str, salt: bytes) -> ChaCha20Poly1305:
    kdf = Scrypt(salt=salt, length=KEY_BYTES, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
    return ChaCha20Poly1305(kdf.derive(check_passphrase(passphrase)))
