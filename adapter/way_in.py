"""How an adapter that nobody gave an address comes to a bootstrap server.  I/O: files, multicast DNS.

Who is registered needs none. For everybody else the network is asked; the key in the announcement becomes the only one
that the server found may show, before anything is sent to it, and once it has registered somebody it stays the only
one for this state directory: trust on first use, shown when it happens. [docs/adr/0008]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adapter.discovery import find_bootstrap, interface_of
from adapter.problems import Problem
from adapter.state import StateDir
from overlay.ring.ids import spelt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.config import Settings

Show = Callable[[dict[str, Any]], None]


async def find_way_in(settings: Settings, users: Sequence[str], show: Show) -> Settings:
    """Return settings with which every one of `users` can come onto the ring: the given ones, or with what was found.

    `show` hears of the server that was found and of its key. Raises Problem when there is no way.
    """
    state = StateDir(settings.state_dir)
    new = [user for user in users if state.load_enrolment(user) is None]
    if settings.bootstrap is not None or not new:
        return settings
    pins = known_keys(settings, state)
    try:
        found = await find_bootstrap(overlay=settings.overlay, pins=pins, interfaces=interface_of(settings.sip))
    except Problem as problem:
        text = f"{new[0]} is not registered yet, and {problem.text}"
        raise Problem(text, hint=problem.hint, code=problem.code) from None
    show(
        {
            "event": "discovered",
            "overlay": found.overlay,
            "bootstrap": spelt((found.host, found.port)),
            "fingerprint": found.key.hex(),
            "known": bool(pins),
        }
    )
    return replace(settings, bootstrap=(found.host, found.port), overlay_key=found.key)


def known_keys(settings: Settings, state: StateDir) -> frozenset[bytes]:
    """Return the thumbprints of the only overlay keys to trust: --overlay-key, else those of earlier registrations."""
    if settings.overlay_key is not None:
        return frozenset({settings.overlay_key})
    enrolments = (state.load_enrolment(user) for user in state.users())
    return frozenset(one.overlay_bundle.thumbprint() for one in enrolments if one is not None)
