"""The way from a command to an adapter: one that runs already, or one started in this process.  I/O: both.

A command asks and watches through a :class:`Link` and need not know which it is. An adapter of its own takes an
ephemeral SIP port and leaves the ring when the command ends; a running one is left as it was found.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from adapter.config import Address, Settings, parse_address, parse_user
from adapter.control_client import ControlClient, NoAdapter, Watch
from adapter.listening import UNUSABLE, cannot_listen, try_to_bind
from adapter.problems import Problem
from adapter.service_config import ServiceConfig
from adapter.state import StateDir
from overlay.ring.addresses import (
    LOOPBACK,
    address_towards,
    family_of,
    is_loopback,
    lan_address,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.service import AdapterService
    from adapter.way_in import Show

MAX_EVENTS: Final = 1024
"""Events of an own adapter kept for a command that is busy; the oldest go first."""
Event = dict[str, Any]


class Link(Protocol):
    """An adapter that answers."""

    sip: Address
    """Where phones reach it."""
    host: str
    """The address of this host that phones of it use."""
    users: tuple[str, ...]
    """The names that it serves."""

    async def ask(self, do: str, **fields: str) -> Event:
        """Return the answer to `status`, `lookup` (aor), `ring`, `register`, `rotate` or `revoke` (user)."""

    def events(self) -> AsyncIterator[Event]:
        """Return what the adapter does from the moment of the link on; ends when it goes away. To be called once."""

    async def close(self) -> None:
        """Let go of it."""


class RunningAdapter:
    """The adapter that holds the state directory, through its control socket."""

    def __init__(self, client: ControlClient, watch: Watch, *, sip: Address, users: tuple[str, ...]) -> None:
        self._client = client
        self._watch = watch
        self.sip = sip
        self.host = sip[0]
        self.users = users

    @classmethod
    async def connect(cls, state: StateDir) -> Self:
        """Reach the adapter that runs on `state`. Raises NoAdapter."""
        client = await ControlClient.connect(state.socket_path)
        try:
            status = await client.ask("status")
            watch = await client.watch()
        except BaseException:
            await client.close()
            raise
        sip = parse_address(str(status["sip"]), default_port=0)
        users = tuple(str(row["user"]) for row in status["users"])
        return cls(client, watch, sip=sip, users=users)

    async def ask(self, do: str, **fields: str) -> Event:
        """Put the question to the control socket."""
        return await self._client.ask(do, **fields)

    def events(self) -> AsyncIterator[Event]:
        """Return the stream of the control socket."""
        return aiter(self._watch)

    async def close(self) -> None:
        """Hang up; the adapter runs on."""
        await self._watch.close()
        await self._client.close()


class OwnAdapter:
    """An adapter that lives as long as this command."""

    def __init__(self, service: AdapterService, queue: asyncio.Queue[Event]) -> None:
        self._service = service
        self._queue = queue
        self.sip: Address = service.sip_address
        self.host = self.sip[0]
        self.users = tuple(service.users)

    @classmethod
    async def start(cls, config: ServiceConfig) -> Self:
        """Start the adapter and wait until it serves. Raises what the service raises."""
        # here and not above: who asks a running adapter does not wait for the import of a whole one
        from adapter.service import AdapterService  # noqa: PLC0415

        queue: asyncio.Queue[Event] = asyncio.Queue(MAX_EVENTS)

        def emit(event: Event) -> None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

        service = AdapterService(config, emit=emit)
        try:
            await service.start()
        except OSError as error:
            raise explain_bind(config, error) from error
        return cls(service, queue)

    async def ask(self, do: str, **fields: str) -> Event:
        """Call the service."""
        match do:
            case "status":
                return await self._service.status()
            case "lookup":
                return await self._service.lookup(fields["aor"])
            case "ring":
                return await self._service.ring()
            case "register":
                await self._service.register(fields["user"])
                return {}
            case "rotate":
                return await self._service.rotate(fields["user"])
            case "revoke":
                return await self._service.revoke(fields["user"])
        raise Problem(f"the adapter cannot {do}")

    async def events(self) -> AsyncIterator[Event]:
        """Yield what the service emits, as long as somebody asks."""
        while True:
            yield await self._queue.get()

    async def close(self) -> None:
        """Leave the ring."""
        await self._service.stop()


async def open_link(settings: Settings, user: str, show: Show) -> Link:
    """Return the adapter that runs on the state directory, or one of our own; it serves `user`.

    `show` hears of the bootstrap server where one had to be found. Raises Problem when there is neither a running
    adapter nor a way to start one.
    """
    state = StateDir(settings.state_dir)
    with contextlib.suppress(NoAdapter):
        running = await RunningAdapter.connect(state)
        if user in running.users:
            return running
        await running.close()
        hint = f"it serves {', '.join(running.users)}: name one of them with --user, or give {user} another --state DIR"
        raise Problem(f"the adapter that runs on {state.path} does not serve {user}", hint=hint)
    return await _start_own(settings, user, show)


async def ask_once(settings: Settings, do: str, show: Show, **fields: str) -> Event:
    """Return one answer, from the adapter that runs, whomever it serves, or from one started for this question."""
    async with asking(settings, show) as link:
        return await link.ask(do, **fields)


@contextlib.asynccontextmanager
async def asking(settings: Settings, show: Show) -> AsyncIterator[Link]:
    """Return an adapter for some questions, as ask_once does for one."""
    state = StateDir(settings.state_dir)
    link: Link
    try:
        link = await RunningAdapter.connect(state)
    except NoAdapter:
        user = choose_user(settings)
        link = await _start_own(settings, user, show)
        try:
            await link.ask("register", user=user)  # quick where it is registered already
        except BaseException:
            await link.close()
            raise
    try:
        yield link
    finally:
        await link.close()


async def _start_own(settings: Settings, user: str, show: Show) -> OwnAdapter:
    from adapter.way_in import find_way_in  # noqa: PLC0415 -- as the service itself

    settings = await find_way_in(settings, (user,), show)
    return await OwnAdapter.start(service_config(settings, (user,), sip_port=0))


def service_config(settings: Settings, users: tuple[str, ...], *, sip_port: int) -> ServiceConfig:
    """Return what the service is started with; without addresses in the settings it takes this host's own."""
    host = own_host(settings, StateDir(settings.state_dir), users)
    return ServiceConfig(
        users=users,
        state_dir=settings.state_dir,
        bootstrap=settings.bootstrap,
        sip=settings.sip or (phones_host(host), sip_port),
        ring=settings.ring or (host, 0),
        other_ring=settings.other_ring,
        overlay_key=settings.overlay_key,
        accept=settings.accept,
        code=settings.code,
        phones=settings.phones,
        limits=settings.limits,
    )


