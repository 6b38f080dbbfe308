"""The state directory: what one device remembers between runs, locked by one adapter at a time.  I/O: files.

::

    lock              flock(2)ed by the running adapter, its process id inside
    control.sock      the running adapter's control socket (control.py)
    node.key          private key of the ring node (keystore.py)
    users/NAME.key    private keys of a user (keystore.py)
    users/NAME.revoking  a wish to revoke the key (revocation.py), until it is done
    users/NAME.json   the user's enrolment: what SECP2PSIP REGISTERED gave (enrolment_file.py)
    phones.sqlite     phones registered here, for the next run (sip/registrations.py)
    contacts.json     whose key was proved here (pin_file.py)
    liars.json        nodes that lied to this adapter, for a week (liar_file.py)
    calls.jsonl       what became of each call (call_log.py)
    ring.sqlite       what this node keeps for others (overlay.ring.storage)
    peers.json        nodes to join the ring through when the bootstrap server is dead
    server.json       where the bootstrap server listened when it last registered somebody here

Files are written beside their place, synced and renamed: a power cut leaves the old or the new one, never a half.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from adapter.enrolled import Enrolment
from adapter.enrolment_file import decode_enrolment, encode_enrolment
from adapter.keystore import USERS_DIR, known_users, make_private_dir, sync_dir
from adapter.problems import DamagedFile, Problem
from overlay.errors import Secp2psipError
from overlay.ring.ids import Peer, id_to_bytes
from overlay.trust.identity import parse_aor

LOCK_FILE: Final = "lock"
PHONES_FILE: Final = "phones.sqlite"
SOCKET_FILE: Final = "control.sock"
PEERS_FILE: Final = "peers.json"
SERVER_FILE: Final = "server.json"
VERSION: Final = 1
MAX_STATE_FILE_BYTES: Final = 256 * 1024
MAX_PORT: Final = 65_535
MAX_HOST_CHARACTERS: Final = 253
"""Longest host name."""
MAX_PEERS: Final = 64
"""Nodes remembered to join through."""


class StateLocked(Problem):
    """Another adapter runs on this state directory."""

    code = "state_locked"


class StateDir:
    """One device's memory. Reading needs no lock; the adapter takes it before it writes."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock_fd: int | None = None

    @property
    def socket_path(self) -> Path:
        """Where the running adapter's control socket is."""
        return self.path / SOCKET_FILE

    @property
    def registrations_path(self) -> Path:
        """Where the phones registered here are kept."""
        return self.path / PHONES_FILE

    def lock(self) -> Self:
        """Take the directory for this process, and make it if need be. Raises StateLocked.

        The lock goes with the process, however it ends. Usable in a ``with`` statement.
        """
        if self._lock_fd is not None:
            return self
        make_private_dir(self.path)
        fd = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(fd, 16, 0).decode("ascii", errors="replace").strip() or "unknown"
            os.close(fd)
            hint = f"end it first (kill {pid}), or give this one a directory of its own with --state DIR"
            raise StateLocked(f"another adapter already uses {self.path} (pid {pid})", hint=hint) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = fd
        return self

    def release(self) -> None:
        """Give the directory back. The file stays: removing it would let two processes lock two files of one name."""
        if self._lock_fd is not None:
            fd, self._lock_fd = self._lock_fd, None
            os.ftruncate(fd, 0)
            os.close(fd)

    def __enter__(self) -> Self:
        return self.lock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def users(self) -> tuple[str, ...]:
        """Return the names that have keys here, sorted."""
        return known_users(self.path)

    def save_enrolment(self, user: str, enrolment: Enrolment) -> None:
        """Keep what the bootstrap server gave `user`."""
        self._write(self._enrolment_file(user), {"v": VERSION} | encode_enrolment(enrolment, aor=parse_aor(user)))

    def load_enrolment(self, user: str) -> Enrolment | None:
        """Return what the bootstrap server gave `user`, None before the first registration. Raises DamagedFile.

        The content is well formed, no more: expiry and signatures are for the reader to check.
        """
        path = self._enrolment_file(user)
        value = _read(path)
        if value is None:
            return None
        try:
            return decode_enrolment(value, aor=parse_aor(user))
        except (KeyError, TypeError, ValueError, Secp2psipError):
            raise _damaged(path) from None

    def forget_enrolment(self, user: str) -> None:
        """Drop what the bootstrap server gave `user`: the next registration asks it again, with the same keys."""
        self._enrolment_file(user).unlink(missing_ok=True)

    def save_peers(self, peers: Iterable[Peer], *, own_port: int = 0) -> None:
        """Keep nodes to join through, the best first, at most MAX_PEERS of them, and the port where they know us."""
        rows = [[id_to_bytes(peer.id).hex(), peer.host, peer.port] for peer in list(peers)[:MAX_PEERS]]
        self._write(self.path / PEERS_FILE, {"v": VERSION, "own_port": own_port, "peers": rows})

    def load_peers(self) -> tuple[Peer, ...]:
        """Return the nodes of the last run. Raises DamagedFile."""
        path = self.path / PEERS_FILE
        value = _read(path)
        if value is None:
            return ()
        try:
            rows = value["peers"][:MAX_PEERS]
            return tuple(Peer.decode([bytes.fromhex(ident), host, port]) for ident, host, port in rows)
        except (KeyError, TypeError, ValueError, Secp2psipError):
            raise _damaged(path) from None

    def load_own_port(self) -> int:
        """Return the UDP port that the ring node had in the last run, 0 if that is not known. Raises DamagedFile."""
        port = (_read(self.path / PEERS_FILE) or {}).get("own_port", 0)
        return port if isinstance(port, int) and 0 < port <= MAX_PORT else 0

    def save_server(self, address: tuple[str, int]) -> None:
        """Keep where the bootstrap server listens (TCP): renewals come months after the start."""
        self._write(self.path / SERVER_FILE, {"v": VERSION, "host": address[0], "port": address[1]})

    def load_server(self) -> tuple[str, int] | None:
        """Return where the bootstrap server listened last, None if that is not known. Raises DamagedFile.

        Whoever is there now has to show the overlay key that is known here, like anybody else.
        """
        path = self.path / SERVER_FILE
        value = _read(path)
        if value is None:
            return None
        host, port = value.get("host"), value.get("port")
        if not isinstance(host, str) or not 0 < len(host) <= MAX_HOST_CHARACTERS:
            raise _damaged(path)
        if type(port) is not int or not 0 < port <= MAX_PORT:
            raise _damaged(path)
        return host, port

    def _enrolment_file(self, user: str) -> Path:
        return self.path / USERS_DIR / f"{parse_aor(user)}.json"

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        make_private_dir(path.parent)
        write_private(path, json.dumps(value, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path` whole or not at all, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    sync_dir(path.parent)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    try:
        value = json.loads(data) if len(data) <= MAX_STATE_FILE_BYTES else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("v") != VERSION:
        raise _damaged(path)
    return value


def _damaged(path: Path) -> DamagedFile:
    hint = f"move it away (mv {path} {path}.bad) and try again: the keys lie elsewhere, the rest comes anew"
    return DamagedFile(f"{path} is damaged", hint=hint)
