"""The bootstrap server's secrets: made once, kept in one file that only its owner can read.  I/O: files.

Two signing keys, because they fail differently: the overlay key is the server's identity and signs node credentials,
the dealing key signs pieces; the acceptance rule still holds when the second one leaks. Two HMAC secrets: one salts
ring ids (nobody grinds ids offline), the other seeds the dealing, so that dealing a key again gives the same shares.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import NODE_ID_BYTES, NodeCredential

if TYPE_CHECKING:
    from pathlib import Path

KEYS_FILE: Final = "keys.json"
VERSION: Final = 1
SECRET_BYTES: Final = 32
MAX_KEYS_FILE_BYTES: Final = 4096
CREDENTIAL_LIFETIME_S: Final = 30 * 86_400
_SALT_DOMAIN: Final = b"secp2psip node salt 1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKeys:
    """Everything secret that one bootstrap server has. Its repr shows the overlay key's thumbprint only."""

    overlay: PrivateBundle
    """The server's identity: signs challenges, node credentials and the dealing certificate; decrypts REGISTER."""
    dealing: SigningKey
    """Signs pieces."""
    node: SigningKey
    """The server's own ring node."""
    salt_secret: bytes
    """32 bytes."""
    dealing_seed: bytes
    """32 bytes."""

    def __post_init__(self) -> None:
        if len(self.salt_secret) != SECRET_BYTES or len(self.dealing_seed) != SECRET_BYTES:
            raise LocalError(f"a server secret has {SECRET_BYTES} bytes")

    @classmethod
    def generate(cls) -> Self:
        """Make fresh keys from the operating system's randomness."""
        return cls(
            overlay=PrivateBundle.generate(),
            dealing=SigningKey.generate(),
            node=SigningKey.generate(),
            salt_secret=secrets.token_bytes(SECRET_BYTES),
            dealing_seed=secrets.token_bytes(SECRET_BYTES),
        )

    def credential(self, node_public: bytes, *, overlay: str, now: float) -> NodeCredential:
        """Sign a node credential of 30 days."""
        return NodeCredential.issue(
            self.overlay,
            overlay=overlay,
            node_public=node_public,
            salt=self._salt(node_public),
            expires_at=int(now) + CREDENTIAL_LIFETIME_S,
        )

    def node_id(self, node_public: bytes) -> bytes:
        """Return the ring id (20 bytes) that a node key has in this overlay, as its credential will say."""
        return hashlib.sha256(self._salt(node_public) + node_public).digest()[:NODE_ID_BYTES]

    def _salt(self, node_public: bytes) -> bytes:
        """Return 32 bytes: the same node key always gets the same salt, hence the same ring id."""
        return hmac.digest(self.salt_secret, _SALT_DOMAIN + node_public, hashlib.sha256)

    def __repr__(self) -> str:
        return f"ServerKeys(overlay={self.overlay.public.thumbprint().hex()})"


def load_or_create(data: Path) -> ServerKeys:
    """Return the keys of a data directory, made now if there are none yet; raises as `load` does."""
    if not (data / KEYS_FILE).exists():
        _write_once(data / KEYS_FILE, _encode(ServerKeys.generate()))
    return load(data)


def load(data: Path) -> ServerKeys:
    """Return the keys of a data directory.

    LocalError when there are none or others may read them, RemoteError when the file does not hold what was written.
    """
    path = data / KEYS_FILE
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_KEYS_FILE_BYTES)
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise LocalError(f"the private keys in {path} can be read by others: chmod 600 {path}")
    try:
        return _decode(json.loads(text))
    except (KeyError, TypeError, ValueError, RecursionError, RemoteError, LocalError):
        # the cause is left out on purpose: it could quote a key
        raise RemoteError(f"{path} holds no keys of a bootstrap server: put it back from a copy") from None


def _encode(keys: ServerKeys) -> str:
    fields = {
        "v": VERSION,
        "overlay": keys.overlay.to_bytes().hex(),
        "dealing": keys.dealing.to_bytes().hex(),
        "node": keys.node.to_bytes().hex(),
        "salt_secret": keys.salt_secret.hex(),
        "dealing_seed": keys.dealing_seed.hex(),
    }
    return json.dumps(fields, indent=1) + "\n"


def _decode(value: dict[str, Any]) -> ServerKeys:
    if value["v"] != VERSION:
        raise RemoteError("keys of another version")
    return ServerKeys(
        overlay=PrivateBundle.from_bytes(bytes.fromhex(value["overlay"])),
        dealing=SigningKey.from_bytes(bytes.fromhex(value["dealing"])),
        node=SigningKey.from_bytes(bytes.fromhex(value["node"])),
        salt_secret=bytes.fromhex(value["salt_secret"]),
        dealing_seed=bytes.fromhex(value["dealing_seed"]),
    )


def _write_once(path: Path, text: str) -> None:
    """Write a file whole and only if nothing is there: link(2) never replaces."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
