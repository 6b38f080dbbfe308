"""Whether a SECP2PSIP REGISTER is accepted: a request, what the books say, and the rules go in, a decision comes out.

I/O: none. First come, first served: a name belongs to the key that registered it first, for ever; the same key may come
again as often as it likes, from another node key too [paper §II.B]. The request proves that its sender holds both
private keys *now*: both signatures cover the nonce of this connection, the server's key and the overlay's name.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import THUMBPRINT_BYTES, KeyBundle
from overlay.trust.records import PENDING_NODE_ID, LookupRecord

if TYPE_CHECKING:
    from overlay.wire.messages import Register

NONCE_BYTES: Final = 16
FIRST_GENERATION: Final = 1
DEFAULT_ENROLMENTS_PER_DAY: Final = 4
MAX_NAMES: Final = 65_536
"""Names that one server keeps."""
MAX_NAMES_PER_NODE_KEY: Final = 32
"""Names that one device may hold: an adapter serves as many users."""
ENROLMENT_WINDOW_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A name that is taken, as the books have it."""

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle, 1 or more."""
    bundle: bytes
    """64 bytes: the key that owns the name."""
    node_public: bytes
    """32 bytes: the node key that the name came with last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the accounts say about one request, read in one transaction."""

    account: Account | None
    """The name's owner, None while it is free."""
    node_key_known: bool
    """The node key has a credential already, from any name."""
    names_of_node_key: int
    """Names that came with this node key last, the one asked for left out."""
    new_node_keys: int
    """Node keys that this source brought for the first time within the last day."""
    names: int
    """Names taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's rules."""

    enrolments_per_day: int = DEFAULT_ENROLMENTS_PER_DAY
    """New node keys per source address and day; 0: no limit. Not counted where an enrolment code is asked for."""
    code: str = ""
    """What a REGISTER must carry as enrolment code; empty: an open overlay."""

    def __post_init__(self) -> None:
        if self.enrolments_per_day < 0:
            raise LocalError("enrolments per day cannot be negative")

    def __repr__(self) -> str:
        return f"Policy(enrolments_per_day={self.enrolments_per_day}, code={'set' if self.code else 'none'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What this connection's CHALLENGE said, and who is at its other end."""

    overlay: str
    """Name of the overlay."""
    thumbprint: bytes
    """16 bytes that name the server's key bundle."""
    nonce: bytes
    """16 bytes, made for this connection alone."""
    source: str
    """IP literal that stands for the connection's other end; see sources.py."""
    node_id: bytes
    """20 bytes: the ring id that the request's node key gets."""

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES or len(self.thumbprint) != THUMBPRINT_BYTES:
            raise LocalError("a challenge has a nonce and a thumbprint of 16 bytes each")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The name is the sender's; deal and store."""

    aor: str
    generation: int
    bundle: KeyBundle
    node_public: bytes
    record: LookupRecord
    first: bool
    """The name was free until now."""
    new_node_key: bool
    """The node key was never seen before: it counts against its source's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing changes; the sender is told why."""

    code: str
    """One of the wire's error codes."""
    reason: str
    """One sentence, lower case, at most 200 characters."""


Decision = Accepted | Refused


def decide(request: Register, *, books: Books, expected: Expected, policy: Policy, now: float) -> Decision:
    """Accept or refuse a REGISTER whose user signature holds; never raises for its content.

    `now` is in seconds since 1970. The order matters: proofs first, so that who holds no key learns nothing of names;
    then the name; then limits.
    """
    flaw = _flaw_in_proof(request, expected) or _flaw_in_code(request, policy)
    if flaw is not None:
        return flaw
    try:
        bundle = KeyBundle.decode(request.bundle)
        record = LookupRecord.decode(request.record)
        record.verify(now=now)
    except RemoteError as error:
        hint = ": compare the two clocks" if "expired" in error.reason or "future" in error.reason else ""
        return Refused(code="bad", reason=f"{error.reason}{hint}")
    account = books.account
    if account is not None and account.bundle != request.bundle:
        return Refused(code="taken", reason=f"the name {request.aor} is taken: it belongs to another key")
    generation = FIRST_GENERATION if account is None else account.generation
    flaw = _flaw_in_record(record, request, generation, expected) or _over_limit(books, policy)
    if flaw is not None:
        return flaw
    return Accepted(
        aor=request.aor,
        generation=generation,
        bundle=bundle,
        node_public=request.node_public,
        record=record,
        first=account is None,
        new_node_key=not books.node_key_known,
    )


def _flaw_in_proof(request: Register, expected: Expected) -> Refused | None:
    """Proof of possession: this connection, this server, this overlay, and the node's own signature."""
    if not hmac.compare_digest(request.nonce, expected.nonce):
        return Refused(
            code="unverified", reason="the nonce is not this connection's: a repeated request proves nothing"
        )
    if request.bootstrap != expected.thumbprint:
        return Refused(code="unverified", reason="the request was made for another bootstrap server")
    if request.overlay != expected.overlay:
        return Refused(code="unverified", reason="the request was made for another overlay")
    try:
        request.verify_node()
    except RemoteError as error:
        return Refused(code="unverified", reason=error.reason)
    return None


def _flaw_in_code(request: Register, policy: Policy) -> Refused | None:
    if policy.code and not hmac.compare_digest(request.code.encode(), policy.code.encode()):
        return Refused(code="policy", reason="this overlay asks for an enrolment code, and this is not it")
    return None


def _flaw_in_record(record: LookupRecord, request: Register, generation: int, expected: Expected) -> Refused | None:
    """Check that the lookup record is the sender's, for this name, and of an adapter that others can reach."""
    if record.aor != request.aor or record.bundle != request.bundle:
        return Refused(code="bad", reason="the lookup record is of another name or key")
    if record.generation != generation:
        return Refused(code="bad", reason=f"the lookup record is of another generation than {generation}")
    if record.node_id not in {PENDING_NODE_ID, expected.node_id}:
        return Refused(code="bad", reason="the lookup record names another node than the one that signed")
    if ip_address(record.host).is_loopback and not ip_address(expected.source).is_loopback:
        return Refused(code="bad", reason=f"no other host reaches an adapter at {record.host}: use its LAN address")
    return None


def _over_limit(books: Books, policy: Policy) -> Refused | None:
    if books.account is None and books.names >= MAX_NAMES:
        return Refused(code="policy", reason=f"this server keeps {MAX_NAMES} names at most, and has them")
    if books.names_of_node_key >= MAX_NAMES_PER_NODE_KEY:
        return Refused(code="policy", reason=f"one device holds {MAX_NAMES_PER_NODE_KEY} names at most")
    limit = policy.enrolments_per_day
    if limit and not policy.code and not books.node_key_known and books.new_node_keys >= limit:
        return Refused(code="policy", reason=f"{limit} new devices a day and address at most: try again tomorrow")
    return None
