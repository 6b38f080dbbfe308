"""The users of this adapter as callers know them: name, generation and key, also while a key changes.  I/O: none.

Read afresh by `adapter.calls.door` for each INVITE. A key that was changed a moment ago still answers for a while: a
caller who looked its owner up just before is not turned away for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from adapter.calls.door import LocalUser
from overlay.wire.messages import Party

if TYPE_CHECKING:
    from overlay.trust.identity import PrivateBundle

FORMER_KEY_S: Final = 60.0
"""How long a key answers after it was changed, in seconds."""
_FORMER: Final = "\0former"
"""No user name holds this."""


class LocalUsers(Mapping[str, LocalUser]):
    """By AOR; a former key stands beside the user's own under a name that nobody has."""

    def __init__(
        self, keys: Mapping[str, PrivateBundle], *, generation: Callable[[str], int], clock: Callable[[], float]
    ) -> None:
        """`keys` by AOR; `generation(aor)` is that of the key in use; `clock` gives seconds."""
        self._keys, self._generation, self._clock = dict(keys), generation, clock
        self._former: dict[str, tuple[LocalUser, float]] = {}

    def private(self, aor: str) -> PrivateBundle:
        """Return the keys of a user; KeyError for a stranger."""
        return self._keys[aor]

    def party(self, aor: str) -> Party:
        """Return how callers know a user."""
        return Party(aor=aor, generation=self._generation(aor), thumbprint=self._keys[aor].public.thumbprint())

    def change(self, aor: str, new: PrivateBundle, *, former_generation: int) -> None:
        """Go on with another key."""
        old = self._keys[aor]
        party = Party(aor=aor, generation=former_generation, thumbprint=old.public.thumbprint())
        self._former[aor + _FORMER] = (LocalUser(private=old, party=party), self._clock() + FORMER_KEY_S)
        self._keys[aor] = new

    def __getitem__(self, name: str) -> LocalUser:
        if name in self._keys:
            return LocalUser(private=self._keys[name], party=self.party(name))
        user, until = self._former[name]
        if until <= self._clock():
            raise KeyError(name)
        return user

    def __iter__(self) -> Iterator[str]:
        now = self._clock()
        yield from self._keys
        yield from [name for name, (_, until) in self._former.items() if until > now]

    def __len__(self) -> int:
        return sum(1 for _ in self)
