"""Which addresses a phone can send to, as far as that is known here.  I/O: sockets, nothing is sent.

A phone of this host goes where the kernel has a route to. Of a phone on another host nothing is known: it is sent on,
and finds out. [RFC 6724 §5]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overlay.ring.addresses import address_towards, is_own_address

if TYPE_CHECKING:
    from collections.abc import Callable


def reach_of(phone_host: str) -> Callable[[str], bool]:
    """Return whether a phone, at the IP literal that its INVITE came from, can send to another IP literal."""
    if phone_host and not is_own_address(phone_host):
        return lambda _host: True
    return lambda host: address_towards(host) is not None
