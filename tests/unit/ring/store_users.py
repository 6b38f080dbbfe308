"""Users, dealers and records for the tests of the store: real keys, real signatures."""

from overlay.ring.ids import RingId
from overlay.ring.storage import Kept, RecordStore
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import KeyPiece, deal
from overlay.trust.records import LookupRecord, Release

NOW = 1_800_000_000.0
DAY = 86_400
SENDER = RingId(77)
HOLDER = bytes(19) + b"\x09"

DEALER = SigningKey.generate()
ALICE = PrivateBundle.generate()
BOB = PrivateBundle.generate()


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


def put(
    store: RecordStore,
    piece: KeyPiece,
    beside: LookupRecord | None = None,
    *,
    now: float = NOW,
    sender: RingId = SENDER,
    dealing: SigningKey = DEALER,
) -> Kept:
    return store.put_piece(
        piece.encode(),
        None if beside is None else beside.encode(),
        dealing_public=dealing.public,
        sender=sender,
        now=now,
    )
