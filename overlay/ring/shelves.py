"""The rows of what is alive: pieces, and the record and share list beside them, counted.  I/O: the store's file.

Nothing is judged here (`offers`). A row that does not read back as what it was kept for is dropped, never shown and
never fatal. Every method may raise sqlite3.Error.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from overlay.errors import RemoteError
from overlay.ring.former import Former, read_piece, read_record
from overlay.ring.listed import read_share_list
from overlay.trust.shamir import MAX_PIECES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord
    from overlay.trust.share_list import ShareList

MAX_USERS: Final = 100_000
MAX_PIECES_PER_USER: Final = 2 * MAX_PIECES
MAX_PER_SENDER: Final = 50_000
"""Pieces that came from one node: a node that leaves hands everything it holds to its successor."""


class Shelves:
    """What is held of each user. `former` is emptied of a user with his last piece."""

    __slots__ = ("_counters", "_db", "_former", "_max_per_sender", "_max_users", "_per_sender", "_per_user")

    def __init__(
        self, db: sqlite3.Connection, former: Former, counters: Counter[str], *, max_users: int, max_per_sender: int
    ) -> None:
        """`counters` hears of rows that did not read back; the caps are on users and on pieces from one node."""
        self._db, self._former, self._counters = db, former, counters
        self._max_users, self._max_per_sender = max_users, max_per_sender
        self._per_user: Counter[str] = Counter()
        self._per_sender: Counter[bytes] = Counter()
        self._count()

    def keep(self, piece: KeyPiece, sender: bytes) -> None:
        """Put a piece on its shelf, in place of the one of its index."""
        before = self._sender_of(piece.aor, piece.index)
        self._db.execute(
            "INSERT OR REPLACE INTO pieces (aor, piece, sender, expires_at, body) VALUES (?, ?, ?, ?, ?)",
            (piece.aor, piece.index, sender, piece.expires_at, piece.encode()),
        )
        if before is None:
            self._per_user[piece.aor] += 1
        else:
            _decrease(self._per_sender, before)
        self._per_sender[sender] += 1

    def keep_record(self, record: LookupRecord) -> None:
        """Put a record beside the pieces of its user, in place of the one there."""
        self._db.execute("INSERT OR REPLACE INTO records (aor, body) VALUES (?, ?)", (record.aor, record.encode()))

    def keep_share_list(self, share_list: ShareList) -> None:
        """Put a list beside the pieces of its user, in place of the one there."""
        self._db.execute(
            "INSERT OR REPLACE INTO share_lists (aor, body) VALUES (?, ?)", (share_list.aor, share_list.encode())
        )

    def drop_record(self, aor: str) -> None:
        """Drop the record of a user."""
        self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))

    def held(self, now: float) -> list[tuple[str, int]]:
        """Return (user, piece index) of everything alive, in order."""
        rows = self._db.execute("SELECT aor, piece FROM pieces WHERE expires_at > ? ORDER BY aor, piece", (now,))
        return [(aor, index) for aor, index in rows if type(aor) is str and type(index) is int]

    def sweep(self, now: float) -> int:
        """Drop the pieces that have expired, and what lay beside the last of a user; return how many pieces."""
        dropped = self._db.execute("DELETE FROM pieces WHERE expires_at <= ?", (now,)).rowcount
        if dropped:
            self._count()
            self._db.execute("DELETE FROM records WHERE aor NOT IN (SELECT aor FROM pieces)")
            self._db.execute("DELETE FROM share_lists WHERE aor NOT IN (SELECT aor FROM pieces)")
            self._db.execute("DELETE FROM seals WHERE aor NOT IN (SELECT aor FROM pieces)")
        return dropped

    def pieces(self, aor: str, now: float) -> dict[int, KeyPiece]:
        """Return the live pieces of a user by index, and drop rows that are not what they should be."""
        rows = self._db.execute("SELECT piece, expires_at, body FROM pieces WHERE aor = ?", (aor,)).fetchall()
        pieces: dict[int, KeyPiece] = {}
        for index, expires_at, body in rows:
            try:
                piece = read_piece(body)
            except RemoteError:
                piece = None
            if piece is None or (piece.aor, piece.index, piece.expires_at) != (aor, index, expires_at):
                self._counters["malformed row"] += 1
                self.drop_piece(aor, index)
            elif piece.expires_at > now:
                pieces[index] = piece
        return pieces

    def record(self, aor: str) -> LookupRecord | None:
        """Return the record of a user, expired or not: its bundle stays good for releases."""
        row = self._db.execute("SELECT body FROM records WHERE aor = ?", (aor,)).fetchone()
        if row is None:
            return None
        try:
            record = read_record(row[0])
        except RemoteError:
            record = None
        if record is None or record.aor != aor:
            self._counters["malformed row"] += 1
            self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))
            return None
        return record

    def share_list(self, aor: str) -> ShareList | None:
        """Return the share list of a user, expired or not."""
        row = self._db.execute("SELECT body FROM share_lists WHERE aor = ?", (aor,)).fetchone()
        if row is None:
            return None
        try:
            share_list = read_share_list(row[0])
        except RemoteError:
            share_list = None
        if share_list is None or share_list.aor != aor:
            self._counters["malformed row"] += 1
            self._db.execute("DELETE FROM share_lists WHERE aor = ?", (aor,))
            return None
        return share_list

    def has_room(self, piece: KeyPiece, held: dict[int, KeyPiece], sender: bytes) -> bool:
        """Tell whether one more piece from this node stays below every cap."""
        return (
            (piece.aor in self._per_user or len(self._per_user) < self._max_users)
            and (piece.index in held or self._per_user[piece.aor] < MAX_PIECES_PER_USER)
            and self._per_sender[sender] < self._max_per_sender
        )

    def _sender_of(self, aor: str, index: int) -> bytes | None:
        row = self._db.execute("SELECT sender FROM pieces WHERE aor = ? AND piece = ?", (aor, index)).fetchone()
        return None if row is None else row[0]

    def drop_piece(self, aor: str, index: object) -> None:
        """Drop a piece, and with the last of a user what lay beside it."""
        rows = self._db.execute("DELETE FROM pieces WHERE aor = ? AND piece = ? RETURNING sender", (aor, index))
        for (sender,) in rows.fetchall():
            _decrease(self._per_sender, sender)
            _decrease(self._per_user, aor)
        if aor not in self._per_user:
            self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))
            self._db.execute("DELETE FROM share_lists WHERE aor = ?", (aor,))
            self._db.execute("DELETE FROM seals WHERE aor = ?", (aor,))
            self._former.drop(aor)

    def drop_user(self, aor: str) -> None:
        """Drop everything of a user."""
        for (index,) in self._db.execute("SELECT piece FROM pieces WHERE aor = ?", (aor,)).fetchall():
            self.drop_piece(aor, index)
        self._db.execute("DELETE FROM records WHERE aor = ?", (aor,))
        self._db.execute("DELETE FROM share_lists WHERE aor = ?", (aor,))
        self._db.execute("DELETE FROM seals WHERE aor = ?", (aor,))
        self._former.drop(aor)

    def _count(self) -> None:
        self._per_user = Counter(dict(self._rows("SELECT aor, COUNT(*) FROM pieces GROUP BY aor")))
        self._per_sender = Counter(dict(self._rows("SELECT sender, COUNT(*) FROM pieces GROUP BY sender")))

    def _rows(self, statement: str) -> Iterable[tuple[Any, int]]:
        return self._db.execute(statement).fetchall()


def _decrease(counts: Counter[Any], key: object) -> None:
    """Take one away, and the entry with the last."""
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
