"""Find a user on the ring: the door to look-ups, and what outlives each of them.

I/O: dht, through the Chord interface alone.  [paper §II.C]

Here the pieces are drawn that a look-up begins with, the pin is fetched that it is held to, and what it shows of liars
is noted, however it ends.  Whom it asks, and when it has heard enough, is in `adapter.search`.
"""

import random
import time
from collections.abc import Callable
from typing import Any

from adapter.evidence import Evidence
from adapter.findings import Found, LookupFailed
from adapter.liars import Liars
from adapter.pins import Pin
from adapter.search import Search, Trace
from overlay.ring.chord import Chord
from overlay.ring.ids import id_from_bytes
from overlay.trust.pieces import draw_indices
from overlay.trust.shamir import check_threshold


class Directory:
    """Looks users up on one ring."""

    def __init__(
        self,
        ring: Chord,
        *,
        dealing_public: bytes,
        k: int,
        n: int,
        overlay: str = "",
        overlay_public: bytes = b"",
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
        pin_of: Callable[[str], Pin | None] = lambda _aor: None,
        liars: Liars | None = None,
    ) -> None:
        """`dealing_public` is the 32-byte key that signs this overlay's pieces, `k` of `n` its threshold.

        `overlay` is its name and `overlay_public` the 32-byte key that may revoke users' keys in their place;
        `pin_of` tells which key a name means here, if one was proved before; `liars` is told who lies, and tells who
        did before.
        """
        check_threshold(k, n)
        self._ring, self._dealing, self._k, self._n = ring, dealing_public, k, n
        self._rng: random.Random = rng or random.SystemRandom()
        self._clock, self._pin_of = clock, pin_of
        self._overlay, self._overlay_public = overlay, overlay_public
        self._liars = Liars() if liars is None else liars

    async def find(
        self,
        aor: str,
        *,
        trace: Trace | None = None,
        min_sequence: int = 0,
        full: bool = False,
        record_needed: bool = True,
    ) -> Found:
        """Return the user's key and newest record, or say why not.

        `min_sequence` skips older records (ask for one more than the record that led nowhere).  `full` asks every known
        node, so that all figures speak of the whole ring.  Without `record_needed` the key alone is enough.
        Raises NameUnknown, NameAway, NameRevoked, KeyChanged, KeyUnverifiable,
        RingUnreachable.
        """
        search = Search(
            self._ring,
            Evidence(
                aor,
                dealing_public=self._dealing,
                k=self._k,
                n=self._n,
                overlay=self._overlay,
                overlay_public=self._overlay_public,
            ),
            aor=aor,
            n=self._n,
            order=draw_indices(self._n, self._n, self._rng),
            drawn=2 * self._k - 1,
            shunned={id_from_bytes(one.node) for one in self._liars.all(self._clock())},
            wanted=min_sequence if record_needed else None,
            clock=self._clock,
            trace=trace or _silent,
            pin=self._pin_of(aor),
        )
        try:
            return await search.run(full=full)
        except LookupFailed as failure:
            failure.liars = search.caught()
            failure.newest_generation, failure.proved = search.heard()
            raise
        finally:
            # however it ended, and whether or not anybody waits for it still
            for node, why in {liar.node: liar.why for liar in search.caught()}.items():
                self._liars.note(node, why, self._clock())


def _silent(_step: str, _detail: dict[str, Any]) -> None:
    """Trace nothing."""
