"""The end of a key: its owner's, or the overlay key's, word that nobody may believe it any more.  I/O: none.

Who loses a device loses the keys on it. A tombstone names one bundle of one generation and is signed by that very
bundle, or by the overlay key for an owner who has nothing left to sign with. It takes nothing but that key away: a
thief who signs one harms himself, and a holder cannot make one up. It has no expiry of its own; a holder keeps it for
as long as pieces of the key could come back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import KeyBundle, PrivateBundle, is_aor, verify
from overlay.trust.signed import MAX_GENERATION, MAX_TIME_S, UNSIGNED, Signed, check_bundle, check_int, check_overlay


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone(Signed):
    """This key of this name is revoked."""

    KIND: ClassVar[int] = 8
    NAME: ClassVar[str] = "tombstone"

    overlay: str
    """Name of the overlay."""
    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle."""
    bundle: bytes
    """64 bytes: the bundle that is revoked."""
    issued_at: int
    """Seconds since 1970, by the signer's clock; for people to read."""

    def __post_init__(self) -> None:
        check_overlay(self.overlay)
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        check_bundle("bundle", self.bundle)
        check_int("issued_at", self.issued_at, 0, MAX_TIME_S)
        self.check_signature_field()

    @classmethod
    def issue(
        cls, signer: PrivateBundle, *, overlay: str, aor: str, generation: int, bundle: KeyBundle, issued_at: int
    ) -> Self:
        """Revoke `bundle`; `signer` is its own private half, or the overlay key."""
        blank = cls(
            overlay=overlay,
            aor=aor,
            generation=generation,
            bundle=bundle.encode(),
            issued_at=issued_at,
            signature=UNSIGNED,
        )
        return replace(blank, signature=signer.sign(cls.domain(), blank.signed_bytes()))

    def verify(self, *, overlay: str, overlay_public: bytes) -> None:
        """RemoteError unless the bundle itself or the overlay key (32 bytes, Ed25519) signed this for that overlay."""
        if self.overlay != overlay:
            raise RemoteError("tombstone of another overlay")
        bundle = KeyBundle.decode(self.bundle)
        said = self.domain(), self.signed_bytes(), self.signature
        if not bundle.verify(*said) and not verify(overlay_public, *said):
            raise RemoteError("tombstone signed by neither its own key nor the overlay key")

    @property
    def thumbprint(self) -> bytes:
        """The 16 bytes that name the bundle."""
        return KeyBundle.decode(self.bundle).thumbprint()
