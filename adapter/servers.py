"""Where to ask for a registration: the server that was told, else the one of last time, else one that is found.

An adapter that was started without an address still renews what it has for months: the address is remembered with each
registration, and where nobody answers there any more the network is asked, as at the first start. Every one of them has
to show the overlay key known here; without a known key nobody but who was told is asked.

I/O: multicast DNS, files.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from adapter.discovery import find_bootstrap, interface_of
from adapter.enrolment import EnrolmentFailed
from adapter.problems import DamagedFile, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapter.enrolment import Enrolment
    from adapter.service_config import ServiceConfig
    from adapter.state import StateDir

Address = tuple[str, int]


class NotRegistered(Problem):
    """A user is not registered and cannot be now; the sentence says why."""

    code = "not_registered"


class Servers:
    """The bootstrap servers that one device may ask, in the order of asking."""

    def __init__(self, config: ServiceConfig, state: StateDir) -> None:
        self._config, self._state = config, state

    async def first(self, user: str, ask: Callable[[Address], Awaitable[Enrolment]], *, pin: bytes | None) -> Enrolment:
        """Return what the first server gives that answers with the right key, and remember where it listens.

        `ask` asks one of them; `pin` is the thumbprint of the known overlay key. Raises NotRegistered without a server
        to ask, EnrolmentRefused, EnrolmentFailed.
        """
        last = self._config.bootstrap or (self._remembered() if pin is not None else None)
        failed: EnrolmentFailed | None = None
        if last is not None:
            try:
                return await self._asked(last, ask)
            except EnrolmentFailed as error:
                failed = error
        if self._config.bootstrap is None and pin is not None:
            with contextlib.suppress(Problem):
                found = await find_bootstrap(pins={pin}, interfaces=interface_of(self._config.sip))
                if (found.host, found.port) != last:
                    return await self._asked((found.host, found.port), ask)
        if failed is not None:
            raise failed
        raise NotRegistered(
            f"{user} is not registered yet and no bootstrap server is known", hint="give --bootstrap HOST:PORT"
        )

    async def _asked(self, address: Address, ask: Callable[[Address], Awaitable[Enrolment]]) -> Enrolment:
        enrolment = await ask(address)
        with contextlib.suppress(OSError):  # a full disk is no reason to throw a registration away
            if self._remembered() != address:
                self._state.save_server(address)
        return enrolment

    def _remembered(self) -> Address | None:
        with contextlib.suppress(DamagedFile):  # a cache is not worth a failure
            return self._state.load_server()
        return None
