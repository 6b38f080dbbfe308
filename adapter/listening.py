"""Where an adapter cannot listen: what is in the way, and which option names another address.  I/O: sockets."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from adapter.config import format_address
from adapter.problems import Problem
from overlay.ring.addresses import family_of, socket_address

if TYPE_CHECKING:
    from adapter.config import Address

UNUSABLE: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})
"""What bind(2) says of an address that another one helps against."""


def try_to_bind(address: Address) -> None:
    """Take the UDP address for a moment. Raises OSError where that cannot be."""
    with socket.socket(family_of(address[0]), socket.SOCK_DGRAM) as probe:
        probe.bind(socket_address(address))


def cannot_listen(option: str, address: Address, error: OSError) -> Problem:
    """Return what to say of an address that `option`, such as ``--ring``, replaces: no port is changed in silence."""
    hint = f"choose another with {option} HOST:PORT"
    if error.errno == errno.EADDRINUSE:
        hint = f"another program has it: {hint}" + (", and type that into the phone" if option == "--sip" else "")
    elif error.errno == errno.EADDRNOTAVAIL:
        hint = f"it is no address of this machine: {hint}"
    reason = (error.strerror or str(error)).lower()
    return Problem(f"cannot listen on {format_address(address)}: {reason}", hint=hint, code="address_in_use")
