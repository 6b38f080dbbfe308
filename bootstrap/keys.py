"""The bootstrap server's secrets: made once, kept in two files that only their owner can read.  I/O: files.

Two signing keys, because they fail differently: the overlay key is the server's identity and signs node credentials,
the dealing key signs pieces; the acceptance rule still holds when the second one leaks, and each has a file of its own
so that one can. Two HMAC secrets: one salts
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

from bootstrap.problems import UsageProblem
from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import NODE_ID_BYTES, NodeCredential

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OVERLAY_FILE: Final = "overlay-key.json"
"""The server's identity, its node's key and the secret behind ring ids."""
DEALING_FILE: Final = "dealing-key.json"
"""The key that signs pieces, and the seed of the dealing: to be kept, and lost, apart from the other."""
OLD_FILE: Final = "keys.json"
"""All of it in one file, as earlier versions had it."""
ACCOUNTS_FILE: Final = "accounts.sqlite"
"""The books; where they are, a key that is missing is lost and not still to be made."""
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
    """Return the keys of a data directory, made now if there are none yet; raises as `load` does.

    A file of an earlier version is divided, and removed once both parts are on the disk.
    """
    if (data / OLD_FILE).exists():
        _write(data, load(data))
        (data / OLD_FILE).unlink()
        _sync(data)
    elif not (data / OVERLAY_FILE).exists() and not (data / ACCOUNTS_FILE).exists():
        # a first start, or one that was cut short: no key was ever shown to anybody
        _write(data, ServerKeys.generate())
    return load(data)


def load(data: Path) -> ServerKeys:
    """Return the keys of a data directory.

    LocalError when there are none or others may read them, RemoteError when a file does not hold what was written.
    """
    if (data / OLD_FILE).exists():
        value = _read(data / OLD_FILE)
        return ServerKeys(**_decoded(data / OLD_FILE, value, _OVERLAY_PART | _DEALING_PART))
    overlay, dealing = _read(data / OVERLAY_FILE), _read(data / DEALING_FILE)
    return ServerKeys(
        **_decoded(data / OVERLAY_FILE, overlay, _OVERLAY_PART),
        **_decoded(data / DEALING_FILE, dealing, _DEALING_PART),
    )


_OVERLAY_PART: Final[dict[str, Callable[[bytes], Any]]] = {
    "overlay": PrivateBundle.from_bytes,
    "node": SigningKey.from_bytes,
    "salt_secret": bytes,
}
_DEALING_PART: Final[dict[str, Callable[[bytes], Any]]] = {"dealing": SigningKey.from_bytes, "dealing_seed": bytes}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_KEYS_FILE_BYTES)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageProblem(f"{path} cannot be read: {reason}", hint="can you read it? --data names its place") from None
    if stat.S_IMODE(mode) & 0o077:
        raise UsageProblem(f"the private keys in {path} can be read by others", hint=f"chmod 600 {path}")
    return text


def _decoded(path: Path, text: bytes, part: dict[str, Callable[[bytes], Any]]) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if value["v"] != VERSION:
            raise ValueError(value["v"])  # noqa: TRY301 - one way out
        found = {name: read(bytes.fromhex(value[name])) for name, read in part.items()}
        if any(len(secret) != SECRET_BYTES for secret in found.values() if isinstance(secret, bytes)):
            raise ValueError(path)  # noqa: TRY301 - one way out
    except (KeyError, TypeError, ValueError, RecursionError, RemoteError, LocalError):
        # the cause is left out on purpose: it could quote a key
        raise RemoteError(f"{path} holds no keys of a bootstrap server: put it back from a copy") from None
    return found


def _write(data: Path, keys: ServerKeys) -> None:
    """Write both parts, each whole, and neither over one that is there; the identity last, for it counts as a start."""
    for path, part in ((data / DEALING_FILE, _DEALING_PART), (data / OVERLAY_FILE, _OVERLAY_PART)):
        secret = {name: getattr(keys, name) for name in part}
        fields = {
            name: (value if isinstance(value, bytes) else value.to_bytes()).hex() for name, value in secret.items()
        }
        _write_once(path, json.dumps({"v": VERSION} | fields, indent=1) + "\n")


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
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make what was done to a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
