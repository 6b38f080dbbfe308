"""Does the kernel keep strangers from sending in this host's own name?  I/O: reads /proc.

A phone of this host is known by its address alone: the kernel lets a socket bind to its own addresses only, and drops
what comes in from a network under one of them. Two switches end that. With ``accept_local`` on for an interface the
host's own IPv4 addresses come in by it; with ``ip_nonlocal_bind`` on every address passes for the host's own. Then
anybody on the network could register and call as the users here, so the adapter does not start.
[Documentation/networking/ip-sysctl of Linux]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from adapter.problems import Problem

NET: Final = Path("/proc/sys/net")
_NO_INTERFACE: Final = frozenset({"default", "lo"})
"""A template for interfaces to come, and the one that nothing comes in by."""

Reader = Callable[[], Mapping[str, str]]
"""Gives the value of each of these switches by the name that sysctl has for it."""


class SpoofableHost(Problem):
    """The kernel lets in what claims to come from this host."""

    code = "spoofable_host"


def read_switches() -> Mapping[str, str]:
    """Return accept_local of every interface, and ip_nonlocal_bind; empty where the kernel shows none."""
    found = {}
    conf = NET / "ipv4" / "conf"
    folders = sorted(conf.iterdir()) if conf.is_dir() else []
    names = {folder / "accept_local": f"net.ipv4.conf.{folder.name.replace('.', '/')}" for folder in folders}
    for path, name in names.items():
        if path.parent.name not in _NO_INTERFACE:
            found[f"{name}.accept_local"] = _read(path)
    for version in ("ipv4", "ipv6"):
        found[f"net.{version}.ip_nonlocal_bind"] = _read(NET / version / "ip_nonlocal_bind")
    return {name: value for name, value in found.items() if value}


def require_own_addresses_own(read: Reader = read_switches) -> None:
    """Raise SpoofableHost when an address of this host proves nothing."""
    on = [name for name, value in read().items() if value != "0"]
    if on:
        raise SpoofableHost(
            f"the kernel does not keep this host's own addresses to it ({', '.join(on)}): "
            "anybody on the network could call as the users here",
            hint=f"switch it off: sysctl -w {' '.join(f'{name}=0' for name in on)}",
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # an interface can go meanwhile, and there may be no such switch
        return ""
