"""A real enrolment, dealt and signed with fresh keys, for tests of what keeps it."""

from adapter.enrolled import Enrolment
from adapter.keystore import Keys
from overlay.ring.ids import Peer, RingId
from overlay.trust.credentials import DealingCertificate, NodeCredential
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import deal
from overlay.trust.share_list import ShareList

ISSUED_AT = 1_800_000_000
EXPIRES_AT = ISSUED_AT + 30 * 86_400


def enrol(aor: str, keys: Keys, *, k: int = 3, n: int = 7, host: str = "192.0.2.1") -> Enrolment:
    overlay, dealing = PrivateBundle.generate(), SigningKey.generate()
    pieces = deal(
        keys.user.public,
        aor=aor,
        generation=1,
        k=k,
        n=n,
        dealing=dealing,
        seed=bytes(32),
        issued_at=ISSUED_AT,
        expires_at=EXPIRES_AT,
    )
    return Enrolment(
        generation=1,
        overlay="home",
        overlay_bundle=overlay.public,
        credential=NodeCredential.issue(
            overlay, overlay="home", node_public=keys.node.public, salt=bytes(32), expires_at=EXPIRES_AT
        ),
        dealing=DealingCertificate.issue(
            overlay, overlay="home", dealing_public=dealing.public, k=k, n=n, expires_at=EXPIRES_AT
        ),
        pieces=pieces,
        share_list=ShareList.issue(overlay, overlay="home", pieces=pieces),
        nodes=tuple(Peer(id=RingId(number), host=host, port=4000 + number) for number in range(1, 9)),
    )