def explain_bind(config: ServiceConfig, error: OSError) -> Exception:
    """Return the error to show for a socket that could not be opened."""
    if error.filename is not None or error.errno not in UNUSABLE:
        return error  # a file's error names the file
    rings = [config.ring] if config.other_ring is None else [config.ring, config.other_ring]
    tried = [("--sip", config.sip), *(("--ring", address) for address in rings)]
    option, address = next(((option, address) for option, address in tried if not _can_bind(address)), tried[-1])
    return cannot_listen(option, address, error)


def _can_bind(address: Address) -> bool:
    try:
        try_to_bind(address)
    except OSError:
        return False
    return True


def own_host(settings: Settings, state: StateDir, users: tuple[str, ...]) -> str:
    """Return this host's address on the way to the bootstrap server, else to a node of the ring, else its LAN address.

    A bootstrap server or a ring on 127.0.0.1 means a trial on one machine: everything stays on that address then.
    """
    if settings.sip is not None:
        return settings.sip[0]
    others = [] if settings.bootstrap is None else [settings.bootstrap[0]]
    if not others:
        enrolments = [enrolment for user in users if (enrolment := state.load_enrolment(user)) is not None]
        others = [node.host for enrolment in enrolments for node in enrolment.nodes[:1]]
    towards = address_towards(others[0]) if others else None
    return towards or lan_address().host


def phones_host(host: str) -> str:
    """Return where phones reach this machine, given where nodes do: many phones speak IPv4 alone, ours among them."""
    if family_of(host) == socket.AF_INET:
        return host
    found = LOOPBACK if is_loopback(host) else lan_address().host
    return found if family_of(found) == socket.AF_INET and is_loopback(found) == is_loopback(host) else host


def users_here(state: StateDir) -> tuple[str, ...]:
    """Return the users that are registered from here, else those with keys: a name that was refused is nobody's."""
    known = state.users()
    return tuple(user for user in known if state.load_enrolment(user) is not None) or known


def choose_user(settings: Settings, *, environment: str | None = None) -> str:
    """Return who acts: the one of --user, else the only one known here, else $USER where that is a name."""
    state = StateDir(settings.state_dir)
    named = settings.users or users_here(state)
    if len(named) == 1:
        return named[0]
    if named:
        hint = f"choose one with --user: {', '.join(named)}"
        raise Problem(f"{len(named)} users are known on {state.path}", hint=hint, code="usage")
    try:
        return parse_user(environment if environment is not None else os.environ.get("USER", ""))
    except Problem:
        raise Problem("no user is named", hint="choose your name with --user NAME", code="usage") from None
