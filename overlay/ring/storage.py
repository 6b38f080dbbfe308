"""The pieces and lookup records that this node keeps for the ring.  I/O: a SQLite file.

The rules:
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
8. A row that does not read back as what it was kept for is dropped, never shown and never fatal.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from overlay.errors import RemoteError
from overlay.ring.former import Former, read_piece, read_record
from overlay.ring.graves import Graves
from overlay.ring.holding import Evidence, Holding, Kept, judge
from overlay.ring.ids import RingId, id_from_bytes, id_to_bytes
from overlay.ring.listed import OverlayKeys, judge_listed, read_share_list, weigh
from overlay.ring.store_file import MEMORY, open_store_file
from overlay.trust.identity import KeyBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord, Release
from overlay.trust.shamir import MAX_PIECES
from overlay.trust.share_list import ShareList
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

__all__ = ["Evidence", "Holding", "Kept", "OverlayKeys", "RecordStore"]

MAX_USERS: Final = 100_000
MAX_PIECES_PER_USER: Final = 2 * MAX_PIECES
MAX_PER_SENDER: Final = 50_000
"""Pieces that came from one node: a node that leaves hands everything it holds to its successor."""
MAX_EVIDENCE: Final = 256
MAX_EVIDENCE_PER_USER: Final = 4
MAX_RELEASES: Final = 2 * MAX_USERS
FORMER_S: Final = 600
"""How long the generation before is still shown after its owner went on with the new one."""


class RecordStore:
    """What one node holds for others. Not to be shared between threads."""

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
        self._max_users = max_users
        self._max_per_sender = max_per_sender
        self._max_evidence = max_evidence
        self._max_releases = max_releases
        self._db, damaged = open_store_file(path)
        if damaged is not None:
            self.counters["damaged file set aside"] += 1
        self._former, self._graves = Former(self._db), Graves(self._db)
        self._per_user: Counter[str] = Counter()
        self._per_sender: Counter[bytes] = Counter()
        self._count()

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
            outcome = self._put_piece(piece_bytes, share_list, keys, id_to_bytes(sender), now)
            if outcome.held and record_bytes is not None:
                beside = self._put_record(record_bytes, now)
                outcome = outcome if beside.held else beside
        except sqlite3.Error:
            outcome = Kept.FAILED
        return self._noted(outcome)

    def put_record(self, record_bytes: bytes, now: float) -> Kept:
        """Keep a lookup record beside the live pieces of its key; the highest sequence wins."""
        try:
            return self._noted(self._put_record(record_bytes, now))
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    def put_tombstone(self, data: bytes, *, keys: OverlayKeys, now: float) -> Kept:
        """Keep the end of a key beside the live pieces of that key."""
        try:
            return self._noted(self._put_tombstone(data, keys, now))
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    def release(self, release: Release, now: float) -> Kept:
        """Drop the pieces that their owner says lie elsewhere by now; KEPT or SAME means that they are gone.

        The caller has checked that the release names this node. The owner's key is known from the record beside the
        pieces. A release counts once: its sequence must be higher than that of the last one.
        """
        try:
            return self._noted(self._release(release, now))
        except sqlite3.Error:
            return self._noted(Kept.FAILED)

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, aor: str, now: float) -> Holding:
        """Return the live pieces of a user and the live record beside them."""
        former: dict[int, KeyPiece] = {}
        former_record = tombstone = None
        try:
            pieces = self._pieces(aor, now)
            record = self._record(aor) if pieces else None
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
            share_list = self._share_list(aor)
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return None
        return share_list if share_list is not None and share_list.expires_at > now else None

    def held(self, now: float) -> list[tuple[str, int]]:
        """Return (user, piece index) of everything alive, in order."""
        try:
            rows = self._db.execute("SELECT aor, piece FROM pieces WHERE expires_at > ? ORDER BY aor, piece", (now,))
            return [(aor, index) for aor, index in rows if type(aor) is str and type(index) is int]
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return []

    def evidence(self) -> list[Evidence]:
        """Return the contradictions that were offered, oldest first."""
        found = []
        try:
            rows = self._db.execute("SELECT held, offered, sender, seen_at FROM evidence ORDER BY rowid").fetchall()
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return []
        for held, offered, sender, seen_at in rows:
            try:
                found.append(
                    Evidence(
                        held=_read_signed(held),
                        offered=_read_signed(offered),
                        sender=id_from_bytes(sender),
                        seen_at=seen_at,
                    )
                )
            except RemoteError:
                self.counters["malformed row"] += 1
        return found

    def sweep(self, now: float) -> int:
        """Drop what has expired; return how many pieces that were."""
        try:
            dropped = self._db.execute("DELETE FROM pieces WHERE expires_at <= ?", (now,)).rowcount
            if dropped:
                self._count()
                self._db.execute("DELETE FROM records WHERE aor NOT IN (SELECT aor FROM pieces)")
                self._db.execute("DELETE FROM share_lists WHERE aor NOT IN (SELECT aor FROM pieces)")
            self._db.execute("DELETE FROM releases WHERE expires_at <= ?", (now,))
            self._former.sweep(now)
            self._graves.sweep(now)
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return 0
        return dropped

    # --- the work ------------------------------------------------------------------------------------------------

    def _put_piece(
        self, piece_bytes: bytes, list_bytes: bytes | None, keys: OverlayKeys, sender: bytes, now: float
    ) -> Kept:
        try:
            piece = KeyPiece.decode(piece_bytes)
        except RemoteError:
            return Kept.MALFORMED
        held = self._pieces(piece.aor, now)
        on_hold = self._share_list(piece.aor)
        listed = weigh(list_bytes, on_hold, aor=piece.aor, generation=piece.generation, keys=keys, now=now)
        if listed.contradiction is not None and on_hold is not None:
            self._note_evidence(on_hold, listed.contradiction, sender, now)
        barred = Kept.REVOKED if self._graves.bars(piece, held, now) else None
        outcome = barred or listed.flaw or self._judge(piece, held, listed.counts, keys=keys, sender=sender, now=now)
        if outcome is not Kept.KEPT:
            return outcome
        if not held:
            # what is left of this user has expired, a record of an earlier key perhaps
            self._drop_user(piece.aor)
        if not self._has_room(piece, held, sender, now):
            return Kept.FULL
        if any(other.generation < piece.generation for other in held.values()):
            self._make_way(held.values(), now)
            held = {}
        if listed.counts is not None and (listed.is_new or not held):
            # before the piece: no piece is ever on the disk without its list
            self._db.execute(
                "INSERT OR REPLACE INTO share_lists (aor, body) VALUES (?, ?)", (piece.aor, listed.counts.encode())
            )
        before = self._sender_of(piece.aor, piece.index)
        self._db.execute(
            "INSERT OR REPLACE INTO pieces (aor, piece, sender, expires_at, body) VALUES (?, ?, ?, ?, ?)",
            (piece.aor, piece.index, sender, piece.expires_at, piece_bytes),
        )
        if before is None:
            self._per_user[piece.aor] += 1
        else:
            _decrease(self._per_sender, before)
        self._per_sender[sender] += 1
        return Kept.KEPT

    def _make_way(self, before: Collection[KeyPiece], now: float) -> None:
        """Put the pieces of an older generation aside; those of a revoked key go at once."""
        aor = next(iter(before)).aor
        record, revoked = self._record(aor), self._graves.of(before, now) is not None
        self._drop_user(aor)
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
            self._note_evidence(against, piece, sender, now)
        return outcome

    def _put_record(self, record_bytes: bytes, now: float) -> Kept:
        try:
            record = LookupRecord.decode(record_bytes)
            thumbprint = KeyBundle.decode(record.bundle).thumbprint()
        except RemoteError:
            return Kept.MALFORMED
        pieces = self._pieces(record.aor, now).values()
        if not any((piece.generation, piece.thumbprint) == (record.generation, thumbprint) for piece in pieces):
            return Kept.NO_PIECE
        held = self._record(record.aor)
        if held == record:
            return Kept.SAME
        # an expired record no longer stands in the way: its owner may have lost count
        if held is not None and held.counts_until > now and held.sequence >= record.sequence:
            return Kept.OLDER
        flaw = Kept.REVOKED if self._graves.of(pieces, now) is not None else _record_flaw(record, now)
        if flaw is not None:
            return flaw
        self._db.execute("INSERT OR REPLACE INTO records (aor, body) VALUES (?, ?)", (record.aor, record_bytes))
        if held is not None:
            # a second word of the new key: its owner has it, and the generation before is of no more use
            self._former.end(record.aor, now + FORMER_S)
        return Kept.KEPT

    def _put_tombstone(self, data: bytes, keys: OverlayKeys, now: float) -> Kept:
        try:
            tombstone = Tombstone.decode(data)
            tombstone.verify(overlay=keys.overlay, overlay_public=keys.overlay_public)
        except RemoteError:
            return Kept.FORGED
        pieces = self._pieces(tombstone.aor, now).values()
        kept = self._graves.dig(tombstone, pieces)
        if kept is Kept.KEPT:
            self._db.execute("DELETE FROM records WHERE aor = ?", (tombstone.aor,))
        return kept

    def _release(self, release: Release, now: float) -> Kept:
        pieces = {i: p for i, p in self._pieces(release.aor, now).items() if p.generation == release.generation}
        record = self._record(release.aor)
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
            self._drop_piece(piece.aor, piece.index)
        return Kept.KEPT

    def _pieces(self, aor: str, now: float) -> dict[int, KeyPiece]:
        """Return the live pieces of a user by index, and drop rows that are not what they should be."""
        rows = self._db.execute("SELECT piece, expires_at, body FROM pieces WHERE aor = ?", (aor,)).fetchall()
        pieces: dict[int, KeyPiece] = {}
        for index, expires_at, body in rows:
            try:
                piece = read_piece(body)
            except RemoteError:
                piece = None
            if piece is None or (piece.aor, piece.index, piece.expires_at) != (aor, index, expires_at):
                self.counters["malformed row"] += 1
                self._drop_piece(aor, index)
            elif piece.expires_at > now:
                pieces[index] = piece
        return pieces

    def _record(self, aor: str) -> LookupRecord | None:
        """Return the record of a user, expired or not: its bundle stays good for releases."""
        row = self._db.execute("SELECT body FROM records WHERE aor = ?", (aor,)).fetchone()
        if row is None:
            return None
        try:
            record = read_record(row[0])
        except RemoteError:
            record = None
        if record is None or record.aor != aor:
            self.counters["malformed row"] += 1
            self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))
            return None
        return record

    def _share_list(self, aor: str) -> ShareList | None:
        """Return the share list of a user, expired or not."""
        row = self._db.execute("SELECT body FROM share_lists WHERE aor = ?", (aor,)).fetchone()
        if row is None:
            return None
        try:
            share_list = read_share_list(row[0])
        except RemoteError:
            share_list = None
        if share_list is None or share_list.aor != aor:
            self.counters["malformed row"] += 1
            self._db.execute("DELETE FROM share_lists WHERE aor = ?", (aor,))
            return None
        return share_list

    def _has_room(self, piece: KeyPiece, held: dict[int, KeyPiece], sender: bytes, now: float) -> bool:
        def fits() -> bool:
            return (
                (piece.aor in self._per_user or len(self._per_user) < self._max_users)
                and (piece.index in held or self._per_user[piece.aor] < MAX_PIECES_PER_USER)
                and self._per_sender[sender] < self._max_per_sender
            )

        if fits():
            return True
        self.sweep(now)
        return fits()

    def _note_evidence(
        self, held: KeyPiece | ShareList, offered: KeyPiece | ShareList, sender: bytes, now: float
    ) -> None:
        (count,) = self._db.execute("SELECT COUNT(*) FROM evidence").fetchone()
        (of_user,) = self._db.execute("SELECT COUNT(*) FROM evidence WHERE aor = ?", (offered.aor,)).fetchone()
        # the first ones stay: a flood of later ones proves nothing new and hides nothing old
        if count < self._max_evidence and of_user < MAX_EVIDENCE_PER_USER:
            self._db.execute(
                "INSERT OR IGNORE INTO evidence (held, offered, aor, sender, seen_at) VALUES (?, ?, ?, ?, ?)",
                (held.encode(), offered.encode(), offered.aor, sender, int(now)),
            )

    def _sender_of(self, aor: str, index: int) -> bytes | None:
        row = self._db.execute("SELECT sender FROM pieces WHERE aor = ? AND piece = ?", (aor, index)).fetchone()
        return None if row is None else row[0]

    def _drop_piece(self, aor: str, index: object) -> None:
        rows = self._db.execute("DELETE FROM pieces WHERE aor = ? AND piece = ? RETURNING sender", (aor, index))
        for (sender,) in rows.fetchall():
            _decrease(self._per_sender, sender)
            _decrease(self._per_user, aor)
        if aor not in self._per_user:
            self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))
            self._db.execute("DELETE FROM share_lists WHERE aor = ?", (aor,))
            self._former.drop(aor)

    def _drop_user(self, aor: str) -> None:
        for (index,) in self._db.execute("SELECT piece FROM pieces WHERE aor = ?", (aor,)).fetchall():
            self._drop_piece(aor, index)
        self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))
        self._db.execute("DELETE FROM share_lists WHERE aor = ?", (aor,))
        self._former.drop(aor)

    def _count(self) -> None:
        self._per_user = Counter(dict(self._rows("SELECT aor, COUNT(*) FROM pieces GROUP BY aor")))
        self._per_sender = Counter(dict(self._rows("SELECT sender, COUNT(*) FROM pieces GROUP BY sender")))

    def _rows(self, statement: str) -> Iterable[tuple[Any, int]]:
        return self._db.execute(statement).fetchall()

    def _noted(self, outcome: Kept) -> Kept:
        if not outcome.held:
            self.counters[outcome.value] += 1
        return outcome


def _read_signed(body: bytes) -> KeyPiece | ShareList:
    """Decode a row of evidence; RemoteError when it is neither a piece nor a share list."""
    try:
        return KeyPiece.decode(body)
    except RemoteError:
        return ShareList.decode(body)


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


def _decrease(counts: Counter[Any], key: object) -> None:
    """Take one away, and the entry with the last."""
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
