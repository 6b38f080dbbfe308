"""The scheme as the paper prints it: k pieces drawn at random, unsigned, rebuilt by Lagrange, a record nobody signed.

Not made weaker than it is: where a holder is silent or gives nothing, another piece is drawn; the record is taken with
the pieces, so that no extra node can spoil it; the calls run over the same signed and encrypted INVITE and REDIRECT.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adapter.findings import Found, KeyUnverifiable, NameAway, NameUnknown
from overlay.errors import RemoteError
from overlay.ring.ids import Peer, id_from_bytes
from overlay.trust.identity import KeyBundle
from overlay.trust.shamir import combine

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from overlay.ring.holding import Holding

    Ask = Callable[[str, int], Any]


class PaperDirectory:
    """Looks users up as printed [paper §II.C]."""

    def __init__(self, ask: Ask, *, k: int, n: int, rng: random.Random) -> None:
        """`ask(aor, index)` brings what the holder of a piece answers, None for silence."""
        self._ask, self._k, self._n, self._rng = ask, k, n, rng

    async def find(self, aor: str, *, record_needed: bool = True, min_sequence: int = 0, **_: Any) -> Found:
        began = asyncio.get_running_loop().time()
        order = self._rng.sample(range(1, self._n + 1), self._n)
        shares: dict[int, bytes] = {}
        record = None
        generation = 1
        while len(shares) < self._k and order:
            drawn = [order.pop() for _ in range(min(self._k - len(shares), len(order)))]
            for index, holding in zip(drawn, await asyncio.gather(*(self._ask(aor, i) for i in drawn)), strict=True):
                for piece in self._pieces(holding, index):
                    shares[index] = piece.share
                    generation = piece.generation
                record = record or (None if holding is None else holding.record)
        if not shares:
            raise NameUnknown("no piece was found")
        try:
            bundle = KeyBundle.decode(combine(shares, k=self._k))
        except RemoteError as error:
            raise KeyUnverifiable(str(error)) from None
        if record_needed and (record is None or record.sequence < min_sequence):
            raise NameAway("no record, or none that is newer")
        return Found(
            aor=aor,
            bundle=bundle,
            generation=generation,
            record=record,
            contact=record and Peer(id=id_from_bytes(record.node_id), host=record.host, port=record.port),
            basis="signatures",
            support=len(shares),
            drawn=tuple(shares),
            holders={},
            verdicts=(),
            liars=(),
            conflicts=(),
            attackers_needed=1,
            asked_everyone=False,
            asked=(),
            silent=(),
            waves=1,
            ring_size_known=0,
            took_ms=1000 * (asyncio.get_running_loop().time() - began),
        )

    @staticmethod
    def _pieces(holding: Holding | None, index: int) -> list[Any]:
        return [] if holding is None else [piece for piece in holding.pieces if piece.index == index]
