"""What a user signs for the ring: where his adapter is, and which holder may drop a piece.  I/O: none.

The lookup record (AOR -> adapter contact) lies beside every piece [paper §II.B]. The paper leaves it unsigned, and then
re-routing a call needs no piece at all; here the key that was rebuilt from the pieces must verify it. The records that
the bootstrap signs stand in `credentials` and `share_list` and are named here too, so that one import finds them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.credentials import NODE_ID_BYTES, SALT_BYTES, DealingCertificate, NodeCredential
from overlay.trust.identity import KeyBundle, PrivateBundle, is_aor
from overlay.trust.shamir import MAX_PIECES
from overlay.trust.share_list import ShareList
from overlay.trust.signed import (
    CLOCK_SKEW_S,
    MAX_GENERATION,
    MAX_PORT,
    MAX_RECORD_BYTES,
    MAX_SEQUENCE,
    UNSIGNED,
    Signed,
    check_bundle,
    check_bytes,
    check_host,
    check_int,
    check_live,
    check_times,
)
from overlay.trust.succession import Succession, check_chain, decode_chain

__all__ = [
    "MAX_RECORD_BYTES",
    "MAX_RECORD_LIFETIME_S",
    "NODE_ID_BYTES",
    "PENDING_NODE_ID",
    "SALT_BYTES",
    "DealingCertificate",
    "LookupRecord",
    "NodeCredential",
    "Release",
    "ShareList",
    "Succession",
]

MAX_RECORD_LIFETIME_S: Final = 3600
"""A lookup record lives 10 minutes as a rule and an hour at most: an address is soft state."""
PENDING_NODE_ID: Final = bytes(NODE_ID_BYTES)
"""Stands in a first registration's record, when the bootstrap has not told the adapter its ring id yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupRecord(Signed):
    """Where a user's adapter is reached, in the user's own hand [paper §II.B]."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "lookup record"

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle, 1 or more."""
    bundle: bytes
    """64 bytes: the user's key bundle, so that the record proves itself."""
    node_id: bytes
    """20 bytes: ring id of the adapter's node, or PENDING_NODE_ID."""
    host: str
    """IP literal of the adapter."""
    port: int
    """UDP port of the adapter's ring node."""
    sequence: int
    """Grows with every change; the highest that verifies wins."""
    issued_at: int
    """Seconds since 1970."""
    expires_at: int
    """Seconds since 1970, at most MAX_RECORD_LIFETIME_S later."""
    succession: bytes = b""
    """The links that lead from earlier keys to this one, oldest first; empty where nothing does (`succession`)."""

    def __post_init__(self) -> None:
        _check_name(self.aor, self.generation)
        check_bundle("bundle", self.bundle)
        check_bytes("node_id", self.node_id, NODE_ID_BYTES)
        check_host(self.host)
        check_int("port", self.port, 1, MAX_PORT)
        check_int("sequence", self.sequence, 0, MAX_SEQUENCE)
        check_times(self.issued_at, self.expires_at)
        check_chain(self.succession)
        self.check_signature_field()

    @classmethod
    def issue(
        cls,
        private: PrivateBundle,
        *,
        aor: str,
        generation: int,
        node_id: bytes,
        host: str,
        port: int,
        sequence: int,
        issued_at: int,
        expires_at: int,
        succession: bytes = b"",
    ) -> Self:
        """Sign a record with the user's key; its bundle is the public half of `private`."""
        blank = cls(
            aor=aor,
            generation=generation,
            bundle=private.public.encode(),
            node_id=node_id,
            host=host,
            port=port,
            sequence=sequence,
            issued_at=issued_at,
            expires_at=expires_at,
            succession=succession,
            signature=UNSIGNED,
        )
        return replace(blank, signature=private.sign(cls.domain(), blank.signed_bytes()))

    def verify(self, *, now: float) -> None:
        """RemoteError unless the bundle inside signed this record and it counts now.

        Whether that bundle is the user's is another question: the caller compares it with the one rebuilt from pieces.
        """
        check_live(
            "lookup record",
            issued_at=self.issued_at,
            expires_at=self.counts_until,
            max_lifetime_s=MAX_RECORD_LIFETIME_S + CLOCK_SKEW_S,
            now=now,
        )
        if not self.is_signed_by_own_key():
            raise RemoteError("lookup record not signed by its own key")
        for link in self.successions():
            link.verify()

    def is_signed_by_own_key(self) -> bool:
        """Tell whether the bundle inside signed this record, whether it counts now or not."""
        return KeyBundle.decode(self.bundle).verify(self.domain(), self.signed_bytes(), self.signature)

    @property
    def counts_until(self) -> int:
        """When a reader or holder drops it, by a clock of his own: seconds since 1970, CLOCK_SKEW_S past the expiry."""
        return self.expires_at + CLOCK_SKEW_S

    def successions(self) -> tuple[Succession, ...]:
        """Return the successions that lead to this record's key, oldest first; `verify` looks at their signatures."""
        return decode_chain(self.succession, aor=self.aor, generation=self.generation, bundle=self.bundle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Signed):
    """The owner's leave for one holder, by name, to drop pieces that lie elsewhere now."""

    KIND: ClassVar[int] = 5
    NAME: ClassVar[str] = "release"

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the pieces."""
    node_id: bytes
    """20 bytes: the one holder that may act on it."""
    indices: tuple[int, ...]
    """Pieces to drop: ascending, distinct, 1 to MAX_PIECES of them."""
    sequence: int
    """Grows with every release, so that an old one cannot be played again after the piece came back."""

    def __post_init__(self) -> None:
        _check_name(self.aor, self.generation)
        check_bytes("node_id", self.node_id, NODE_ID_BYTES)
        if type(self.indices) is not tuple or not 1 <= len(self.indices) <= MAX_PIECES:
            raise LocalError(f"a release names 1 to {MAX_PIECES} pieces")
        for index in self.indices:
            check_int("index", index, 1, MAX_PIECES)
        if list(self.indices) != sorted(set(self.indices)):
            raise LocalError("a release names its pieces once and in order")
        check_int("sequence", self.sequence, 0, MAX_SEQUENCE)
        self.check_signature_field()

    @classmethod
    def issue(
        cls,
        private: PrivateBundle,
        *,
        aor: str,
        generation: int,
        node_id: bytes,
        indices: tuple[int, ...],
        sequence: int,
    ) -> Self:
        """Sign a release with the owner's key; the indices may come in any order."""
        blank = cls(
            aor=aor,
            generation=generation,
            node_id=node_id,
            indices=tuple(sorted(set(indices))),
            sequence=sequence,
            signature=UNSIGNED,
        )
        return replace(blank, signature=private.sign(cls.domain(), blank.signed_bytes()))

    def verify(self, bundle: KeyBundle) -> None:
        """RemoteError unless the owner of that bundle signed this release."""
        if not bundle.verify(self.domain(), self.signed_bytes(), self.signature):
            raise RemoteError("release not signed by the owner")


def _check_name(aor: object, generation: object) -> None:
    if not is_aor(aor):
        raise LocalError("aor is a user name in its one spelling")
    check_int("generation", generation, 1, MAX_GENERATION)
