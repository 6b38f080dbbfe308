"""Which of the bootstrap servers that announce themselves is meant?  I/O: none.

Announcements are what anybody on the network says. Nothing is guessed: one overlay with one key is taken, and its key
is the only one that the server there may then show; anything else is put before the user with what tells it apart.
A key that is known already, from an earlier registration or from the command line, settles it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.problems import Problem
from overlay.ring.ids import spelt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from overlay.wire.announcement import Announcement

MAX_SHOWN: Final = 4
"""Announcements named in an error."""


def is_settled(found: Collection[Announcement], *, overlay: str, pins: Collection[bytes]) -> bool:
    """Tell whether nothing that is heard later can change the choice: a server with a known key is among them."""
    return any(one.key in pins for one in found if overlay in ("", one.overlay))


def choose(
    found: Collection[Announcement],
    *,
    overlay: str,
    pins: Collection[bytes],
    draw: Callable[[Sequence[Announcement]], Announcement],
) -> Announcement:
    """Return the one that is meant, or raise the Problem that says what there is and how to choose.

    `overlay` is the name asked for, or empty; `pins` are thumbprints of the only keys to trust, none at first contact;
    `draw` picks one of several addresses of the same server: whoever announces its key with an address of his own does
    not win every time, and gains nothing but a failed registration when he does.
    """
    named = sorted(one for one in found if overlay in ("", one.overlay))
    if not named:
        raise _nothing(sorted(found), overlay)
    candidates = [one for one in named if one.key in pins] if pins else named
    if not candidates:
        known = " or ".join(sorted(pin.hex() for pin in pins))
        raise Problem(
            f"no bootstrap server here has the known key {known}: there is {_list(named)}",
            hint="if the server was set up anew, start again with an empty state directory: --state DIR",
            code="unverified",
        )
    names = sorted({one.overlay for one in candidates})
    if len(names) > 1:
        raise Problem(
            f"{len(names)} overlays announce themselves here: {_list(candidates)}",
            hint=f"choose one with --overlay NAME: {', '.join(names[:MAX_SHOWN])}",
            code="usage",
        )
    keys = {one.key for one in candidates}
    if len(keys) > 1:
        raise Problem(
            f"{len(keys)} different servers announce overlay {names[0]}, and one of them may be an impostor: "
            f"{_list(candidates)}; nothing was sent to any of them",
            hint="ask whoever runs the overlay for its key (secp2psip-bootstrap shows it) and give --overlay-key HEX",
            code="unverified",
        )
    return draw(candidates)


def _nothing(found: Sequence[Announcement], overlay: str) -> Problem:
    if found:
        return Problem(
            f"no bootstrap server of overlay {overlay} announces itself here: there is {_list(found)}",
            hint="check the name given with --overlay",
            code="no_bootstrap",
        )
    return Problem(
        f"no bootstrap server{f' of overlay {overlay}' if overlay else ''} announces itself on this network",
        hint="start secp2psip-bootstrap on one machine of this network, or give its address: --bootstrap HOST:PORT",
        code="no_bootstrap",
    )


def _list(found: Sequence[Announcement]) -> str:
    """Return one server per key and name, its whole fingerprint shown: that is what a person compares."""
    first = {(one.overlay, one.key): one for one in reversed(found)}
    shown = [
        f"{one.overlay} at {spelt((one.host, one.port))} with key {one.key.hex()}" for one in sorted(first.values())
    ]
    more = f", and {len(shown) - MAX_SHOWN} more" if len(shown) > MAX_SHOWN else ""
    return ", ".join(shown[:MAX_SHOWN]) + more
