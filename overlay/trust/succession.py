"""How a new key follows an old one: the old key's own word on it, and chains of such words.  I/O: none.

A user who changes his key signs the new bundle with the old one. Whoever held to the old key (a pin) can then follow to
the new one and trust nobody for it; a key that nothing leads to is a stranger's. The bootstrap takes a new key for a
name only with such a word, and the lookup record carries the last ones, so that a reader who missed a change or two
still finds his way. The paper has no changes of keys [paper §II.B]; a name released by the operator starts a new chain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import BUNDLE_BYTES, SIGNATURE_BYTES, KeyBundle, PrivateBundle, is_aor
from overlay.trust.signed import MAX_GENERATION, UNSIGNED, Signed, check_bundle, check_int

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND_GENERATION: Final = 2
"""The first that can follow another."""
LINK_BYTES: Final = BUNDLE_BYTES + SIGNATURE_BYTES
"""A link of a chain: the old bundle, then its signature; the rest follows from the record that carries the chain."""
MAX_LINKS: Final = 3
"""Links that a lookup record carries: who missed more changes than that has to verify the new key by himself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession(Signed):
    """The old key's word: from this generation on, that bundle is mine."""

    KIND: ClassVar[int] = 7
    NAME: ClassVar[str] = "succession"

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the new bundle, 2 or more; the old one's is one less."""
    old_bundle: bytes
    """64 bytes: the bundle that signs this."""
    new_bundle: bytes
    """64 bytes: the bundle that follows it."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, SECOND_GENERATION, MAX_GENERATION)
        check_bundle("old_bundle", self.old_bundle)
        check_bundle("new_bundle", self.new_bundle)
        if self.old_bundle == self.new_bundle:
            raise LocalError("a key does not follow itself")
        self.check_signature_field()

    @classmethod
    def issue(cls, old: PrivateBundle, *, aor: str, generation: int, new: KeyBundle) -> Self:
        """Sign `new` as generation `generation` of `aor` with the key of the generation before."""
        blank = cls(
            aor=aor,
            generation=generation,
            old_bundle=old.public.encode(),
            new_bundle=new.encode(),
            signature=UNSIGNED,
        )
        return replace(blank, signature=old.sign(cls.domain(), blank.signed_bytes()))

    def verify(self) -> None:
        """RemoteError unless the old bundle signed this; whether that was the user's is for the reader to know."""
        KeyBundle.decode(self.new_bundle)
        if not KeyBundle.decode(self.old_bundle).verify(self.domain(), self.signed_bytes(), self.signature):
            raise RemoteError("succession not signed by the old key")

    @property
    def old_thumbprint(self) -> bytes:
        """The 16 bytes that name the old bundle."""
        return KeyBundle.decode(self.old_bundle).thumbprint()

    @property
    def new_thumbprint(self) -> bytes:
        """The 16 bytes that name the new bundle."""
        return KeyBundle.decode(self.new_bundle).thumbprint()


def check_chain(data: object) -> None:
    """LocalError unless these bytes have the form of a chain of 0 to MAX_LINKS links."""
    if type(data) is not bytes or len(data) % LINK_BYTES or len(data) > MAX_LINKS * LINK_BYTES:
        raise LocalError(f"a chain has at most {MAX_LINKS} links of {LINK_BYTES} bytes")


def encode_chain(successions: Sequence[Succession]) -> bytes:
    """Return the links of successions, oldest first, each following the one before; the newest MAX_LINKS are taken.

    LocalError when one does not follow the one before.
    """
    for before, after in pairwise(successions):
        if (before.aor, before.generation + 1, before.new_bundle) != (after.aor, after.generation, after.old_bundle):
            raise LocalError("a chain's links follow each other")
    return b"".join(link.old_bundle + link.signature for link in successions[-MAX_LINKS:])


def decode_chain(data: bytes, *, aor: str, generation: int, bundle: bytes) -> tuple[Succession, ...]:
    """Return the successions that lead to `bundle`, the `generation`-th of `aor`, oldest first; none is verified yet.

    RemoteError when the bytes are no such chain.
    """
    try:
        check_chain(data)
        links: list[Succession] = []
        new = bundle
        for end in range(len(data), 0, -LINK_BYTES):
            link = data[end - LINK_BYTES : end]
            old = link[:BUNDLE_BYTES]
            links.append(
                Succession(
                    aor=aor,
                    generation=generation - len(links),
                    old_bundle=old,
                    new_bundle=new,
                    signature=link[BUNDLE_BYTES:],
                )
            )
            new = old
    except LocalError as error:
        raise RemoteError(error.reason) from None
    return tuple(reversed(links))


def leads_from(successions: Sequence[Succession], thumbprint: bytes) -> tuple[Succession, ...]:
    """Return the part of a chain (oldest first) that begins at the key of that thumbprint (16 bytes); none: empty.

    A pin of the key follows to the last link's new bundle exactly when this is not empty and every link verifies:
    RemoteError when one of the part's links does not.
    """
    for number, link in enumerate(successions):
        if link.old_thumbprint == thumbprint:
            part = tuple(successions[number:])
            for each in part:
                each.verify()
            return part
    return ()
