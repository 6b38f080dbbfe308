"""Whom this device knows on the ring from last time: written down while it runs, tried when it joins.  I/O: files.

The nodes of the last run are fresher than those that the bootstrap server named, whose addresses may be a month old; a
node that both name at different addresses is tried at both.  Of last time's, those tried first are drawn anew each
time, so that devices do not all knock at the same doors, and a next try goes on with those that were not tried yet.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING, Final

from adapter.problems import DamagedFile
from adapter.state import MAX_PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from adapter.state import StateDir
    from overlay.ring.ids import Peer, RingId

JOIN_CONTACTS: Final = 24
"""Addresses tried at once when joining."""
FIRST_OF_CACHE: Final = 12
"""Those of last time that go before the ones that the bootstrap server named."""
REWRITE_AFTER_S: Final = 30.0
"""How long a change that can wait is left unwritten, in seconds: nodes that fell silent, or others in a full cache."""

_log = logging.getLogger(__name__)


class Acquaintances:
    """The nodes to join through, on the disk and in the order in which they are tried."""

    def __init__(
        self, state: StateDir, *, dice: random.Random | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` in seconds, from any beginning; it never goes back."""
        self._state, self._dice, self._clock = state, dice or random.SystemRandom(), clock
        self._tried: set[Peer] = set()
        self._written: frozenset[Peer] = frozenset()
        self._port = 0
        self._differs_since: float | None = None

    def contacts(self, named: Iterable[Peer], *, me: RingId) -> list[Peer]:
        """Return up to JOIN_CONTACTS nodes to try now, `named` being the bootstrap server's; `me` is not among them.

        Those that were not tried yet come first; once everybody was, it begins anew.
        """
        cached = self._cached()
        known = [peer for peer in self._mix(cached, list(named)) if peer.id != me]
        self._tried.intersection_update(known)
        fresh = [peer for peer in known if peer not in self._tried]
        chosen = [*fresh, *(peer for peer in known if peer in self._tried)][:JOIN_CONTACTS]
        self._tried.update(chosen)
        if self._tried.issuperset(known):
            self._tried.clear()
        return chosen

    def keep(self, peers: Sequence[Peer], *, own_port: int, at_once: bool = False, lost: Collection[bool] = ()) -> None:
        """Write down the nodes that live, the best first, where that is news: nothing is written twice.

        A new node is written down at once, as long as there is room; that one fell silent can wait, since it often
        speaks again.  `at_once` waits for nothing.  `lost` are the families (whether IPv6) in whose ring
        nobody lives now: who was known there stays written down, or that ring could not be found again.
        """
        if not peers:
            return
        kept = self._of_last_time(lost)
        peers = [*peers[: MAX_PEERS - len(kept)], *kept]
        rows = frozenset(peers)
        if rows == self._written and own_port == self._port:
            self._differs_since = None
            return
        now = self._clock()
        since = self._differs_since = now if self._differs_since is None else self._differs_since
        is_urgent = own_port != self._port or (len(self._written) < MAX_PEERS and not rows <= self._written)
        if not (at_once or is_urgent) and now < since + REWRITE_AFTER_S:
            return
        try:
            self._state.save_peers(peers, own_port=own_port)
        except OSError as error:
            _log.warning("the nodes to join through could not be written down: %s", error)
            return
        self._written, self._port, self._differs_since = rows, own_port, None

    def _cached(self) -> list[Peer]:
        with contextlib.suppress(DamagedFile):  # a cache is not worth a failure: it is written anew soon
            return list(self._state.load_peers())
        return []

    def _of_last_time(self, families: Collection[bool]) -> list[Peer]:
        """Return who is written down of some families, as many as leave room for the others."""
        if not families:
            return []
        return [peer for peer in self._cached() if (":" in peer.host) in families][: MAX_PEERS // 2]

    def _mix(self, cached: list[Peer], named: list[Peer]) -> list[Peer]:
        """Return each address once: some of last time, those that were named in their order, the rest of last time."""
        self._dice.shuffle(cached)
        return list(dict.fromkeys([*cached[:FIRST_OF_CACHE], *named, *cached[FIRST_OF_CACHE:]]))
