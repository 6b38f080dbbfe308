"""The pieces and lookup records that this node keeps for the ring.  I/O: a SQLite file.

The rules (`offers` applies them, `shelves` and `contradictions` are the rows):
1. Nothing is kept that was not checked: a piece bears the dealing key's signature and is named by a live share list of
   the overlay key, kept beside it; a record bears its user's.
2. The first share of an index stays until it expires. Another one, signed as well as it may be, is refused and kept as
   evidence; nobody pushes an honest holder's piece out, not even with the dealing key.
3. An expiry is the signer's. The holder never extends it; a later one comes with a new signature over the same share.
4. One generation of a user counts: a newer one that the overlay key lists takes the place of an older, which is shown
   beside it until its owner goes on with the new key (FORMER_S). A record is kept beside a live piece of its key only;
   the highest sequence wins.
5. One share list of a user: the same with a later expiry replaces it, another one is refused and kept as evidence.
6. A tombstone of the key of the pieces ends its records and renewals, and stays until these pieces would have expired.
7. Every number that a stranger can push has a cap.
8. Seals are kept beside live pieces of the key that signed them, two records a user; a later dealing's replace them.
9. A row that does not read back as what it was kept for is dropped, never shown and never fatal.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Final

from overlay.errors import RemoteError
from overlay.ring.contradictions import MAX_EVIDENCE, Contradictions
from overlay.ring.former import Former
from overlay.ring.graves import Graves
from overlay.ring.holding import Evidence, Holding, Kept
from overlay.ring.ids import RingId, id_to_bytes
from overlay.ring.listed import OverlayKeys
from overlay.ring.offers import FORMER_S, Offers
from overlay.ring.sealed import Sealed
from overlay.ring.shelves import MAX_PER_SENDER, MAX_USERS, Shelves
from overlay.ring.store_file import MEMORY, open_store_file
from overlay.trust.seals import Seals

if TYPE_CHECKING:
    from pathlib import Path

    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import Release
    from overlay.trust.share_list import ShareList

__all__ = ["FORMER_S", "Evidence", "Holding", "Kept", "OverlayKeys", "RecordStore"]

MAX_RELEASES: Final = 2 * MAX_USERS


class RecordStore:
    """What one node holds for others. Not to be shared between threads."""

    __slots__ = ("_contradictions", "_db", "_former", "_graves", "_offers", "_sealed", "_shelves", "counters")

    def __init__(
        self,
        path: Path | str = MEMORY,
        *,
        max_users: int = MAX_USERS,
        max_per_sender: int = MAX_PER_SENDER,
        max_evidence: int = MAX_EVIDENCE,
        max_releases: int = MAX_RELEASES,
    ) -> None:
        """Open or make the store; a damaged file is set aside.

        OSError or sqlite3.Error when the place cannot be used.
        """
        self.counters: Counter[str] = Counter()
        """What was refused or dropped, how often, by reason."""
        self._db, damaged = open_store_file(path)
        if damaged is not None:
            self.counters["damaged file set aside"] += 1
        self._former, self._graves, self._sealed = Former(self._db), Graves(self._db), Sealed(self._db)
        self._shelves = Shelves(
            self._db, self._former, self.counters, max_users=max_users, max_per_sender=max_per_sender
        )
        self._contradictions = Contradictions(self._db, self.counters, most=max_evidence)
        self._offers = Offers(
            self._db,
            self._shelves,
            self._former,
            self._graves,
            self._contradictions,
            sweep=self.sweep,
            max_releases=max_releases,
        )

    def close(self) -> None:
        """Close the file; everything kept is in it."""
        self._db.close()

    # --- putting -------------------------------------------------------------------------------------------------

    def put_piece(
        self,
        piece_bytes: bytes,
        record_bytes: bytes | None,
        *,
        share_list: bytes | None = None,
        keys: OverlayKeys,
        sender: RingId,
        now: float,
    ) -> Kept:
        """Keep a piece, and the lookup record that comes with it, if both deserve it.

        `share_list` is what came with them; none is needed where one is held that names the piece. `sender` is the node
        that proved itself. Returns what became of the piece, or of the record where the piece is held and the record is
        not.
        """
        try:
            outcome = self._offers.take_piece(piece_bytes, share_list, keys, id_to_bytes(sender), now)
            if outcome.held and record_bytes is not None:
                beside = self._offers.take_record(record_bytes, now)
                outcome = outcome if beside.held else beside
        except sqlite3.Error:
            outcome = Kept.FAILED
        return self._noted(outcome)

    def put_record(self, record_bytes: bytes, now: float) -> Kept:
        """Keep a lookup record beside the live pieces of its key; the highest sequence wins."""
        try:
            return self._noted(self._offers.take_record(record_bytes, now))
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    def put_tombstone(self, data: bytes, *, keys: OverlayKeys, now: float) -> Kept:
        """Keep the end of a key beside the live pieces of that key."""
        try:
            return self._noted(self._offers.take_tombstone(data, keys, now))
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    def put_seals(self, data: bytes, now: float) -> Kept:
        """Keep a user's seals beside the live pieces of his key."""
        try:
            seals = Seals.decode(data)
            return self._noted(self._sealed.keep(seals, self._shelves.pieces(seals.aor, now).values()))
        except RemoteError:
            return self._noted(Kept.MALFORMED)
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    def release(self, release: Release, now: float) -> Kept:
        """Drop the pieces that their owner says lie elsewhere by now; KEPT or SAME means that they are gone.

        The caller has checked that the release names this node. The owner's key is known from the record beside the
        pieces. A release counts once: its sequence must be higher than that of the last one.
        """
        try:
            return self._noted(self._offers.release(release, now))
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, aor: str, now: float) -> Holding:
        """Return the live pieces of a user and the live record beside them."""
        former: dict[int, KeyPiece] = {}
        former_record = tombstone = None
        try:
            pieces = self._shelves.pieces(aor, now)
            record = self._shelves.record(aor) if pieces else None
            if pieces:
                former = self._former.pieces(aor, now)
                former_record = self._former.record(aor) if former else None
                tombstone = self._graves.of(pieces.values(), now)
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return Holding()
        return Holding(
            pieces=tuple(pieces[index] for index in sorted(pieces)),
            record=record if record is not None and record.counts_until > now and tombstone is None else None,
            former=tuple(former[index] for index in sorted(former)),
            former_record=former_record if former_record is not None and former_record.counts_until > now else None,
            tombstone=tombstone,
        )

    def share_list(self, aor: str, now: float) -> ShareList | None:
        """Return the live share list beside the pieces of a user."""
        try:
            share_list = self._shelves.share_list(aor)
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return None
        return share_list if share_list is not None and share_list.expires_at > now else None

    def seals(self, aor: str, now: float) -> tuple[Seals, ...]:
        """Return the seals beside the live pieces of a user."""
        try:
            return self._sealed.of(self._shelves.pieces(aor, now).values())
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return ()

    def held(self, now: float) -> list[tuple[str, int]]:
        """Return (user, piece index) of everything alive, in order."""
        try:
            return self._shelves.held(now)
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return []

    def evidence(self) -> list[Evidence]:
        """Return the contradictions that were offered, oldest first."""
        try:
            return self._contradictions.all()
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return []

    def sweep(self, now: float) -> int:
        """Drop what has expired; return how many pieces that were."""
        try:
            dropped = self._shelves.sweep(now)
            self._db.execute("DELETE FROM releases WHERE expires_at <= ?", (now,))
            self._former.sweep(now)
            self._graves.sweep(now)
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return 0
        return dropped

    def _noted(self, outcome: Kept) -> Kept:
        if not outcome.held:
            self.counters[outcome.value] += 1
        return outcome
