"""What the nodes of the ring said of one name, and what may be concluded from it.  I/O: none; time is an argument.

A holder's word is never taken.  Three checks stand between an answer and a key [paper §II.C]:

1. *The signature on each piece.*  A piece that the bootstrap did not sign counts as missing, and who gave it is named.
2. *The acceptance rule.*  A polynomial of degree < k counts only if at least 2k-1 distinct nodes each gave a share of a
   distinct index that lies on it; a node counts once, whatever it claims.  This one needs no signature: fewer than k
   liars reach at most 2k-2, even with the dealing key in their hands.  Honest nodes that were *fed* must not add to
   them: whoever has the dealing key can store a false piece at every node that holds none of that index yet.  So each
   piece is judged at the place where it belongs first, and pieces from elsewhere count only when that decides nothing
   and nobody is left to ask (or all agree, one of them at its place); two keys that both pass there are none.
3. *The lookup record.*  It is signed by the user and has to verify under the key that was rebuilt.

Where fewer than 2k-1 nodes hold anything at all (a young ring, dead holders), check 2 cannot be made.  Then signatures
alone decide, provided that everyone was asked and nothing contradicts, and the result says `basis="signatures"`.
Where 2k-1 nodes do hold pieces and still no polynomial passes, there is no answer: signatures must not overrule the
rule that exists because signatures can be stolen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from adapter.conviction import flaw_of_piece, flaw_of_record, flaw_of_tombstone
from adapter.findings import Basis, Key, PieceVerdict, fewest_holders
from adapter.pins import Pin
from overlay.errors import RemoteError
from overlay.ring.ids import Peer, RingId, id_to_bytes
from overlay.ring.storage import Holding
from overlay.trust.acceptance import Claim, Liar, accept
from overlay.trust.coverage import maximum_matching
from overlay.trust.identity import KeyBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord
from overlay.trust.shamir import combine, share_at
from overlay.trust.tombstone import Tombstone

MAX_PIECES_HEARD = 32
"""Pieces looked at in one node's answer; an honest node holds at most n of them."""
RECORD_INDEX = 0
"""The index under which a liar is named whose lie was a lookup record; pieces count from 1."""

_OFF = "share off the polynomial"

_Ballot = tuple[int, bytes]
"""Claims that may belong together: they name one generation and the thumbprint (16 bytes) of one key."""


