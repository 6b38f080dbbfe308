"""What hosts that have proved nothing may cost a node, and what it may cost them.  I/O: none.

Each allowance counts the datagrams of one kind by host, since a host may run many nodes, and those of all hosts
together, since sources can be forged: what is over either is not done. Times are in seconds.
"""

from __future__ import annotations

from typing import Final

from overlay.ring.rates import RateTable

HELLO_BURST: Final = 512
HELLOS_PER_SECOND: Final = 256.0
"""Hellos of one host that we spend signatures on, some 0.4 ms each; a host may run many nodes."""
TOTAL_HELLO_BURST: Final = 1024
TOTAL_HELLOS_PER_SECOND: Final = 512.0
"""The same for all hosts, since sources can be forged."""
RESET_BURST: Final = 16
RESETS_PER_SECOND: Final = 8.0
TOTAL_RESET_BURST: Final = 256
TOTAL_RESETS_PER_SECOND: Final = 64.0
STRANGER_BURST: Final = 64
STRANGERS_PER_SECOND: Final = 2.0
"""Hellos to a host where nobody has proved to be a member, each sent HELLO_TRIES times: an answer of 1,100 bytes can
name twenty addresses of a third party, who must not get forty times as much from each node that believes it."""
TOTAL_STRANGER_BURST: Final = 2048
TOTAL_STRANGERS_PER_SECOND: Final = 256.0
MAX_SOURCES: Final = 1024
"""Hosts remembered by each allowance."""


class Allowances:
    """The allowances of one node."""

    __slots__ = ("hellos", "resets", "strangers")

    def __init__(self) -> None:
        self.hellos = RateTable(
            burst=HELLO_BURST,
            per_second=HELLOS_PER_SECOND,
            total_burst=TOTAL_HELLO_BURST,
            total_per_second=TOTAL_HELLOS_PER_SECOND,
            max_sources=MAX_SOURCES,
        )
        """Hellos of others whose signatures are checked."""
        self.resets = RateTable(
            burst=RESET_BURST,
            per_second=RESETS_PER_SECOND,
            total_burst=TOTAL_RESET_BURST,
            total_per_second=TOTAL_RESETS_PER_SECOND,
            max_sources=MAX_SOURCES,
        )
        """Resets sent for frames of sessions that are not known."""
        self.strangers = RateTable(
            burst=STRANGER_BURST,
            per_second=STRANGERS_PER_SECOND,
            total_burst=TOTAL_STRANGER_BURST,
            total_per_second=TOTAL_STRANGERS_PER_SECOND,
            max_sources=MAX_SOURCES,
        )
        """Hellos of ours to hosts where nobody is a member yet."""
