"""The adapter: a SIP port for this device's phones on one side, the ring on the other.  I/O: udp, tcp, dht, files.

Here the rooms are wired, and nothing else: the state directory and its lock, the ring node and the users' upkeep
(`membership`), the SIP server (`sip`, which asks `bridge`), the SECP2PSIP messages (`exchange`) and the control socket.
[paper §II.A, the Secured P2PSIP Adapter]
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from adapter import kernel
from adapter.bridge import Bridge
from adapter.call_log import CallLog
from adapter.config import format_address
from adapter.contact_book import change_contacts
from adapter.control import ControlServer
from adapter.exchange import Exchange
from adapter.findings import LookupFailed
from adapter.key_change import finish
from adapter.keystore import load_or_create
from adapter.liar_file import load_liars, save_liars
from adapter.liars import Liars
from adapter.membership import Membership
from adapter.pin_file import load_pins, save_pins
from adapter.pins import Pins
from adapter.problems import DamagedFile, Problem
from adapter.reports import (
    contradictions_report,
    door_report,
    flood_warnings,
    liars_report,
    lookup_report,
    one_way_warnings,
    revocation_warnings,
    ring_report,
    user_report,
    with_liars,
)
from adapter.revocation import finish_revocation
from adapter.sip.certificate import load_or_create as load_certificate
from adapter.sip.endpoint import SipEndpoint
from adapter.sip.registrations import Registrations
from adapter.state import StateDir
from adapter.steps import Steps
from overlay.ring.addresses import is_own_address
from overlay.trust.identity import parse_aor

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.liars import Lied
    from adapter.revocation import Revocation
    from adapter.service_config import ServiceConfig
    from overlay.trust.identity import PrivateBundle

    Emit = Callable[[dict[str, Any]], None]


class AdapterService:
    """One running adapter."""

    def __init__(self, config: ServiceConfig, *, emit: Emit, read_kernel: kernel.Reader = kernel.read_switches) -> None:
        """`emit` takes each event for people and programs: ready, step, warning, receipt."""
        self._read_kernel = read_kernel
        self._config = config
        self._listeners: list[Emit] = [emit]
        self._state = StateDir(config.state_dir)
        self._closed = asyncio.Event()
        self._started: list[str] = []
        self._control = ControlServer(
            self._state.socket_path,
            {
                "status": lambda _: self.status(),
                "lookup": lambda ask: self.lookup(str(ask.get("aor", ""))),
                "ring": lambda _: self.ring(),
                "register": self._register_command,
                "contacts": self._contacts_command,
                "rotate": lambda ask: self.rotate(str(ask.get("user", ""))),
                "revoke": lambda ask: self.revoke(str(ask.get("user", ""))),
                "stop": self._stop_command,
            },
        )
        self._calls = CallLog(self._state.path)
        self._steps = Steps(self._emit)

    @property
    def users(self) -> tuple[str, ...]:
        """The AORs that it serves."""
        return self._config.users

    @property
    def sip_address(self) -> tuple[str, int]:
        """Where phones reach it."""
        return self._endpoint.address

    async def start(self) -> None:
        """Take the state directory, join the ring with what is registered there, and open the doors.

        Raises SpoofableHost, StateLocked, DamagedFile, OSError for a taken port, and what a joining node can meet.
        """
        kernel.require_own_addresses_own(self._read_kernel)
        self._state.lock()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        for user in self._config.users:
            finish_revocation(self._state, user)
            # a change of a key that was cut short after the server had agreed to it
            finish(self._state.path, user, self._state.load_enrolment(user))
        keys = {user: load_or_create(self._state.path, user) for user in self._config.users}
        self._pins = Pins(load_pins(self._state.path), save=lambda pins: save_pins(self._state.path, pins))
        self._membership = Membership(
            self._config,
            self._state,
            keys,
            on_line=lambda peer, line: self._exchange.line_received(peer, line),  # noqa: PLW0108 -- made below
            warn=self._warn,
            on_key=self._key_changed,
            pins=self._pins,
            liars=Liars(self._known_liars(), save=self._keep_liars),
        )
        self._membership.revocations.on_done = self._key_revoked
        self._exchange = Exchange(
            self._membership,
            {user: pair.user for user, pair in keys.items()},
            # whoever would be sent to a phone by a key that is being revoked is told that there is none
            contacts=lambda aor: [] if self._membership.revocations.of(aor) else self._endpoint.contacts(aor),
            sip_address=lambda: self._endpoint.address,
            steps=self._steps,
            limits=self._config.limits,
            accept=self._config.accept,
            keep=self._keep_receipt,
        )
        self._bridge = Bridge(
            self._membership,
            self._exchange,
            steps=self._steps,
            users=self._config.users,
            address=lambda: self._endpoint.address,
            tls_port=lambda: self._endpoint.tls_port,
            warn=self._warn,
        )
        # at an address that no phone can know again there is nothing to come back to
        kept = Registrations(self._state.registrations_path) if self._config.sip[1] else None
        self._endpoint = SipEndpoint(
            accepts=is_own_address,
            handler=self._bridge,
            on_ack=self._bridge.on_ack,
            phones=self._config.phones,
            limits=self._config.limits,
            registrations=kept,
        )
        self._started.append("endpoint")
        tls, self._fingerprint = load_certificate(self._state.path, self._config.sip[0])
        await self._endpoint.open(*self._config.sip, tls=tls)
        for warning in self._endpoint.warnings:
            self._warn(warning, "choose another port with --sip HOST:PORT, or let the phone use UDP")
        self._started.append("membership")
        await self._membership.start()
        self._started.append("control")
        await self._control.start()
        status = await self.status()
        self._emit(
            {"event": "ready"}
            | {key: status[key] for key in ("sip", "sip_tcp", "sip_tls", "tls_fingerprint", "ring", "pid")}
            | {"users": list(self.users)}
        )

    async def stop(self) -> None:
        """Close the doors and leave the ring cleanly; harmless when repeated."""
        started, self._started = self._started, []
        if "control" in started:
            await self._control.stop()
        if "endpoint" in started:
            await self._endpoint.close()
        if "membership" in started:
            await self._exchange.stop()
            await self._membership.stop()
        self._state.release()
        self._closed.set()

    async def closed(self) -> None:
        """Wait until it has stopped, or was asked to through the control socket."""
        await self._closed.wait()

    async def register(self, user: str) -> None:
        """Register `user` on the ring if he is not yet, as his phone's REGISTER would."""
        await self._membership.register(parse_aor(user), self._steps.begin("register"))

    async def rotate(self, user: str) -> dict[str, Any]:
        """Give `user` a new key, which the old one names, and go on with it."""
        aor = self._served(user)
        enrolment = await self._membership.rotate(aor, self._steps.begin("rotate"))
        return {"user": aor, "generation": enrolment.generation, "thumbprint": enrolment.pieces[0].thumbprint.hex()}

    async def revoke(self, user: str) -> dict[str, Any]:
        """Tell everybody that the key of `user` is not to be believed any more."""
        return await self._membership.revoke(self._served(user), self._steps.begin("revoke"))

    def _served(self, user: str) -> str:
        aor = parse_aor(user)
        if aor not in self.users:
            raise Problem(f"this adapter does not serve {aor}", hint=f"it serves {', '.join(self.users)}", code="usage")
        return aor

    async def status(self) -> dict[str, Any]:
        """Tell addresses, users with their phones and pieces, and how large the ring looks from here."""
        membership = self._membership
        running = membership.running
        phones = {user: self._endpoint.contacts(user) for user in self.users}
        on_ring = {} if running is None else running.counters()
        return {
            "event": "status",
            "pid": os.getpid(),
            "sip": format_address(self.sip_address),
            "ring": "" if running is None else format_address(running.me.address),
            "other_ring": "" if running is None else "".join(format_address(x.me.address) for x in running.views[1:]),
            "node": "" if running is None else f"{running.me.id:040x}",
            "overlay": membership.overlay,
            **door_report(self._endpoint, self._fingerprint),
            "nodes": 0 if running is None else running.size(),
            "users": [user_report(user, membership, phones[user]) for user in self.users],
            "warnings": [*one_way_warnings(phones), *flood_warnings(on_ring), *revocation_warnings(membership)],
            "liars": liars_report(membership.liars.all(time.time())),
            "contradictions": contradictions_report(membership.contradictions()),
            "counters": dict(self._endpoint.counters)
            | dict(self._exchange.counters)
            | ({} if running is None else dict(membership.proofs.counters))
            | on_ring,
        }

    async def lookup(self, aor: str) -> dict[str, Any]:
        """Ask every node of the ring for a user, and tell who holds which piece and what it is worth."""
        directory, threshold = self._membership.directory, self._membership.threshold
        # before it: what this very lookup brings out is told apart from it
        remembered = self._membership.liars.all(time.time())
        try:
            found = await directory.find(parse_aor(aor), full=True, record_needed=False)
        except LookupFailed as failure:
            raise with_liars(failure) from None
        return lookup_report(found, threshold, remembered)

    async def ring(self) -> dict[str, Any]:
        """Tell the ring as this node sees it."""
        return ring_report(self._membership, self.users)

    async def _register_command(self, ask: dict[str, Any]) -> dict[str, Any]:
        await self.register(str(ask.get("user", "")))
        return {}

    async def _contacts_command(self, ask: dict[str, Any]) -> dict[str, Any]:
        answer = change_contacts(self._pins, str(ask.get("verb", "list")), str(ask.get("name", "")))
        if self._membership.running is not None and ask.get("name"):
            self._membership.proofs.forget(str(ask["name"]))
        return answer

    async def _stop_command(self, _ask: dict[str, Any]) -> dict[str, Any]:
        self._closed.set()
        return {}

    def _key_changed(self, user: str, new: PrivateBundle, former_generation: int) -> None:
        self._exchange.change_key(user, new, former_generation)
        thumbprint = new.public.thumbprint().hex()
        self._emit(
            {"event": "key-changed", "user": user, "generation": former_generation + 1, "thumbprint": thumbprint}
        )

    def _key_revoked(self, user: str, wish: Revocation) -> None:
        self._emit({"event": "key-revoked", "user": user} | wish.report())

    def _known_liars(self) -> tuple[Lied, ...]:
        try:
            return load_liars(self._state.path)
        except DamagedFile as error:
            self._warn(str(error), error.hint)
            return ()

    def _keep_liars(self, lied: tuple[Lied, ...]) -> None:
        try:
            save_liars(self._state.path, lied)
        except OSError as error:
            self._warn(f"nodes that lied could not be written down: {error.strerror}", "is the disk full?")

    def _keep_receipt(self, receipt: dict[str, Any]) -> None:
        try:
            self._calls.keep(receipt, time.time())
        except OSError as error:
            self._warn(f"a call could not be written to the history: {error.strerror}", "is the disk full?")

    def _warn(self, text: str, hint: str) -> None:
        self._emit({"event": "warning", "text": text, "hint": hint})

    def _emit(self, event: dict[str, Any]) -> None:
        event = event | {"time": round(time.time(), 6)}
        for listener in self._listeners:
            listener(event)
        self._control.publish(event)
