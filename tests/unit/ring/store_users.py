"""Users, dealers and records for the tests of the store: real keys, real signatures."""

from functools import cache
from typing import Any

from overlay.ring.ids import RingId
from overlay.ring.storage import Kept, OverlayKeys, RecordStore
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import KeyPiece, deal
from overlay.trust.records import LookupRecord, Release, ShareList
from overlay.trust.shamir import MAX_PIECES

NOW = 1_800_000_000.0
DAY = 86_400
SENDER = RingId(77)
HOLDER = bytes(19) + b"\x09"

DEALER = SigningKey.generate()
ALICE = PrivateBundle.generate()
BOB = PrivateBundle.generate()
OVERLAY = PrivateBundle.generate()
KEYS = OverlayKeys(overlay="lan", overlay_public=OVERLAY.public.ed25519, dealing_public=DEALER.public)


def pieces(
    user: PrivateBundle = BOB,
    *,
    aor: str = "bob",
    generation: int = 1,
    dealing: SigningKey = DEALER,
    seed: bytes = b"s" * 32,
    issued_at: float = NOW,
    days: int = 30,
    k: int = 3,
    n: int = 7,
) -> tuple[KeyPiece, ...]:
    return deal(
        user.public,
        aor=aor,
        generation=generation,
        k=k,
        n=n,
        dealing=dealing,
        seed=seed,
        issued_at=int(issued_at),
        expires_at=int(issued_at) + days * DAY,
    )


def share_list(
    user: PrivateBundle = BOB, *, signer: PrivateBundle = OVERLAY, overlay: str = "lan", **dealt: Any
) -> ShareList:
    """Return the overlay key's word on a dealing, whoever dealt it."""
    return ShareList.issue(signer, overlay=overlay, pieces=pieces(user, **dealt))


def record(
    user: PrivateBundle = BOB,
    *,
    aor: str = "bob",
    generation: int = 1,
    sequence: int = 1,
    issued_at: float = NOW,
    seconds: int = 600,
    port: int = 5000,
) -> LookupRecord:
    return LookupRecord.issue(
        user,
        aor=aor,
        generation=generation,
        node_id=bytes(20),
        host="10.0.0.7",
        port=port,
        sequence=sequence,
        issued_at=int(issued_at),
        expires_at=int(issued_at) + seconds,
    )


def release(
    user: PrivateBundle = BOB, *indices: int, aor: str = "bob", generation: int = 1, sequence: int = 1
) -> Release:
    return Release.issue(user, aor=aor, generation=generation, node_id=HOLDER, indices=indices, sequence=sequence)


@cache
def true_list(piece: KeyPiece) -> ShareList:
    """Return what the overlay key says of the true dealing that the piece claims to be of."""
    owner = ALICE if piece.aor == "alice" else BOB
    k, n = (8, MAX_PIECES) if piece.n == MAX_PIECES else (3, 7)
    # as long as any piece may live, so that what is refused is not refused for the list's end
    dealt = pieces(
        owner, aor=piece.aor, generation=piece.generation, k=k, n=n, issued_at=max(NOW, piece.issued_at), days=31
    )
    return ShareList.issue(OVERLAY, overlay="lan", pieces=dealt)


def put(
    store: RecordStore,
    piece: KeyPiece,
    beside: LookupRecord | None = None,
    *,
    now: float = NOW,
    sender: RingId = SENDER,
    listed: ShareList | None = None,
) -> Kept:
    """Offer a piece; without `listed` the share list of bob's or alice's true dealing goes with it."""
    return store.put_piece(
        piece.encode(),
        None if beside is None else beside.encode(),
        share_list=(listed or true_list(piece)).encode(),
        keys=KEYS,
        sender=sender,
        now=now,
    )
