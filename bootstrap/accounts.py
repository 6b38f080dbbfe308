"""The books: who owns which name, which node keys came from where, and what this overlay is.  I/O: SQLite.

One file, one connection, one thread: the server calls this from a thread of its own, so that a slow disk never holds up
the network, and a request is read, decided and written in one transaction. Names never leave the books by themselves:
first come, first served has no expiry [paper §II.B].
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from bootstrap.admission import Invite, invite_digest
from bootstrap.problems import INVITES_HINT, NAMES_HINT, UsageProblem
from bootstrap.registration import ENROLMENT_WINDOW_S, Accepted, Account, Books
from overlay.errors import RemoteError
from overlay.ring.ids import Peer, id_from_bytes, id_to_bytes
from overlay.trust.shamir import check_threshold
from overlay.trust.signed import check_overlay
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA_VERSION: Final = 3
MEMORY: Final = ":memory:"
MAX_UNTOLD: Final = 64
"""Tombstones brought to the ring in one go."""
MAX_INVITES: Final = 10_000
_INVITES: Final = "SELECT id, digest, uses_left, made_at, expires_at, aor FROM invites"
MAX_PEERS: Final = 64
"""Nodes kept to find the ring again after a restart."""
_BUSY_TIMEOUT_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE overlay (
    one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, k INTEGER NOT NULL, n INTEGER NOT NULL
) STRICT;
CREATE TABLE names (
    aor TEXT PRIMARY KEY, generation INTEGER NOT NULL, bundle BLOB NOT NULL, node_public BLOB NOT NULL,
    first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, source TEXT NOT NULL
) STRICT;
CREATE INDEX names_by_node ON names (node_public);
CREATE TABLE node_keys (node_public BLOB PRIMARY KEY, source TEXT NOT NULL, first_at INTEGER NOT NULL) STRICT;
CREATE INDEX node_keys_by_source ON node_keys (source, first_at);
CREATE TABLE peers (id BLOB PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL) STRICT;
"""
_SECOND: Final = """
ALTER TABLE node_keys ADD COLUMN aor TEXT NOT NULL DEFAULT '';
CREATE INDEX node_keys_by_name ON node_keys (aor, first_at);
CREATE TABLE past (aor TEXT PRIMARY KEY, generation INTEGER NOT NULL, released_at INTEGER NOT NULL) STRICT;
CREATE TABLE revoked (
    bundle BLOB PRIMARY KEY, aor TEXT NOT NULL, tombstone BLOB NOT NULL, at INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE invites (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, uses_left INTEGER NOT NULL, made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, aor TEXT NOT NULL
) STRICT;
CREATE TABLE admitted (aor TEXT PRIMARY KEY) STRICT;
"""
"""What version 2 added: names that go on to another key, and who may have one."""
_THIRD: Final = "CREATE TABLE barred (node_public BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT;"
"""What version 3 added: devices that get no credential any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayFacts:
    """What every piece and credential of this overlay rests on; fixed with the first start."""

    name: str
    """Name of the overlay."""
    k: int
    """Pieces that rebuild a key."""
    n: int
    """Pieces that are dealt."""

    def __post_init__(self) -> None:
        check_overlay(self.name)
        check_threshold(self.k, self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One device, for the operator."""

    node_public: bytes
    """32 bytes: its node key."""
    source: str
    """IP literal that it first came from."""
    first_at: int
    """When it first came, in seconds since 1970."""
    names: tuple[str, ...]
    """Names that came with it last."""
    barred_at: int | None
    """When it was barred, None if it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """One taken name, as `names list` and the screen show it."""

    aor: str
    bundle: bytes
    """64 bytes: the key bundle that owns the name."""
    node_public: bytes
    """32 bytes."""
    first_at: int
    """Seconds since 1970: first registration."""
    last_at: int
    """Seconds since 1970: last registration."""
    source: str
    """IP literal that registered it last."""
    generation: int = 1
    """Of the key bundle."""
    revoked: bool = False
    """Whether this key is revoked."""


class Accounts:
    """The books of one data directory. Not for two threads at once."""

    def __init__(self, path: Path | str) -> None:
        """Open or make the books; ":memory:" keeps them in memory. RemoteError when the file is none of ours."""
        if str(path) != MEMORY:
            # for its owner alone; sqlite gives the files beside it the same rights
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # the one thread that uses this is not the one that opens it
        self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise RemoteError(f"{path} holds no accounts: {error}") from None
        except RemoteError:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def overlay(self) -> OverlayFacts | None:
        """Return what this overlay is, None before the first start."""
        row = self._db.execute("SELECT name, k, n FROM overlay").fetchone()
        return None if row is None else OverlayFacts(name=row[0], k=row[1], n=row[2])

    def fix_overlay(self, facts: OverlayFacts) -> None:
        """Fix what this overlay is, or check it against what it was; UsageProblem when it was something else.

        Two thresholds, or two names, in one overlay would make honest holders look like liars.
        """
        with self.transaction():
            before = self.overlay()
            if before is None:
                self._db.execute("INSERT INTO overlay VALUES (1, ?, ?, ?)", (facts.name, facts.k, facts.n))
            elif before != facts:
                raise UsageProblem(
                    f"these accounts are of overlay {before.name} with k={before.k} of n={before.n}, "
                    f"not {facts.name} with k={facts.k} of n={facts.n}",
                    hint="leave --overlay, --threshold and --pieces out, or use another data directory: --data DIR",
                )

    def books(
        self, aor: str, *, node_public: bytes, source: str, now: float, bundle: bytes = b"", code: str = ""
    ) -> Books:
        """Read what a decision about one request needs; `source` is an IP literal, `bundle` and `code` the asker's."""
        row = self._db.execute("SELECT generation, bundle, node_public FROM names WHERE aor = ?", (aor,)).fetchone()
        account = None
        if row is not None:
            account = Account(
                aor=aor,
                generation=row[0],
                bundle=row[1],
                node_public=row[2],
                revoked=self._count("SELECT count(*) FROM revoked WHERE bundle = ?", row[1]) > 0,
            )
        since = int(now) - ENROLMENT_WINDOW_S
        known = self._count("SELECT count(*) FROM node_keys WHERE node_public = ?", node_public)
        return Books(
            account=account,
            node_key_known=known > 0,
            names_of_node_key=self._count(
                "SELECT count(*) FROM names WHERE node_public = ? AND aor <> ?", node_public, aor
            ),
            new_node_keys=self._count(
                "SELECT count(*) FROM node_keys WHERE source = ? AND first_at > ?",
                source,
                since,
            ),
            names=self._count("SELECT count(*) FROM names"),
            past_generation=self._count("SELECT coalesce(max(generation), 0) FROM past WHERE aor = ?", aor),
            revoked=self._count("SELECT count(*) FROM revoked WHERE bundle = ?", bundle) > 0,
            new_keys_of_name=self._count("SELECT count(*) FROM node_keys WHERE aor = ? AND first_at > ?", aor, since),
            admitted=self._count("SELECT count(*) FROM admitted WHERE aor = ?", aor) > 0,
            invite=self._invite(invite_digest(code)) if code else None,
            node_key_barred=self._count("SELECT count(*) FROM barred WHERE node_public = ?", node_public) > 0,
        )

    def enter(self, accepted: Accepted, *, source: str, now: float) -> None:
        """Write an accepted registration; call in the transaction of its books()."""
        at = int(now)
        self._db.execute(
            "INSERT INTO node_keys (node_public, source, first_at, aor) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (accepted.node_public, source, at, accepted.aor),
        )
        if accepted.invite is not None:
            self._db.execute("UPDATE invites SET uses_left = uses_left - 1 WHERE id = ?", (accepted.invite.id,))
        self._db.execute(
            "INSERT INTO names VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (aor) DO UPDATE"
            " SET node_public = excluded.node_public, last_at = excluded.last_at, source = excluded.source",
            (accepted.aor, accepted.generation, accepted.bundle.encode(), accepted.node_public, at, at, source),
        )
        if accepted.rotated:
            self._db.execute(
                "UPDATE names SET generation = ?, bundle = ? WHERE aor = ?",
                (accepted.generation, accepted.bundle.encode(), accepted.aor),
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read and write as one: all of it counts, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def names(self) -> list[NameRow]:
        """Return every taken name, sorted."""
        rows = self._db.execute(
            "SELECT aor, bundle, node_public, first_at, last_at, source, generation,"
            " bundle IN (SELECT bundle FROM revoked) FROM names ORDER BY aor"
        )
        return [
            NameRow(
                aor=aor,
                bundle=bundle,
                node_public=node,
                first_at=first,
                last_at=last,
                source=source,
                generation=generation,
                revoked=bool(revoked),
            )
            for aor, bundle, node, first, last, source, generation, revoked in rows
        ]

    # --- what an operator does, beside a running server too -----------------------------------------------------------

    def release(self, aor: str, *, now: float) -> int:
        """Free a name: its next registrant gets the next generation. Return the last; UsageProblem if it is free."""
        with self.transaction():
            row = self._db.execute("DELETE FROM names WHERE aor = ? RETURNING generation", (aor,)).fetchone()
            if row is None:
                raise UsageProblem(f"the name {aor} is not taken", hint=NAMES_HINT)
            self._db.execute("INSERT OR REPLACE INTO past VALUES (?, ?, ?)", (aor, row[0], int(now)))
        return int(row[0])

    def account(self, aor: str) -> Account | None:
        """Return who has a name."""
        return self.books(aor, node_public=b"", source="", now=0.0).account

    def revoke(self, tombstone: Tombstone, *, now: float) -> None:
        """Write down that a key is dead; for ever: not even a released name takes it back."""
        self._db.execute(
            "INSERT OR IGNORE INTO revoked (bundle, aor, tombstone, at) VALUES (?, ?, ?, ?)",
            (tombstone.bundle, tombstone.aor, tombstone.encode(), int(now)),
        )

    def bar(self, node_public: bytes, *, now: float) -> None:
        """Give a node key (32 bytes) no credential any more, for whatever name it asks."""
        self._db.execute("INSERT OR IGNORE INTO barred VALUES (?, ?)", (node_public, int(now)))

    def unbar(self, node_public: bytes) -> None:
        """Take that back."""
        self._db.execute("DELETE FROM barred WHERE node_public = ?", (node_public,))

    def nodes(self) -> list[NodeRow]:
        """Return every node key that ever got a credential, the newest last."""
        rows = self._db.execute(
            "SELECT node_public, source, first_at, (SELECT group_concat(aor, ' ') FROM"
            " (SELECT aor FROM names WHERE names.node_public = node_keys.node_public ORDER BY aor)),"
            " (SELECT at FROM barred WHERE barred.node_public = node_keys.node_public)"
            " FROM node_keys ORDER BY first_at, node_public"
        )
        return [
            NodeRow(
                node_public=node,
                source=source,
                first_at=first,
                names=tuple((names or "").split()),
                barred_at=barred,
            )
            for node, source, first, names, barred in rows
        ]

    def untold(self) -> list[Tombstone]:
        """Return the tombstones that the ring does not have yet: MAX_UNTOLD of them, drawn anew each time.

        Some are never taken, because the pieces of their keys have run out: they must not keep others from their turn.
        """
        rows = self._db.execute(
            "SELECT tombstone FROM revoked WHERE told = 0 ORDER BY random() LIMIT ?", (MAX_UNTOLD,)
        ).fetchall()
        return [Tombstone.decode(row[0]) for row in rows]

    def told(self, tombstone: Tombstone) -> None:
        """Note that the ring has a tombstone."""
        self._db.execute("UPDATE revoked SET told = 1 WHERE bundle = ?", (tombstone.bundle,))

    def admit(self, aor: str) -> None:
        """Put a name on the list of a closed overlay."""
        self._db.execute("INSERT OR IGNORE INTO admitted VALUES (?)", (aor,))

    def add_invite(self, invite: Invite) -> None:
        """Keep an invite; UsageProblem when there are MAX_INVITES."""
        with self.transaction():
            self._db.execute("DELETE FROM invites WHERE expires_at <= ? OR uses_left < 1", (invite.made_at,))
            if self._count("SELECT count(*) FROM invites") >= MAX_INVITES:
                raise UsageProblem(f"{MAX_INVITES} invites at most are out at once", hint=INVITES_HINT)
            self._db.execute(
                "INSERT INTO invites VALUES (?, ?, ?, ?, ?, ?)",
                (invite.id, invite.digest, invite.uses_left, invite.made_at, invite.expires_at, invite.aor),
            )

    def invites(self) -> list[Invite]:
        """Return every invite, the oldest first."""
        return [_invite(row) for row in self._db.execute(f"{_INVITES} ORDER BY made_at, id").fetchall()]

    def revoke_invite(self, ident: str) -> None:
        """Take an invite back; UsageProblem when there is none of that id."""
        if self._db.execute("DELETE FROM invites WHERE id = ?", (ident,)).rowcount == 0:
            raise UsageProblem(f"there is no invite {ident!r}", hint=INVITES_HINT)

    def _invite(self, digest: bytes) -> Invite | None:
        row = self._db.execute(f"{_INVITES} WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else _invite(row)

    def keep_peers(self, peers: Iterable[Peer]) -> None:
        """Remember nodes to find the ring through after a restart; the first MAX_PEERS of them."""
        with self.transaction():
            self._db.execute("DELETE FROM peers")
            self._db.executemany(
                "INSERT OR REPLACE INTO peers VALUES (?, ?, ?)",
                [(id_to_bytes(peer.id), peer.host, peer.port) for peer in list(peers)[:MAX_PEERS]],
            )

    def peers(self) -> list[Peer]:
        """Return the nodes of the last run."""
        rows = self._db.execute("SELECT id, host, port FROM peers ORDER BY id").fetchall()
        return [Peer(id=id_from_bytes(ring_id), host=host, port=port) for ring_id, host, port in rows]

    def _prepare(self) -> None:
        # the names must outlive a power cut; WAL with full synchronisation costs one sync a registration
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            version = self._count("PRAGMA user_version")
            if version in range(SCHEMA_VERSION):
                for step in (_SCHEMA, _SECOND, _THIRD)[version:]:
                    for statement in step.split(";"):
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise RemoteError(f"the accounts are of version {version}, this program knows {SCHEMA_VERSION}")

    def _count(self, query: str, *values: object) -> int:
        return int(self._db.execute(query, values).fetchone()[0])


def _invite(row: tuple[str, bytes, int, int, int, str]) -> Invite:
    ident, digest, uses_left, made_at, expires_at, aor = row
    return Invite(id=ident, digest=digest, uses_left=uses_left, made_at=made_at, expires_at=expires_at, aor=aor)
