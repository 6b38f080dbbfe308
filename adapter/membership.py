"""The device's place on the ring: enrol its users, join, keep their pieces in place.  I/O: udp, tcp, dht, files.

One ring node serves every user of the device.  A user is *registered* when the state directory holds an enrolment for
him that has not expired; from then on the bootstrap server is not asked again until something is due for renewal
[paper §II.B] [docs/architecture.md].  The node joins at start if anybody is registered, else with the first
registration.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from adapter.device_node import DeviceNode
from adapter.key_change import is_pending, next_key, promote
from adapter.key_moving import load_place
from adapter.liars import Liars
from adapter.listening import try_to_bind
from adapter.pins import Pins
from adapter.registering import Place, ask_bootstrap, read_back
from adapter.renewal import expires_at, is_due, word_of_failure
from adapter.revocation import Revocations
from adapter.servers import NotRegistered, Servers
from adapter.two_upkeeps import upkeep_in
from overlay.errors import Secp2psipError
from overlay.ring.tasks import Tasks
from overlay.trust.succession import Succession, decode_chain, encode_chain

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.directory import Directory
    from adapter.enrolment import Enrolment
    from adapter.keystore import Keys
    from adapter.recent import RecentProofs
    from adapter.service_config import ServiceConfig
    from adapter.state import StateDir
    from adapter.steps import Step
    from adapter.two_directories import TwoDirectories
    from adapter.two_upkeeps import TwoUpkeeps
    from adapter.upkeep import Upkeep
    from overlay.ring.holding import Evidence as Contradiction
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.ring.two_rings import TwoRings
    from overlay.trust.identity import PrivateBundle


RENEW_RETRY_S: Final = 3_600
"""How long after a failed renewal the next one is tried."""
REJOIN_EVERY_S: Final = 3
"""How often a node that knows nobody tries those it knew."""
NEWS_PAUSE_S: Final = 0.5
"""From one look at changes of the ring to the next: who is killed right after it came knows whom to come back by."""
PEERS_KEPT_EVERY_S: Final = 30
"""How often the nodes to join through are looked at where nothing changes, to write down what waits."""
FIRST_WORD_S: Final = 3.0
"""How long a change of a key waits at most for the holders to have the new key's record, in seconds."""


