"""Unix sockets at paths of any length.  I/O: files and sockets.

A Unix address holds 107 bytes of path, and a state directory can lie deeper than that. The directory is then opened and
the socket reached through ``/proc/self/fd/N``, which is short and is the same file. [unix(7)] [proc(5)]
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_UNIX_PATH_BYTES: Final = 107
LISTEN_BACKLOG: Final = 16


def bind_unix(path: Path) -> socket.socket:
    """Return a listening, non-blocking Unix socket at `path` that only its owner may connect to (0600)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with _short(path) as address:
            sock.bind(address)
        path.chmod(0o600)  # before listen(): nobody can have connected with wider rights
        sock.listen(LISTEN_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def connect_unix(path: Path) -> socket.socket:
    """Return a connected, non-blocking Unix socket; OSError when nobody listens at `path`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            sock.connect(address)  # at once on a Unix socket: the kernel queues it or refuses it
        sock.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= MAX_UNIX_PATH_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
