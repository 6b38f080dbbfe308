"""Does the kernel keep strangers from sending in this host's own name?  I/O: reads /proc.

A phone of this host is known by its address alone. That is sound as long as the kernel drops what comes in from a
network under an address of the host itself, which it does unless ``accept_local`` is on for an interface. With that
set, anybody on the network could register and call as the users here, so the adapter does not start.
[Documentation/networking/ip-sysctl of Linux]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from adapter.problems import Problem

CONF: Final = Path("/proc/sys/net/ipv4/conf")
ALL: Final = "all"
_NO_INTERFACE: Final = frozenset({"default", "lo"})
"""A template for interfaces to come, and the one that nothing comes in by."""

Reader = Callable[[], Mapping[str, str]]
"""Gives the value of accept_local by interface; `all` counts for each of them."""


class SpoofableHost(Problem):
    """The kernel lets in what claims to come from this host."""

    code = "spoofable_host"


def read_accept_local() -> Mapping[str, str]:
    """Return accept_local of every interface; empty where the kernel shows none."""
    found = {}
    try:
        for folder in sorted(CONF.iterdir()):
            found[folder.name] = (folder / "accept_local").read_text(encoding="ascii").strip()
    except OSError:  # an interface can go meanwhile, and there may be no /proc
        return found
    return found


def require_own_addresses_own(read: Reader = read_accept_local) -> None:
    """Raise SpoofableHost when a packet from a network may bear an address of this host."""
    on = [name for name, value in read().items() if name not in _NO_INTERFACE and value not in {"", "0"}]
    if on:
        names = ", ".join(on)
        switch = " ".join(f"net.ipv4.conf.{name.replace('.', '/')}.accept_local=0" for name in on)
        hint = f"switch it off: sysctl -w {switch}"
        raise SpoofableHost(
            f"the kernel accepts this host's own addresses from the network (accept_local of {names}): "
            "anybody there could call as the users here",
            hint=hint,
        )
