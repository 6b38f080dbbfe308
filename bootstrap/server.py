"""The bootstrap server: a TCP port for first registrations, and a node of the ring on UDP under the same number.

I/O: tcp, dht, files. The one central entity of the overlay [paper §II.A]: needed for a name's first registration and
for renewals, for nothing else. It keeps its keys and books in one directory, which one server at a time may use.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootstrap.accounts import Accounts, OverlayFacts
from bootstrap.admission import Policy
from bootstrap.desk import Desk
from bootstrap.dialog import STEP_TIMEOUT_S, Counter
from bootstrap.door import Door
from bootstrap.keys import ACCOUNTS_FILE, load_or_create
from bootstrap.problems import UsageProblem
from overlay.errors import LocalError, Secp2psipError
from overlay.ring.addresses import family_of, socket_address
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import id_from_bytes
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.ring.store_of_ring import StoreOfRing
from overlay.ring.two_rings import TwoRings
from overlay.wire.codec import MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootstrap.dialog import Report
    from overlay.ring.ids import Peer, RingId

RING_FILE: Final = "ring.sqlite"
LOCK_FILE: Final = "lock"
RENEW_EVERY_S: Final = 86_400
BURY_EVERY_S: Final = 5.0
"""How soon the ring hears of a key that the operator revoked."""
PORT_TRIES: Final = 16
"""With port 0, one number must be free for both TCP and UDP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What the operator asked for."""

    host: str
    """IP literal that the others reach this server at, with its scope where it is of one link."""
    port: int
    """For TCP and UDP alike; 0: any that is free."""
    other_host: str = ""
    """The same in the other family, where the server is to be in both rings; the port is the same."""
    data: Path
    """Directory of keys and books; made if need be."""
    facts: OverlayFacts
    policy: Policy = field(default_factory=Policy)
    step_timeout_s: float = STEP_TIMEOUT_S


class BootstrapServer:
    """One running server. `open`, then `close`."""

    def __init__(self, config: ServerConfig, *, report: Report, clock: Callable[[], float] = time.time) -> None:
        """`report` takes every event as a dict with the member `event`; `clock` gives seconds since 1970."""
        self._config, self._report, self._clock = config, report, clock
        self._closing = contextlib.AsyncExitStack()
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._names: dict[RingId, set[str]] = {}
        self._desk: Desk
        self._ring: KademliaRing | TwoRings
        self.address: tuple[str, int] = (config.host, config.port)
        """Where it listens, TCP and UDP; the real port once it is open. See also `addresses`."""
        self.fingerprint = ""
        """Thumbprint of the overlay key, 32 hexadecimal digits: what adapters pin."""

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, in one family or in both."""
        hosts = [self._config.host, *filter(None, [self._config.other_host])]
        return [(host, self.address[1]) for host in hosts]

    async def open(self) -> None:
        """Read or make keys and books, find or begin the ring, and listen.

        LocalError when the directory or the address cannot be used; OSError when the port is taken.
        """
        try:
            await self._open()
        except sqlite3.Error as error:
            await self._closing.aclose()
            raise LocalError(f"{self._config.data} cannot be used: {error}") from None
        except BaseException:
            await self._closing.aclose()
            raise
        self._report(
            {
                "event": "ready",
                "host": self.address[0],
                "port": self.address[1],
                **({"other_host": self._config.other_host} if self._config.other_host else {}),
                "overlay": self._config.facts.name,
                "fingerprint": self.fingerprint,
                "k": self._config.facts.k,
                "n": self._config.facts.n,
            }
        )

    async def close(self) -> None:
        """Finish the dialogs or end them, hand what the ring node holds to the others, and close everything."""
        await self._closing.aclose()
        self._report({"event": "stopped"})

    @property
    def ring(self) -> KademliaRing | TwoRings:
        """The server's own ring node."""
        return self._ring

    def members(self) -> list[tuple[Peer, tuple[str, ...]]]:
        """Return the living nodes in order of id, this one among them, each with the names registered from it."""
        nodes = sorted([self._ring.me, *self._ring.peers()])
        return [(node, tuple(sorted(self._names.get(node.id, ())))) for node in nodes]

    async def _open(self) -> None:
        config = self._config
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._closing.callback(_lock(config.data / LOCK_FILE))
        keys = load_or_create(config.data)
        accounts = Accounts(config.data / ACCOUNTS_FILE)
        self._desk = Desk(accounts, keys, config.facts, config.policy)
        self._closing.push_async_callback(self._desk.close)
        accounts.fix_overlay(config.facts)
        self.fingerprint = keys.overlay.public.thumbprint().hex()
        for row in await self._desk.names():
            self._named(id_from_bytes(keys.node_id(row.node_public)), row.aor)
        ports = await self._open_ring()
        await self._find_ring()
        counter = Counter(
            desk=self._desk,
            ring=self._ring,
            certificate=self._desk.certificate(self._clock()).encode(),
            report=self._observe,
            clock=self._clock,
            bury=self._bury,
            step_timeout_s=config.step_timeout_s,
        )
        door = Door(counter)
        self._closing.push_async_callback(door.close)
        for port in ports:
            listener = await asyncio.start_server(door.connected, sock=port, limit=MAX_LINE_BYTES)
            self._closing.callback(listener.close)

    async def _open_ring(self) -> list[socket.socket]:
        """Take one port number for TCP and UDP, open the ring node there and return the TCP sockets, one a family."""
        wanted = self._config.port
        for attempt in range(1, PORT_TRIES + 1):
            async with contextlib.AsyncExitStack() as undo:
                self.address = (self._config.host, wanted)
                store = RecordStore(self._config.data / RING_FILE)
                undo.callback(store.close)
                ports: list[socket.socket] = []
                rings: list[KademliaRing] = []
                try:
                    for host, _ in self.addresses:
                        ports.append(_bind_tcp(host, self.address[1]))
                        # closed here if nothing listens on it in the end; closing it twice does no harm
                        undo.callback(ports[-1].close)
                        self.address = (self._config.host, ports[-1].getsockname()[1])
                        rings.append(self._new_ring(StoreOfRing(store, host) if self._config.other_host else store))
                        undo.push_async_callback(rings[-1].close)
                        await rings[-1].open(host, self.address[1])
                except OSError as error:
                    if wanted or error.errno != errno.EADDRINUSE or attempt == PORT_TRIES:
                        raise
                    continue
                self._ring = rings[0] if len(rings) == 1 else TwoRings(*rings)
                self._closing.push_async_callback(undo.pop_all().aclose)
                self._closing.push_async_callback(self._leave_ring)
                return ports
        raise LocalError("no port number is free for both TCP and UDP")

    def _new_ring(self, store: RecordStore) -> KademliaRing:
        dealing_public = self._desk.keys.dealing.public
        return KademliaRing(self._identity(), store, dealing_public=dealing_public, clock=self._clock)

    def _identity(self) -> RingIdentity:
        keys, overlay = self._desk.keys, self._config.facts.name
        return RingIdentity(
            node_key=keys.node,
            credential=keys.credential(keys.node.public, overlay=overlay, now=self._clock()),
            overlay=overlay,
            overlay_public=keys.overlay.public.ed25519,
        )

    async def _find_ring(self) -> None:
        """Join through the nodes of the last run; begin a ring of one where none of them lives."""
        contacts = [peer for peer in await self._desk.peers() if peer.id != self._ring.me.id]
        try:
            await self._ring.join(contacts)
        except RingUnreachable:
            await self._ring.join([])
        for ring in self._ring.views:
            ring.on_change = self._ring_changed
        self._tasks.append(asyncio.get_running_loop().create_task(self._renew()))
        self._tasks.append(asyncio.get_running_loop().create_task(self._bury_by_and_by()))

    async def _renew(self) -> None:
        """Give our own node a fresh credential every day: the old one expires while the server runs on."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            self._ring.renew(self._identity())

    async def _bury_by_and_by(self) -> None:
        """Look from time to time for keys that the operator revoked with a command beside this server."""
        while True:
            await asyncio.sleep(BURY_EVERY_S)
            await self._bury()

    async def _bury(self) -> None:
        """Bring to every holder of a revoked key its tombstone; what nobody takes is tried again later."""
        for tombstone in await self._desk.untold():
            try:
                kept = await self._ring.bury(tombstone)
            except Secp2psipError as error:
                # the books have it, and that is what the owner is told: the ring is for the next time
                self._report({"event": "warning", "text": f"no node heard yet that a key is revoked: {error}"})
                continue
            if kept:
                await self._desk.told(tombstone)
                self._report({"event": "revoked", "aor": tombstone.aor, "holders": len(kept)})

    async def _leave_ring(self) -> None:
        for ring in self._ring.views:
            ring.on_change = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._keeping is not None:
            await self._keeping
        await self._keep_peers()
        await self._ring.leave()

    def _ring_changed(self, _peers: frozenset[Peer]) -> None:
        self._report({"event": "ring", "nodes": self._ring.size()})
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._keep_peers())

    async def _keep_peers(self) -> None:
        # an empty list is not written: the ring may be back before this server is
        if peers := self._ring.seeds():
            # the books have one row for a node: of one that is in both rings, the first that was named
            await self._desk.keep_peers(list({peer.id: peer for peer in reversed(peers)}.values())[::-1])

    def _observe(self, event: dict[str, object]) -> None:
        """Pass an event of a dialog on, and keep the table of members by it."""
        if event["event"] == "registered":
            self._named(id_from_bytes(bytes.fromhex(str(event["node"]))), str(event["aor"]))
        self._report(event)

    def _named(self, node: RingId, aor: str) -> None:
        for names in self._names.values():
            names.discard(aor)
        self._names.setdefault(node, set()).add(aor)


def _bind_tcp(host: str, port: int) -> socket.socket:
    """Return a TCP socket at that address that does not listen yet."""
    found = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(socket_address((host, port)))
    except OSError:
        found.close()
        raise
    return found


def _lock(path: Path) -> Callable[[], None]:
    """Take a data directory for this process and return what gives it back; the lock goes with the process anyway."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        hint = "end that one first, or choose another directory with --data DIR"
        raise UsageProblem(f"another bootstrap server uses {path.parent}", hint=hint) from None
    return lambda: os.close(fd)
