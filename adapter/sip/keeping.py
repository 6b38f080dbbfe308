"""Carries registrations between the registrar's memory and their file.  I/O: files, the event loop's timer.

Written a moment after the change and not with it: a house of phones that registers at once is one write.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from adapter.sip.registrations import Kept, Registrations

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.sip.binding import Binding
    from adapter.sip.registrar import Registrar

DELAY_S: Final = 0.25


class Keeping:
    """Keeps one registrar's bindings on disk."""

    def __init__(
        self,
        file: Registrations,
        registrar: Registrar,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`clock` is the registrar's, `wall` gives seconds since the epoch."""
        self._file, self._registrar, self._clock, self._wall = file, registrar, clock, wall
        self._timer: asyncio.TimerHandle | None = None

    def open(self, serves: Callable[[str], bool]) -> int:
        """Open the file and take back every binding in it of a user still served; return how many."""
        now, wall = self._clock(), self._wall()
        return sum(
            self._registrar.restore(user, kept, kept.expires_at - wall, now)
            for user, rows in self._file.open().load().items()
            if serves(user)
            for kept in rows
        )

    def note(self) -> None:
        """Write soon, if anything has changed."""
        if self._timer is None and self._registrar.has_changed():
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self._write)

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._timer is not None:
            self._timer.cancel()
        self._write()
        self._file.close()

    def _write(self) -> None:
        self._timer = None
        offset = self._wall() - self._clock()
        if changed := self._registrar.changed():
            self._file.save({user: [_kept(binding, offset) for binding in rows] for user, rows in changed.items()})


def _kept(binding: Binding, offset: float) -> Kept:
    return Kept(
        contact=binding.contact.echo,
        source=binding.source,
        is_connected=bool(binding.connection),
        call_id=binding.call_id,
        cseq=binding.cseq,
        expires_at=binding.expires_at + offset,
    )
