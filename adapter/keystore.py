"""The private keys of this device: made once, kept in files that only their owner can read.  I/O: files.

One file per user (``users/NAME.key``: 64 bytes, Ed25519 then X25519) and one for the ring node (``node.key``: 32 bytes,
Ed25519), each a line of text that says what it is. A file appears whole or not at all, and is never overwritten: two
processes that start together end up with the same keys. Keys that others may read are refused, not used. [paper §II.B]
"""

import base64
import binascii
import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from adapter.problems import DamagedFile, Problem
from overlay.errors import Secp2psipError
from overlay.trust.identity import PrivateBundle, SigningKey, parse_aor

USERS_DIR: Final = "users"
NODE_FILE: Final = "node.key"
KEY_SUFFIX: Final = ".key"
MAX_KEY_FILE_BYTES: Final = 512
_HEADER: Final = "secp2psip-private-key-1"
_KeyT = TypeVar("_KeyT", PrivateBundle, SigningKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What one user of this device signs and decrypts with."""

    user: PrivateBundle
    """The user's own keys; their public half is the Shamir secret."""
    node: SigningKey
    """The ring node's key, the same for every user of the device."""


def load_or_create(state_dir: Path, user: str) -> Keys:
    """Return the keys of `user`, a name in any spelling, made now if there are none yet.

    Raises RemoteError for a bad name, DamagedFile for a file that holds no key, Problem for one that others may read.
    """
    name = parse_aor(user)
    make_private_dir(state_dir)
    make_private_dir(state_dir / USERS_DIR)
    return Keys(
        user=_key_at(state_dir / USERS_DIR / f"{name}{KEY_SUFFIX}", PrivateBundle.from_bytes, PrivateBundle.generate),
        node=_key_at(state_dir / NODE_FILE, SigningKey.from_bytes, SigningKey.generate),
    )


def load_private(path: Path, *, generate: Callable[[], PrivateBundle] | None = None) -> PrivateBundle:
    """Return a user's keys from a file of their own, made now by `generate` if there is none.

    Raises DamagedFile where there is no key and none may be made.
    """
    if generate is None and not path.exists():
        raise DamagedFile(f"{path.name} is missing", hint=f"put the file back from a copy ({path})")
    return _key_at(path, PrivateBundle.from_bytes, generate or PrivateBundle.generate)


def load_own(state_dir: Path, user: str) -> PrivateBundle:
    """Return the keys of `user`, a name in any spelling. Raises Problem for none, and as `load_or_create`."""
    name = parse_aor(user)
    path = state_dir / USERS_DIR / f"{name}{KEY_SUFFIX}"
    if not path.exists():
        hint = "the first call makes one; --state DIR names another state directory"
        raise Problem(f"{name} has no key in {state_dir}", hint=hint, code="no_key")
    return load_private(path)


def add_own(state_dir: Path, user: str, keys: PrivateBundle) -> bool:
    """Put a user's keys in place; return False where these very keys lie there. Raises Problem for any others."""
    name = parse_aor(user)
    make_private_dir(state_dir)
    make_private_dir(state_dir / USERS_DIR)
    path = state_dir / USERS_DIR / f"{name}{KEY_SUFFIX}"
    is_new = not path.exists()
    if is_new:
        _write_once(path, _encode(keys.to_bytes()))
    if load_private(path).to_bytes() != keys.to_bytes():
        hint = f"it is not overwritten; choose another state directory with --state DIR, or move it away ({path})"
        raise Problem(f"{name} has another key in {state_dir}", hint=hint, code="other_key")
    return is_new


def replace_private(path: Path, keys: PrivateBundle) -> None:
    """Write a user's keys to `path`, whole or not at all, over whatever is there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    _write_once(draft, _encode(keys.to_bytes()))
    draft.replace(path)
    sync_dir(path.parent)


def known_users(state_dir: Path) -> tuple[str, ...]:
    """Return the names that have a key in `state_dir`, sorted."""
    names = []
    for path in (state_dir / USERS_DIR).glob(f"*{KEY_SUFFIX}"):
        with contextlib.suppress(Secp2psipError):
            names.append(parse_aor(path.name.removesuffix(KEY_SUFFIX)))
    return tuple(sorted(names))


def make_private_dir(path: Path) -> None:
    """Make `path` with mode 0700, its parents too where they are missing; refuse one that another user owns."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid not in {os.geteuid(), 0}:
        raise Problem(f"{path} belongs to another user", hint="choose a directory of your own with --state DIR")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def _key_at(path: Path, decode: Callable[[bytes], _KeyT], generate: Callable[[], _KeyT]) -> _KeyT:
    text = _read_private(path)
    if text is None:
        _write_once(path, _encode(generate().to_bytes()))
        text = _read_private(path)  # what lies there now counts, ours or that of a process which was quicker
    hint = f"put the file back from a copy, or move it away: a new key cannot take over the old name ({path})"
    try:
        return decode(_decode(text or ""))
    except (ValueError, binascii.Error, Secp2psipError):
        # the cause is left out on purpose: it could quote the key
        raise DamagedFile(f"{path.name} holds no private key of secp2psip", hint=hint) from None


def _decode(text: str) -> bytes:
    _header, body = text.split()
    raw = base64.b64decode(body, validate=True)
    if text != _encode(raw):  # one key, one spelling
        raise ValueError("not canonical")
    return raw


def _encode(raw: bytes) -> str:
    return f"{_HEADER} {base64.b64encode(raw).decode()}\n"


def _read_private(path: Path) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise Problem(f"the private key {path} can be read by others", hint=f"chmod 600 {path}")
        return file.read(MAX_KEY_FILE_BYTES).decode("ascii", errors="replace")


def _write_once(path: Path, text: str) -> None:
    """Write `path` whole and only if nothing is there: link(2) never replaces, whoever comes second keeps the first."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
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
    sync_dir(path.parent)


def sync_dir(path: Path) -> None:
    """Make a file's new name in `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
