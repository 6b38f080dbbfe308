"""A LAN on one machine: hosts that are network namespaces on one bridge, with no way out of it.  I/O: `ip`, as root.

    with Lan(3) as lan:
        subprocess.run(lan.hosts[0].argv("secp2psip-bootstrap"))

Everything has the process's own tag in its name and goes by that name when the block ends, whatever happened in it.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from itertools import count
from typing import Final, Self

NETWORK: Final = "10.77"
PREFIX_BITS: Final = 16
NETWORK_SIX: Final = "fd00:5ec2"
PREFIX_BITS_SIX: Final = 64
MAX_HOSTS: Final = 250
SUBNETS: Final = 250
_made = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One namespace, with one interface on the bridge and its loopback up; no default route."""

    space: str
    """Its name, for `ip netns exec`."""
    address: str
    """Its one address on the LAN."""

    def argv(self, *command: str) -> list[str]:
        """Return the command that runs `command` on this host; the process it starts is `command` itself."""
        return ["ip", "netns", "exec", self.space, *command]


class Lan:
    """`count` hosts that reach each other and nothing else. A context manager; synchronous, some 30 ms a host."""

    def __init__(self, count: int, *, six: bool = False) -> None:
        """Plan a LAN of IPv4, or of IPv6 and nothing else."""
        if not 1 <= count <= MAX_HOSTS:
            raise ValueError(f"a lan has 1 to {MAX_HOSTS} hosts")
        tag = f"lan{os.getpid()}n{next(_made)}"
        subnet = os.getpid() % SUBNETS
        self.bridge = f"{tag}-br"
        """The namespace that holds the bridge, which has no address."""
        self._network = f"{NETWORK_SIX}:{subnet}::" if six else f"{NETWORK}.{subnet}."
        self._width = PREFIX_BITS_SIX if six else PREFIX_BITS
        # a new IPv6 address is not to be waited for: nobody else here could have it
        self._options = ("nodad",) if six else ()
        self.hosts = tuple(
            Host(space=f"{tag}-{number}", address=f"{self._network}{number}") for number in range(1, count + 1)
        )

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove every namespace of this LAN; the processes in it are their starters' to end before."""
        for space in (self.bridge, *(host.space for host in self.hosts)):
            subprocess.run(("ip", "netns", "del", space), check=False, capture_output=True)

    def _make(self) -> None:
        _ip("netns", "add", self.bridge)
        # without snooping every multicast datagram reaches every host, as in a plain switch
        _ip("-n", self.bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", self.bridge, "link", "set", "br0", "up")
        for number, host in enumerate(self.hosts, start=1):
            _ip("netns", "add", host.space)
            port = f"v{number}"
            _ip("-n", self.bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.space)
            _ip("-n", self.bridge, "link", "set", port, "master", "br0", "up")
            _ip("-n", host.space, "link", "set", "lo", "up")
            _ip("-n", host.space, "address", "add", f"{host.address}/{self._width}", "dev", "eth0", *self._options)
            _ip("-n", host.space, "link", "set", "eth0", "up")


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