class Evidence:
    """The answers to one lookup, in the order in which they came."""

    def __init__(
        self, aor: str, *, dealing_public: bytes, k: int, n: int, overlay: str = "", overlay_public: bytes = b""
    ) -> None:
        """`aor` is the name asked for, `dealing_public` the 32-byte key that signs pieces.

        `overlay` and its key (32 bytes) are what tombstones are judged by.
        """
        self._overlay, self._overlay_public = overlay, overlay_public
        self._aor, self._dealing, self._k, self._n = aor, dealing_public, k, n
        self._pieces: list[tuple[PieceVerdict, KeyPiece]] = []
        self._records: list[tuple[Peer, LookupRecord]] = []
        self._tombstones: list[tuple[Peer, Tombstone]] = []
        self._judged: tuple[tuple[int, bool, bool], Key | None] | None = None
        self._places: set[tuple[int, RingId]] = set()
        self.answered: dict[Peer, bool] = {}
        """Who was asked, and whether an answer came."""

    @property
    def heard_pieces(self) -> bool:
        """Whether anybody gave a piece of this name that counts; a forged one counts as missing."""
        return any(verdict.ok for verdict, _ in self._pieces)

    @property
    def is_contradictory(self) -> bool:
        """Whether somebody lied, or the pieces that count name more than one key."""
        named = {(piece.generation, piece.thumbprint) for verdict, piece in self._pieces if verdict.ok}
        return len(named) > 1 or any(verdict.lie for verdict, _ in self._pieces) or bool(self.conflicts())

    @property
    def newest_generation(self) -> int:
        """The newest generation of which anybody gave a signed piece, 0 where nobody gave any."""
        return max((piece.generation for verdict, piece in self._pieces if verdict.ok), default=0)

    def place(self, index: int, peer: Peer) -> None:
        """Say that a piece belongs at a node.  While nothing is said of any piece, each may lie anywhere."""
        self._places.add((index, peer.id))
        self._judged = None

    def hear(self, peer: Peer, holding: Holding | None, now: float) -> None:
        """Take in one node's answer; None is silence."""
        self.answered[peer] = holding is not None
        if holding is None:
            return
        for piece in holding.pieces[:MAX_PIECES_HEARD]:
            self._pieces.append((self._check(peer, piece, now), piece))
        if holding.record is not None:
            self._records.append((peer, holding.record))
        if holding.tombstone is not None:
            # one an answer, and no cap: anybody can sign some for keys of his own, and the true one may come last
            self._tombstones.append((peer, holding.tombstone))
        self._judged = None

    def has(self, index: int) -> bool:
        """Whether a validly signed piece of this index was given, of the newest generation that anybody gave.

        An older one is there for everybody to bring back, and must not keep the newer one's copy from being asked for.
        """
        newest = self.newest_generation
        return any(v.ok and v.index == index and v.generation == newest for v, _ in self._pieces)

    def decide(self, *, everyone: bool, agreed: bool = False) -> Key | None:
        """Return the key that the evidence supports, or None.

        `everyone` says that nobody is left to ask; only then may signatures alone decide.  `agreed` lets pieces from
        anywhere decide by the rule before that, as long as no signed piece that was heard contradicts and one of
        the nodes is where its piece belongs: who is quicker than the holders has to be among them all the same.
        """
        asked = (len(self._pieces), everyone, agreed)
        if self._judged is None or self._judged[0] != asked:
            self._judged = (asked, self._decide(everyone=everyone, agreed=agreed))
        return self._judged[1]

    def newest_record(self, key: Key, now: float) -> tuple[LookupRecord | None, tuple[Liar, ...]]:
        """Return the valid record with the highest sequence, and the nodes whose record the key does not verify."""
        best: LookupRecord | None = None
        liars: list[Liar] = []
        for peer, record in self._records:
            if record.counts_until <= now:
                continue  # old, which is no lie
            if record.generation != key.generation and self._gave(peer, record):
                continue  # a key is being changed, and this node has both
            try:
                self._verify_record(record, key, now)
            except RemoteError as error:
                named = (record.aor, record.generation, record.bundle)
                if named == (self._aor, key.generation, key.bundle.encode()) and record.is_signed_by_own_key():
                    continue  # its owner's clock, or ours: nobody but he can have dated it so
                liars.append(Liar(node=id_to_bytes(peer.id), index=RECORD_INDEX, why=f"lookup record: {error}"))
                continue
            if best is None or record.sequence > best.sequence:
                best = record
        return best, tuple(liars)

    def heard_record_of(self, key: Key, now: float) -> bool:
        """Whether anybody gave a live record of this key, sound or not."""
        named = (key.generation, key.bundle.encode())
        return any((r.generation, r.bundle) == named and r.counts_until > now for _, r in self._records)

    def _gave(self, peer: Peer, record: LookupRecord) -> bool:
        """Whether a node gave a signed piece of the generation and the key that its record names."""
        named = (record.generation, KeyBundle.decode(record.bundle).thumbprint())
        return any(
            verdict.ok and verdict.peer == peer and (piece.generation, piece.thumbprint) == named
            for verdict, piece in self._pieces
        )

    def pinned_key(self, pin: Pin, now: float) -> Key | None:
        """Return the key of the newest record that the pin leads to: it proves itself, whatever the pieces are.

        But for one thing: where a signed piece names a later generation than the pin's, the pinned key may be one that
        its owner has given up, and stolen.  Then only a key that such a piece names is followed to.
        """
        later = {
            (piece.generation, piece.thumbprint)
            for verdict, piece in self._pieces
            if verdict.ok and piece.generation > pin.generation
        }
        for _, record in sorted(self._records, key=lambda pair: (-pair[1].generation, -pair[1].sequence)):
            if not pin.leads_to(record):
                continue
            try:
                record.verify(now=now)
            except RemoteError:
                continue
            if later and (record.generation, KeyBundle.decode(record.bundle).thumbprint()) not in later:
                continue
            verdicts = tuple(verdict for verdict, _ in self._pieces)
            return Key(
                bundle=KeyBundle.decode(record.bundle),
                generation=record.generation,
                basis="pin",
                support=0,
                verdicts=verdicts,
                liars=_liars(verdicts),
                holders={},
                attackers_needed=0,
            )
        return None

    def is_revoked(self, key: Key) -> bool:
        """Whether anybody gave a tombstone of this key: one is enough, for no holder can make one up."""
        return any(self._revokes(tombstone, key) for _, tombstone in self._tombstones)

    def _revokes(self, tombstone: Tombstone, key: Key) -> bool:
        named = (tombstone.aor, tombstone.generation, tombstone.bundle)
        if named != (self._aor, key.generation, key.bundle.encode()):
            return False
        try:
            tombstone.verify(overlay=self._overlay, overlay_public=self._overlay_public)
        except RemoteError:
            return False
        return True

    def caught(self, key: Key | None) -> tuple[Liar, ...]:
        """Return the nodes that lied for certain (`adapter.conviction`), by the key that was proved, if one was.

        Fewer than those that a key names: here nobody is named whom a liar, a clock or a change could put there.
        """
        proved = key if key is not None and key.basis == "polynomial" else None
        caught = list(_liars(proved.verdicts if proved else (verdict for verdict, _ in self._pieces)))
        for peer, record in self._records:
            if flaw := flaw_of_record(record, key):
                caught.append(Liar(node=id_to_bytes(peer.id), index=RECORD_INDEX, why=flaw))
        for peer, tombstone in self._tombstones:
            flaw = flaw_of_tombstone(tombstone, overlay=self._overlay, overlay_public=self._overlay_public)
            if flaw:
                caught.append(Liar(node=id_to_bytes(peer.id), index=RECORD_INDEX, why=flaw))
        return tuple(dict.fromkeys(caught))

    def conflicts(self) -> tuple[str, ...]:
        """Name each piece of which two different shares carry a valid signature: a leaked key or a lying bootstrap."""
        seen: dict[tuple[int, int], KeyPiece] = {}
        found: dict[tuple[int, int], str] = {}
        for verdict, piece in self._pieces:
            if not verdict.ok:
                continue
            place = (piece.generation, piece.index)
            first = seen.setdefault(place, piece)
            if first.share != piece.share:
                found[place] = f"two signed shares for piece {piece.index} of generation {piece.generation}"
        return tuple(found.values())

    def _check(self, peer: Peer, piece: KeyPiece, now: float) -> PieceVerdict:
        def verdict(why: str, *, lie: bool) -> PieceVerdict:
            return PieceVerdict(
                index=piece.index, peer=peer, generation=piece.generation, ok=not why, why=why, lie=lie and bool(why)
            )

        if piece.expires_at <= now:
            return verdict("piece expired", lie=False)
        if piece.aor != self._aor:
            return verdict("piece of another name", lie=True)
        if flaw := flaw_of_piece(piece, self._dealing):
            return verdict(flaw, lie=True)
        if (piece.k, piece.n) != (self._k, self._n):
            return verdict("piece of another threshold", lie=False)
        try:
            piece.verify(self._dealing, now=now)
        except RemoteError as error:
            return verdict(str(error), lie=False)
        return verdict("", lie=False)

    def _verify_record(self, record: LookupRecord, key: Key, now: float) -> None:
        if record.aor != self._aor:
            raise RemoteError("it is of another name")
        if record.generation != key.generation or record.bundle != key.bundle.encode():
            raise RemoteError("it is of another key")
        record.verify(now=now)

    def _decide(self, *, everyone: bool, agreed: bool) -> Key | None:
        in_place = self._by_rule(self._ballots(anywhere=False))
        if in_place:
            # the highest generation that passes wins; a higher one with less support is evidence, not an answer
            return in_place[0]
        ballots = self._ballots(anywhere=True)
        if not everyone and not (agreed and len(ballots) == 1):
            return None
        anywhere = self._by_rule(ballots)
        if not everyone:
            # one honest holder at his place is enough to put a false key off until everybody was asked
            early = anywhere[0] if anywhere else None
            contradicted = early is not None and any(verdict.why == _OFF for verdict in early.verdicts)
            return early if early is not None and not contradicted and self._is_at_home(early) else None
        if anywhere or any(_witnesses(claims) >= 2 * self._k - 1 for claims in ballots.values()):
            return anywhere[0] if len(anywhere) == 1 else None
        for (generation, _), claims in ballots.items():
            if len({claim.index for claim in claims}) >= self._k:
                return None if self._is_outlived(generation) else self._by_signatures(claims, generation)
        return None

    def _is_outlived(self, generation: int) -> bool:
        """Whether somebody holds a signed piece of a later generation and none of this one.

        While a key is changed a holder has both; afterwards the old ones are there for a liar to bring back.
        """
        held: dict[Peer, set[int]] = {}
        for verdict, piece in self._pieces:
            if verdict.ok:
                held.setdefault(verdict.peer, set()).add(piece.generation)
        return any(min(generations) > generation for generations in held.values())

    def _is_at_home(self, key: Key) -> bool:
        """Whether anybody bears a key with a piece that belongs where he is, as the ring confirmed."""
        return any((index, peer.id) in self._places for index, peers in key.holders.items() for peer in peers)

    def _by_rule(self, ballots: Mapping[_Ballot, list[Claim]]) -> list[Key]:
        """Return the keys that pass the acceptance rule, the highest generation first."""
        keys: list[Key] = []
        for (generation, thumbprint), claims in ballots.items():
            if _witnesses(claims) < 2 * self._k - 1:
                continue
            accepted = accept(claims, k=self._k, n=self._n)
            if accepted is None:
                continue
            off = {(liar.node, liar.index) for liar in accepted.liars}
            said = Counter((claim.node, claim.index) for claim in set(claims))
            torn = {node for (node, _), shares in said.items() if shares > 1}
            true = [claim for claim in claims if claim.node not in torn and (claim.node, claim.index) not in off]
            key = self._key(accepted.secret, true, generation, "polynomial", support=accepted.support)
            if key is not None and key.bundle.thumbprint() == thumbprint:
                keys.append(key)
        return keys

    def _ballots(self, *, anywhere: bool) -> dict[_Ballot, list[Claim]]:
        """Return the claims by what they claim, the highest generation first; `anywhere` or only at their places."""
        ballots: dict[_Ballot, list[Claim]] = {}
        for verdict, piece in sorted(self._pieces, key=lambda pair: -pair[1].generation):
            in_place = anywhere or not self._places or (piece.index, verdict.peer.id) in self._places
            if verdict.ok and in_place:
                claim = Claim(node=id_to_bytes(verdict.peer.id), index=piece.index, share=piece.share)
                ballots.setdefault((piece.generation, piece.thumbprint), []).append(claim)
        return ballots

    def _by_signatures(self, claims: list[Claim], generation: int) -> Key | None:
        points = {claim.index: claim.share for claim in claims}
        try:
            secret = combine(points, k=self._k)
        except RemoteError:
            return None
        key = self._key(secret, claims, generation, "signatures", support=len({claim.node for claim in claims}))
        # one contradiction is enough to refuse: nothing here tells which of two signed shares is the true one
        return None if key is None or any(v.generation == generation and v.why == _OFF for v in key.verdicts) else key

    def _key(self, secret: bytes, true: list[Claim], generation: int, basis: Basis, *, support: int) -> Key | None:
        points = {claim.index: claim.share for claim in true}
        try:
            bundle = KeyBundle.decode(secret)
            shares = {index: share_at(points, k=self._k, index=index) for index in range(1, self._n + 1)}
        except RemoteError:
            return None
        verdicts: list[PieceVerdict] = []
        holders: dict[int, dict[Peer, None]] = {}
        for verdict, piece in self._pieces:
            final = verdict
            if verdict.ok and piece.generation != generation:
                final = replace(verdict, ok=False, why="piece of another generation")
            elif verdict.ok and (piece.share != shares[piece.index] or piece.thumbprint != bundle.thumbprint()):
                final = replace(verdict, ok=False, why=_OFF, lie=True)
            if final.ok:
                holders.setdefault(piece.index, {})[verdict.peer] = None
            verdicts.append(final)
        held = {index: tuple(peers) for index, peers in sorted(holders.items())}
        return Key(
            bundle=bundle,
            generation=generation,
            basis=basis,
            support=support,
            verdicts=tuple(verdicts),
            liars=_liars(verdicts),
            holders=held,
            attackers_needed=fewest_holders(held, k=self._k),
        )


def _witnesses(claims: Iterable[Claim]) -> int:
    """Return how many nodes can stand for an index of their own."""
    edges: dict[bytes, set[int]] = {}
    for claim in claims:
        edges.setdefault(claim.node, set()).add(claim.index)
    return maximum_matching(edges)


def _liars(verdicts: Iterable[PieceVerdict]) -> tuple[Liar, ...]:
    lies = (Liar(node=id_to_bytes(v.peer.id), index=v.index, why=v.why) for v in verdicts if v.lie)
    return tuple(dict.fromkeys(lies))
