"""Holders put a lost piece back among themselves while its owner is away.  I/O: udp.

An owner that is online does this better: it knows every piece. That it is away, the lookup record tells, which it
renews every few minutes and which has run out by then. Where a piece lies by chance and not by right, its owner may not
know of it, and no record comes: so one of the places is asked for a newer one before anything else is done. Who was
away while a key was revoked hears of that here as well, and brings none of its pieces back. A piece is
copied where a copy is left and rebuilt where none is; either way it is the piece that was dealt, so it does not matter
who does it, nor whether two do it at once. The holders of a user take turns all the same, the one with the lowest index
first [docs/adr/0018].
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from overlay.errors import RemoteError
from overlay.ring.ids import Peer, piece_position
from overlay.ring.watch import Watch
from overlay.trust.rebuilding import rebuild

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from overlay.ring.holder_calls import HolderCalls
    from overlay.ring.holding import Holding
    from overlay.ring.listed import OverlayKeys
    from overlay.ring.spread import Spread
    from overlay.ring.storage import RecordStore
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.share_list import ShareList

REPAIR_PERIOD_S: Final = 30.0
"""From one look at users that are away to the next."""
MAX_USERS_PER_ROUND: Final = 8
"""Users that one round looks at: a look-up and a fetch for each of their pieces."""
MAX_READ_PER_ROUND: Final = 256
"""Users read from the store in one round, to find those that are away."""


class Repair:
    """What one node does for the users whose pieces it holds."""

    __slots__ = (
        "_calls",
        "_clock",
        "_counters",
        "_due",
        "_is_busy",
        "_keys",
        "_last_read",
        "_me",
        "_spread",
        "_store",
        "_watches",
    )

    def __init__(
        self,
        store: RecordStore,
        calls: HolderCalls,
        spread: Spread,
        *,
        me: Peer,
        keys: OverlayKeys,
        clock: Callable[[], float],
        counters: Counter[str],
    ) -> None:
        """Take the store, the calls to holders, where pieces belong, this node, the wall clock, and where to count."""
        self._store = store
        self._calls = calls
        self._spread = spread
        self._me = me
        self._keys = keys
        self._clock = clock
        self._counters = counters
        self._due = clock() + REPAIR_PERIOD_S
        self._last_read = ""
        self._watches: dict[str, Watch] = {}
        self._is_busy = False

    async def run_if_due(self) -> None:
        """Do one round, unless one is under way or was done less than REPAIR_PERIOD_S ago."""
        now = self._clock()
        # a clock that was set back must not put the next round off for years
        if self._is_busy or 0 < self._due - now <= REPAIR_PERIOD_S:
            return
        self._is_busy, self._due = True, now + REPAIR_PERIOD_S
        try:
            for aor in self._users_away():
                await self._look_at(aor)
        finally:
            self._is_busy = False

    def _users_away(self) -> list[str]:
        """Return the next few users of whom something is held here and whose record has run out."""
        now = self._clock()
        held = {aor for aor, _ in self._store.held(now)}
        self._watches = {aor: watch for aor, watch in self._watches.items() if aor in held}
        users = sorted(held)
        start = bisect_right(users, self._last_read)
        away: list[str] = []
        for aor in (users[start:] + users[:start])[:MAX_READ_PER_ROUND]:
            self._last_read = aor
            if self._rests(aor, now):
                continue
            holding = self._store.get(aor, now)
            is_here = holding.record is not None and holding.record.expires_at > now
            if holding.pieces and holding.tombstone is None and not is_here:
                away.append(aor)
            if len(away) == MAX_USERS_PER_ROUND:
                break
        return away

    async def _look_at(self, aor: str) -> None:
        """Find out what the places of a user lack, and give it to them if it is this node's turn."""
        mine, share_list = self._store.get(aor, self._clock()), self._store.share_list(aor, self._clock())
        if share_list is None or not mine.pieces:
            return
        n = share_list.n
        watch = self._watches.setdefault(aor, Watch(hearing=self._me.id % n))
        if await self._is_as_it_was(aor, watch, share_list) or await self._is_heard_of(aor, n, watch):
            return
        places = await self._spread.owners({index: piece_position(aor, index, n) for index in range(1, n + 1)}, n)
        found = await self._ask(aor, places, share_list)
        if found is None:
            return
        gaps = _gaps(places, found)
        watch.see(places, gaps)
        is_settled = watch.are_old(gaps)
        lacking = {index: peer for index, peer in gaps if peer in found}
        if not lacking:
            watch.turn = 0
        elif self._is_my_turn(watch, places, found):
            is_taken = await self._give(aor, lacking, found, mine, share_list)
            # what nobody takes is of a key that its owner has changed: who has no place is of no use then
            is_settled = is_settled or not (is_taken or self._me in places.values())
        if is_settled:
            watch.settle(self._clock())

    async def _ask(
        self, aor: str, places: Mapping[int, Peer], share_list: ShareList
    ) -> dict[Peer, dict[int, KeyPiece]] | None:
        """Return the true pieces that the nodes at some places and this one hold; who is silent is left out.

        None where one of them knows what leaves nothing to do here.
        """
        peers = sorted({*places.values(), self._me})
        answers = await asyncio.gather(*(self._calls.fetch_at(peer, aor) for peer in peers))
        news = [self._has_learnt(aor, holding) for holding in answers]
        if any(news):
            return None
        # who is silent may be dead: the ring finds out, and then the place is another's
        return {
            peer: {piece.index: piece for piece in holding.pieces if self._is_true(piece, share_list)}
            for peer, holding in zip(peers, answers, strict=True)
            if holding is not None
        }

    def _is_true(self, piece: KeyPiece, share_list: ShareList) -> bool:
        """Tell whether the overlay key's list names a piece and the dealing key signed it: anybody can compute a share.

        Who took a share under a false signature for the piece would offer that, in vain, and rebuild none.
        """
        if not share_list.names(piece):
            return False
        try:
            piece.verify(self._keys.dealing_public, now=self._clock())
        except RemoteError:
            return False
        return True

    async def _is_as_it_was(self, aor: str, watch: Watch, share_list: ShareList) -> bool:
        """Tell whether the places were found not long ago, and their nodes still have what they had."""
        if not watch.is_settled(self._clock()):
            return False
        found = await self._ask(aor, watch.places, share_list)
        return found is None or watch.are_old(_gaps(watch.places, found))

    def _rests(self, aor: str, now: float) -> bool:
        """Tell whether there was nothing to do for a user a while ago, and looking after him is for others."""
        watch = self._watches.get(aor)
        return watch is not None and watch.is_settled(now) and self._me not in watch.places.values()

    async def _is_heard_of(self, aor: str, n: int, watch: Watch) -> bool:
        """Ask at one place, each time at another, for what leaves nothing to do here; tell whether it is kept now."""
        watch.hearing = index = watch.hearing % n + 1
        (peer,) = (await self._spread.owners({index: piece_position(aor, index, n)}, n)).values()
        return peer != self._me and self._has_learnt(aor, await self._calls.fetch_at(peer, aor))

    def _has_learnt(self, aor: str, holding: Holding | None) -> bool:
        """Keep a record that is in force, or the end of the key, out of what somebody holds; tell whether it is kept.

        Whoever looks after a revoked key without knowing it would bring it back, to nodes that know no more than he.
        """
        if holding is None:
            return False
        end, record, now = holding.tombstone, holding.record, self._clock()
        if end is not None:
            kept, heard = self._store.put_tombstone(end.encode(), keys=self._keys, now=now), "key revoked"
        elif record is not None and record.expires_at > now:
            kept, heard = self._store.put_record(record.encode(), now), "owner heard of"
        else:
            return False
        if kept.held and self._watches.pop(aor, None) is not None:
            self._counters[heard] += 1
        return kept.held

    def _is_my_turn(
        self, watch: Watch, places: Mapping[int, Peer], found: Mapping[Peer, Mapping[int, KeyPiece]]
    ) -> bool:
        """Count the rounds in which something was lacking: in each, another holder is the one to see to it."""
        holders = list(dict.fromkeys(peer for _, peer in sorted(places.items()) if found.get(peer)))
        rank = holders.index(self._me) if self._me in holders else len(holders)
        watch.turn += 1
        return (watch.turn - 1) % (len(holders) + 1) == rank

    async def _give(
        self,
        aor: str,
        lacking: Mapping[int, Peer],
        found: Mapping[Peer, Mapping[int, KeyPiece]],
        mine: Holding,
        share_list: ShareList,
    ) -> bool:
        """Copy or rebuild what is lacking and store it at its place, with what that node needs to do the same.

        Tell whether any place took anything.
        """
        now, taken = self._clock(), False
        left = {index: piece for pieces in found.values() for index, piece in pieces.items()}
        seals = self._store.seals(aor, now)
        for index, peer in lacking.items():
            piece = left.get(index)
            if piece is None or not share_list.covers(piece):
                # a piece renewed while this node was away takes another list than its own
                piece = rebuild(
                    index,
                    left.values(),
                    share_list=share_list,
                    seals=seals,
                    dealing_public=self._keys.dealing_public,
                    now=now,
                )
            if piece is None:
                self._counters["piece past repair"] += 1
                continue
            if await self._calls.store_at(peer, piece, mine.record, share_list=share_list):
                taken = True
                self._counters["piece copied" if piece is left.get(index) else "piece rebuilt"] += 1
                for some in seals:
                    await self._calls.store_at(peer, None, some)
        return taken


def _gaps(places: Mapping[int, Peer], found: Mapping[Peer, Mapping[int, KeyPiece]]) -> list[tuple[int, Peer]]:
    """Return the places whose nodes were silent or have not their piece."""
    return [(index, peer) for index, peer in places.items() if index not in found.get(peer, ())]