class Membership:
    """The one ring node of this device, and the registered state of each of its users."""

    def __init__(
        self,
        config: ServiceConfig,
        state: StateDir,
        keys: dict[str, Keys],
        *,
        on_line: Callable[[Peer, bytes], None],
        warn: Callable[[str, str], None],
        on_key: Callable[[str, PrivateBundle, int], None] = lambda _user, _key, _former: None,
        pins: Pins | None = None,
        liars: Liars | None = None,
    ) -> None:
        """`on_key` hears of a user's new key and of the generation before it.

        `keys` by user; `on_line` takes each SECP2PSIP line from the ring; `warn` a sentence and its hint.
        """
        self._config, self._state, self._keys = config, state, keys
        self._warn, self._on_key = warn, on_key
        self.pins = pins or Pins()
        """Whose key is known here from earlier calls."""
        self.liars = liars or Liars()
        """Which nodes lied to this adapter."""
        self._enrolments: dict[str, Enrolment] = {}
        self._upkeeps: dict[str, Upkeep | TwoUpkeeps] = {}
        self._node = DeviceNode(
            config, state, pins=self.pins, liars=self.liars, on_line=on_line, on_change=self._ring_changed
        )
        self._servers = Servers(config, state)
        self.revocations = Revocations(state, warn=warn)
        """The keys that are on their way out of use."""
        self._tasks = Tasks()
        self._registering = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()

    @property
    def ring(self) -> KademliaRing | TwoRings:
        """The ring node; NotRegistered while there is none."""
        return self._node.ring

    @property
    def directory(self) -> Directory | TwoDirectories:
        """Finds users on the ring; NotRegistered while there is no ring node."""
        return self._node.directory

    @property
    def proofs(self) -> RecentProofs:
        """Finds users for calls, and shares what was proved a moment ago; NotRegistered as above."""
        return self._node.proofs

    @property
    def joined(self) -> bool:
        """Whether the node runs and knows another one."""
        return self.running is not None and self.running.size() > 1

    @property
    def running(self) -> KademliaRing | TwoRings | None:
        """The ring node, or None while there is none."""
        return self._node.running

    @property
    def overlay(self) -> str:
        """Name of the overlay, empty while nobody is registered."""
        return next((enrolment.overlay for enrolment in self._enrolments.values()), "")

    @property
    def threshold(self) -> tuple[int, int]:
        """The overlay's k and n; NotRegistered while nobody is registered."""
        if (some := next(iter(self._enrolments.values()), None)) is None:
            raise NotRegistered("nobody is registered here", hint="let a phone register, or give --bootstrap HOST:PORT")
        dealing = some.dealing
        return dealing.k, dealing.n

    def thumbprint(self, user: str) -> bytes:
        """Return the 16-byte thumbprint of the user's own key, registered or not."""
        return self._keys[user].user.public.thumbprint()

    def settled(self, user: str) -> bool:
        """Whether `register` has nothing to do for the user."""
        return self.enrolment(user) is not None and user in self._upkeeps

    def expires_at(self, user: str) -> int:
        """Return when the user's registered state expires, in seconds since the epoch."""
        return expires_at(self._enrolments[user])

    def enrolment(self, user: str) -> Enrolment | None:
        """Return the user's registered state while it is valid; None from the wish to revoke his key on."""
        enrolment = None if self.revocations.of(user) else self._enrolments.get(user)
        return enrolment if enrolment is not None and expires_at(enrolment) > time.time() else None

    def upkeep(self, user: str) -> Upkeep | TwoUpkeeps | None:
        """Return what keeps the user's pieces in place."""
        return self._upkeeps.get(user)

    def contradictions(self) -> list[Contradiction]:
        """Return the signed things that contradict each other and were offered to this node, oldest first."""
        return self._node.contradictions()

    async def start(self) -> None:
        """Read the registered state of every user and, if there is any, join the ring with it.

        Raises OSError where the ring node cannot listen, or could not once somebody registers.
        """
        self.revocations.read(self._keys)
        for user in self._keys:
            enrolment = self._state.load_enrolment(user)
            if enrolment is not None and self._is_ours(user, enrolment):
                self._enrolments[user] = enrolment
        for user in self._keys:
            enrolment = self._enrolments.get(user)
            if enrolment is not None and expires_at(enrolment) > time.time():
                await self._take_place(user, enrolment, port=self._config.ring[1] or self._node.last_port())
        if self.running is None:  # said now, and not when the first phone registers
            for address in filter(None, (self._config.ring, self._config.other_ring)):
                try_to_bind(address)
        self._tasks.spawn(self._finish_changes(), name="finish changes of keys")
        self._tasks.spawn(self.revocations.run(self._keep_revoking, self._stopping), name="finish revocations")
        self._tasks.spawn(self._mind(), name="mind the ring")

    async def register(self, user: str, step: Step) -> None:
        """Make sure that `user` is registered and the node joined; quick when that is so already.

        Raises EnrolmentRefused, EnrolmentFailed, NotRegistered.
        """
        if self.settled(user):
            return
        async with self._registering:
            if self.enrolment(user) is None:
                await self._enrol(user, step)
            enrolment = self._enrolments[user]
            if user not in self._upkeeps:
                await self._take_place(user, enrolment, port=self._config.ring[1])
            step("JOINED", {"node": str(self.ring.me), "peers": len(self.ring.peers())})

    async def rotate(self, user: str, step: Step, *, begin: bool = True) -> Enrolment:
        """Change the user's key, or go on with a change that was cut short, and return the new registered state.

        Without `begin` nothing happens where no change was cut short.
        Raises NotRegistered, EnrolmentRefused, EnrolmentFailed; whatever happens, no key is lost.
        """
        async with self._registering:
            before = self.enrolment(user)
            if before is None:
                raise NotRegistered(f"{user} has no key in force yet", hint=f"register {user} first")
            if not begin and not is_pending(self._state.path, user):
                return before
            old, new = self._keys[user], next_key(self._state.path, user)
            generation = before.generation + 1
            word = Succession.issue(old.user, aor=user, generation=generation, new=new.public)
            links = decode_chain(
                before.succession, aor=user, generation=before.generation, bundle=old.user.public.encode()
            )
            address, enrolment = await ask_bootstrap(
                self._config,
                user,
                replace(old, user=new),
                servers=self._servers,
                ring=self.running,
                pin=self._pin(),
                step=step,
                place=Place(generation=generation, succession=encode_chain([*links, word])),
                word=word.encode(),
            )
            await read_back(self.ring, user, enrolment)
            self._state.save_enrolment(user, enrolment)
            promote(self._state.path, user)
            self._keys[user] = replace(old, user=new)
            self._enrolments[user] = enrolment
            self._on_key(user, new, before.generation)
            await self._take_place(user, enrolment, port=address[1])
            await self._speak(user, enrolment.generation)
            step("KEY CHANGED", {"generation": enrolment.generation, "thumbprint": new.public.thumbprint().hex()})
            return enrolment

    async def revoke(self, user: str, step: Step) -> dict[str, Any]:
        """Tell the ring and the bootstrap server that the user's key is dead, and stop using it.

        The wish is written down first, and carried out until it is done. Returns how many holders know, whether the
        server does, and why not. Raises NotRegistered, what `register` raises, and OSError.
        """
        if user not in self._enrolments and self.revocations.of(user) is None:
            await self.register(user, step)
        async with self._registering:
            if self.revocations.of(user) is None:
                if user not in self._enrolments:
                    raise NotRegistered(f"{user} has no key in force here", hint="is it revoked already?")
                self.revocations.begin(user, self._keys[user].user, self._enrolments[user], now=time.time())
            return await self._go_on_revoking(user, step)

    async def stop(self) -> None:
        """Hand over what this node keeps, say goodbye and close."""
        self._stopping.set()
        self._news.set()
        for upkeep in self._upkeeps.values():
            upkeep.stop()
        await self._tasks.close()
        await self._node.close()

    async def _keep_revoking(self, user: str) -> None:
        async with self._registering:
            if self.revocations.of(user) is not None:
                await self._go_on_revoking(user, lambda _step, _detail: None)

    async def _go_on_revoking(self, user: str, step: Step) -> dict[str, Any]:
        if (upkeep := self._upkeeps.pop(user, None)) is not None:
            upkeep.stop()
        wish = await self.revocations.carry_out(
            user, ring=self.running, ask=lambda tombstone: self._ask(user, step, tombstone.encode())
        )
        step("REVOKED", {"holders": wish.holders})
        if wish.server:
            self._enrolments.pop(user, None)
        return {"user": user} | wish.report()

    async def _ask(self, user: str, step: Step, word: bytes = b"") -> tuple[tuple[str, int], Enrolment]:
        return await ask_bootstrap(
            self._config,
            user,
            self._keys[user],
            servers=self._servers,
            ring=self.running,
            pin=self._pin(),
            step=step,
            place=self._place(user),
            word=word,
        )

    async def _enrol(self, user: str, step: Step) -> None:
        """Ask the bootstrap server, see that it did what it says, and write that down."""
        if self.revocations.of(user):
            raise NotRegistered(f"the key of {user} is being revoked", hint="secp2psip status tells how far that is")
        address, enrolment = await self._ask(user, step)
        await self._settle(user, enrolment, address, step)

    def _place(self, user: str) -> Place:
        """Return where the user's key stands, as far as known here."""
        before = self._enrolments.get(user)
        if before is None:
            return load_place(self._state.path, user)
        return Place(generation=before.generation, succession=before.succession)

    async def _settle(self, user: str, enrolment: Enrolment, address: tuple[str, int], step: Step) -> None:
        await self._open(enrolment, (self._config.ring[0], address[1]))
        await read_back(self.ring, user, enrolment)
        step("READ BACK", {"pieces": len(enrolment.pieces)})
        self._state.save_enrolment(user, enrolment)
        self._enrolments[user] = enrolment
        await self._take_place(user, enrolment, port=address[1])
        await self._speak(user, enrolment.generation)

    def _pin(self) -> bytes | None:
        """Return the thumbprint of the overlay key to hold to: the configured one, else the first seen."""
        if self._config.overlay_key is not None:
            return self._config.overlay_key
        return next((enrolment.overlay_bundle.thumbprint() for enrolment in self._enrolments.values()), None)

    async def _open(self, enrolment: Enrolment, address: tuple[str, int]) -> None:
        await self._node.open(enrolment, next(iter(self._keys.values())).node, address)

    async def _take_place(self, user: str, enrolment: Enrolment, *, port: int) -> None:
        """Join the ring and begin to keep the user's pieces in place."""
        await self._open(enrolment, (self._config.ring[0], port))
        await self._join()
        if (old := self._upkeeps.get(user)) is not None:
            old.stop()
        if self.revocations.of(user):
            return
        upkeep = upkeep_in(
            self.ring.views,
            user=self._keys[user].user,
            pieces=enrolment.pieces,
            share_list=enrolment.share_list,
            succession=enrolment.succession,
        )
        self._upkeeps[user] = upkeep
        self._tasks.spawn(upkeep.run(), name=f"upkeep of {user}")

    async def _speak(self, user: str, generation: int) -> None:
        """See that the holders have a later key's record: who says that he is registered can be called.

        The server stores the pieces of a later key without one, so that calls by the key before go on until its owner
        speaks, or because he did not know the generation.
        """
        if generation > 1:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_WORD_S):
                    await self._upkeeps[user].spoken()

    async def _join(self) -> None:
        """Join through whoever is known; a ring that nobody answers for is looked for again from time to time."""
        if silent := await self._node.join(self._enrolments.values()):
            self._warn(
                f"none of the {silent} nodes of the ring known here answers",
                "start another adapter or the bootstrap server: this one keeps trying",
            )

    def _is_ours(self, user: str, enrolment: Enrolment) -> bool:
        keys = self._keys[user]
        if enrolment.credential.node_public == keys.node.public and all(
            piece.thumbprint == keys.user.public.thumbprint() for piece in enrolment.pieces
        ):
            return True
        self._warn(
            f"what the state directory holds of {user} belongs to other keys and is not used",
            "the phone's next registration asks the bootstrap server again",
        )
        return False

    def _ring_changed(self, peers: frozenset[Peer]) -> None:
        self._news.set()
        for upkeep in self._upkeeps.values():
            upkeep.changed(peers)

    async def _mind(self) -> None:
        """From time to time: write down whom to join through, find a lost ring again, renew what grows old."""
        renew_at = rejoin_at = 0.0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PEERS_KEPT_EVERY_S if self.joined else REJOIN_EVERY_S):
                    await self._news.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NEWS_PAUSE_S):
                    await self._stopping.wait()
            # a new node is written down soon: who is killed the next moment comes back by it; one that comes while the
            # rest of this goes on is not lost either
            self._news.clear()
            if self.running is None or self._stopping.is_set():
                continue
            self._node.keep_peers()
            if time.monotonic() >= rejoin_at:
                rejoin_at = time.monotonic() + REJOIN_EVERY_S
                await self._node.find_lost_rings(self._enrolments.values())
            if time.time() >= renew_at:
                renew_at = time.time() + RENEW_RETRY_S
                await self._renew()

    async def _finish_changes(self) -> None:
        """Go on with changes of keys that were cut short; say so when that fails."""
        for user in [user for user in self._enrolments if self.enrolment(user) and is_pending(self._state.path, user)]:
            try:
                await self.rotate(user, lambda _step, _detail: None, begin=False)
            except (Secp2psipError, OSError) as error:
                self._warn(
                    f"a change of {user}'s key was cut short and could not be finished: {error}",
                    "until it is, calls to this user may fail; start the bootstrap server, or see its reason",
                )

    async def _renew(self) -> None:
        """Ask the bootstrap server anew for what is older than a week; say so in time when that fails."""
        now = time.time()
        await self._finish_changes()
        for user, enrolment in list(self._enrolments.items()):
            if not is_due(enrolment, now) or self.revocations.of(user):
                continue
            try:
                async with self._registering:
                    await self._enrol(user, lambda _step, _detail: None)
            except (Secp2psipError, OSError) as error:
                # a disk that is full for a moment must not end the renewals of the next months
                if (word := word_of_failure(user, enrolment, error, now)) is not None:
                    self._warn(*word)
