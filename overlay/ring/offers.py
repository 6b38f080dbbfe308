"""What becomes of a piece, record, tombstone or release that is offered: the rules of `storage`.  I/O: the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from overlay.errors import RemoteError
from overlay.ring.holding import Kept, judge
from overlay.ring.listed import judge_listed, weigh
from overlay.trust.identity import KeyBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection

    from overlay.ring.contradictions import Contradictions
    from overlay.ring.former import Former
    from overlay.ring.graves import Graves
    from overlay.ring.listed import OverlayKeys
    from overlay.ring.shelves import Shelves
    from overlay.trust.records import Release
    from overlay.trust.share_list import ShareList

FORMER_S: Final = 600
"""How long the generation before is still shown after its owner went on with the new one."""


class Offers:
    """Decides on everything that is offered, and keeps what deserves it. Every method may raise sqlite3.Error."""

    __slots__ = ("_contradictions", "_db", "_former", "_graves", "_max_releases", "_shelves", "_sweep")

    def __init__(
        self,
        db: sqlite3.Connection,
        shelves: Shelves,
        former: Former,
        graves: Graves,
        contradictions: Contradictions,
        *,
        sweep: Callable[[float], int],
        max_releases: int,
    ) -> None:
        """`sweep` makes room where there is none; `max_releases` is the cap on numbers of releases remembered."""
        self._db, self._shelves, self._former, self._graves = db, shelves, former, graves
        self._contradictions, self._sweep, self._max_releases = contradictions, sweep, max_releases

    def take_piece(
        self, piece_bytes: bytes, list_bytes: bytes | None, keys: OverlayKeys, sender: bytes, now: float
    ) -> Kept:
        """Keep a piece that deserves it, and the list that names it."""
        try:
            piece = KeyPiece.decode(piece_bytes)
        except RemoteError:
            return Kept.MALFORMED
        held = self._shelves.pieces(piece.aor, now)
        on_hold = self._shelves.share_list(piece.aor)
        listed = weigh(list_bytes, on_hold, aor=piece.aor, generation=piece.generation, keys=keys, now=now)
        if listed.contradiction is not None and on_hold is not None:
            self._contradictions.note(on_hold, listed.contradiction, sender, now)
        barred = Kept.REVOKED if self._graves.bars(piece, held, now) else None
        outcome = barred or listed.flaw or self._judge(piece, held, listed.counts, keys=keys, sender=sender, now=now)
        if outcome is not Kept.KEPT:
            return outcome
        if not held:
            # what is left of this user has expired, a record of an earlier key perhaps
            self._shelves.drop_user(piece.aor)
        if not self._shelves.has_room(piece, held, sender):
            self._sweep(now)
            if not self._shelves.has_room(piece, held, sender):
                return Kept.FULL
        if any(other.generation < piece.generation for other in held.values()):
            self._make_way(held.values(), now)
            held = {}
        if listed.counts is not None and (listed.is_new or not held):
            # before the piece: no piece is ever on the disk without its list
            self._shelves.keep_share_list(listed.counts)
        self._shelves.keep(piece, sender)
        return Kept.KEPT

    def _make_way(self, before: Collection[KeyPiece], now: float) -> None:
        """Put the pieces of an older generation aside; those of a revoked key go at once."""
        aor = next(iter(before)).aor
        record, revoked = self._shelves.record(aor), self._graves.of(before, now) is not None
        self._shelves.drop_user(aor)
        if not revoked:
            self._former.take(before, record)

    def _judge(
        self,
        piece: KeyPiece,
        held: dict[int, KeyPiece],
        share_list: ShareList | None,
        *,
        keys: OverlayKeys,
        sender: bytes,
        now: float,
    ) -> Kept:
        """Decide on a piece beside what is held of its user and the list that counts; a contradiction is noted."""
        if held.get(piece.index) == piece:
            return Kept.SAME
        flaw = _piece_flaw(piece, keys.dealing_public, now)
        if flaw is not None:
            return flaw
        outcome = judge(piece, held)
        against: KeyPiece | ShareList | None = held.get(piece.index) or next(iter(held.values()), None)
        if outcome is Kept.KEPT:
            # where nothing of that index is held, the list still proves that somebody misuses the dealing key
            outcome, against = judge_listed(piece, share_list), share_list
        if outcome is Kept.CONFLICT and against is not None:
            # another generation proves nothing: keys may be changed
            self._contradictions.note(against, piece, sender, now)
        return outcome

    def take_record(self, record_bytes: bytes, now: float) -> Kept:
        """Keep a record beside the live pieces of its key."""
        try:
            record = LookupRecord.decode(record_bytes)
            thumbprint = KeyBundle.decode(record.bundle).thumbprint()
        except RemoteError:
            return Kept.MALFORMED
        pieces = self._shelves.pieces(record.aor, now).values()
        if not any((piece.generation, piece.thumbprint) == (record.generation, thumbprint) for piece in pieces):
            return Kept.NO_PIECE
        held = self._shelves.record(record.aor)
        if held == record:
            return Kept.SAME
        # an expired record no longer stands in the way: its owner may have lost count
        if held is not None and held.counts_until > now and held.sequence >= record.sequence:
            return Kept.OLDER
        flaw = Kept.REVOKED if self._graves.of(pieces, now) is not None else _record_flaw(record, now)
        if flaw is not None:
            return flaw
        self._shelves.keep_record(record)
        if held is not None:
            # a second word of the new key: its owner has it, and the generation before is of no more use
            self._former.end(record.aor, now + FORMER_S)
        return Kept.KEPT

    def take_tombstone(self, data: bytes, keys: OverlayKeys, now: float) -> Kept:
        """Keep the end of a key beside the live pieces of that key."""
        try:
            tombstone = Tombstone.decode(data)
            tombstone.verify(overlay=keys.overlay, overlay_public=keys.overlay_public)
        except RemoteError:
            return Kept.FORGED
        pieces = self._shelves.pieces(tombstone.aor, now).values()
        kept = self._graves.dig(tombstone, pieces)
        if kept is Kept.KEPT:
            self._shelves.drop_record(tombstone.aor)
        return kept

    def release(self, release: Release, now: float) -> Kept:
        """Drop the pieces that their owner says lie elsewhere by now."""
        pieces = {i: p for i, p in self._shelves.pieces(release.aor, now).items() if p.generation == release.generation}
        record = self._shelves.record(release.aor)
        last = self._db.execute("SELECT sequence FROM releases WHERE aor = ?", (release.aor,)).fetchone()
        going = [pieces[index] for index in release.indices if index in pieces]
        if last is not None and last[0] >= release.sequence:
            return Kept.REPLAYED if going else Kept.SAME
        owner = None if record is None else KeyBundle.decode(record.bundle)
        if not going or owner is None or owner.thumbprint() != going[0].thumbprint:
            return Kept.NO_PIECE
        try:
            release.verify(owner)
        except RemoteError:
            return Kept.FORGED
        (count,) = self._db.execute("SELECT COUNT(*) FROM releases").fetchone()
        if count >= self._max_releases:
            return Kept.FULL
        # remembered before anything is dropped, for as long as these pieces could be put back
        self._db.execute(
            "INSERT OR REPLACE INTO releases (aor, sequence, expires_at) VALUES (?, ?, ?)",
            (release.aor, release.sequence, max(piece.expires_at for piece in going)),
        )
        for piece in going:
            self._shelves.drop_piece(piece.aor, piece.index)
        return Kept.KEPT


def _piece_flaw(piece: KeyPiece, dealing_public: bytes, now: float) -> Kept | None:
    """Return why a piece does not count by itself, or None."""
    if piece.expires_at <= now:
        return Kept.EXPIRED
    try:
        piece.verify(dealing_public, now=now)
    except RemoteError:
        return Kept.FORGED
    return None


def _record_flaw(record: LookupRecord, now: float) -> Kept | None:
    """Return why a lookup record does not count by itself, or None."""
    if record.counts_until <= now:
        return Kept.EXPIRED
    try:
        record.verify(now=now)
    except RemoteError:
        return Kept.FORGED
    return None
