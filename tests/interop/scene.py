"""The LAN of the cases: bootstrap, alice's and bob's host, a desk for another phone, and a crowd that fills the ring.

I/O: processes, namespaces. Everything is ended by its process id or its namespace's name.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from adapter.control_client import ControlClient
from adapter.problems import Problem
from tests.interop.capture import RING_PORT
from tests.interop.lan import Host, Lan
from tests.interop.phones.base import Seat, authority
from tests.interop.sound import SoundServer, Voice, make_voice
from tests.interop.tool import InteropFailed, run
from tests.support.cast import is_event
from tests.support.programs import Program, command

if TYPE_CHECKING:
    from pathlib import Path

CROWD = ("carol", "dave", "erin", "frank", "grace")
"""Users whose adapters share one host; with the bootstrap server, alice and bob the ring has eight nodes."""
SIP_PORT = 5070
START_S = 30.0
POLL_S = 0.1
HOSTS = ("boot", "alice", "bob", "desk", "crowd")
CLONE_NEWNET = 0x40000000
TRANSPARENT, TRANSPARENT_SIX = (socket.SOL_IP, 19), (socket.IPPROTO_IPV6, 75)
"""IP_TRANSPARENT and IPV6_TRANSPARENT: send under any address [ip(7)]."""


def host_socket(host: Host, source: str = "", *, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """Return a UDP or TCP socket of a host, bound to its address, or to one that is not its own, and any port."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(f"/run/netns/{host.space}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(descriptor, CLONE_NEWNET):
                made.append(OSError(ctypes.get_errno(), "setns"))
                return
            six = ":" in host.address
            bound = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
            if source:
                bound.setsockopt(*(TRANSPARENT_SIX if six else TRANSPARENT), 1)
            bound.bind((source or host.address, 0))
            made.append(bound)
        except OSError as error:
            made.append(error)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=make)  # a thread has a namespace of its own, and it ends here
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


@dataclass(slots=True, kw_only=True)
class Scene:
    """The running LAN."""

    folder: Path
    six: bool = False
    """IPv6 and nothing else."""
    hosts: dict[str, Host] = field(default_factory=dict)
    adapters: dict[str, Program] = field(default_factory=dict)
    voices: dict[str, Voice] = field(default_factory=dict)
    sound: SoundServer | None = None
    bootstrap: Program | None = None
    _lan: Lan | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lan = Lan(len(HOSTS), six=self.six).__enter__()
        self.hosts = dict(zip(HOSTS, self._lan.hosts, strict=True))
        for host in self.hosts.values():  # linphone thinks that it is offline without a default route
            await run("ip", "-n", host.space, "route", "add", "default", "dev", "eth0")
        for name in ("alice", "bob"):
            self.voices[name] = await make_voice(name, self.folder)
        boot = self.hosts["boot"]
        self.bootstrap = await Program.start(
            "bootstrap",
            [
                *(*boot.argv(command("secp2psip-bootstrap")), "--listen", authority(boot.address, 5480)),
                *("--data", str(self.folder / "bootstrap"), "--overlay", "interop", "--enrolments-per-day", "0"),
                "--json",
            ],
            folder=self.folder,
        )
        await self.bootstrap.expect(is_event("ready"), within_s=START_S, what="ready")
        for number, user in enumerate(CROWD):
            await self.start_adapter(user, host="crowd", sip_port=SIP_PORT + number, ring_port=RING_PORT + 1 + number)
        await self.start_adapter("alice")
        await self.start_adapter("bob")
        for user in (*CROWD, "alice", "bob"):
            await self.ask(user, "register", user=user)

    async def close(self) -> None:
        """End everything."""
        programs = [*self.adapters.values(), *([self.bootstrap] if self.bootstrap else [])]
        await asyncio.gather(*(program.stop() for program in programs))
        if self.sound is not None:
            await self.sound.stop()
        if self._lan is not None:
            self._lan.close()

    async def start_adapter(
        self,
        user: str,
        *,
        host: str = "",
        sip_port: int = SIP_PORT,
        ring_port: int = RING_PORT,
        options: tuple[str, ...] = (),
    ) -> None:
        """Start a user's adapter on his host and wait until phones can come."""
        place, boot = self.hosts[host or user], self.hosts["boot"]
        program = await Program.start(
            f"adapter {user}",
            [
                *(*place.argv(command("secp2psip")), "adapter", "--user", user),
                *("--bootstrap", authority(boot.address, 5480), "--sip", authority(place.address, sip_port)),
                *("--ring", authority(place.address, ring_port), "--state", str(self.state(user)), "--json", *options),
            ],
            folder=self.folder,
        )
        self.adapters[user] = program
        await program.expect(is_event("ready"), within_s=START_S, what="ready")

    async def stop_adapter(self, user: str) -> None:
        """End a user's adapter."""
        await self.adapters.pop(user).stop()

    async def start_sound(self) -> None:
        """Start the virtual headsets once."""
        if self.sound is None:
            self.sound = SoundServer(self.folder / "pulse")
            await self.sound.start()

    def state(self, user: str) -> Path:
        """Return the state directory of a user's adapter."""
        return self.folder / f"state-{user}"

    async def ask(self, owner: str, do: str, **fields: object) -> dict[str, Any]:
        """Ask a user's adapter on its control socket."""
        try:
            client = await ControlClient.connect(self.state(owner) / "control.sock")
            try:
                return await client.ask(do, **fields)
            finally:
                await client.close()
        except Problem as error:
            raise InteropFailed(f"{owner}'s adapter: {error}") from error

    async def phones(self, user: str) -> list[str]:
        """Return where a user's registered phones are."""
        status = await self.ask(user, "status")
        return next(list(entry["phones"]) for entry in status["users"] if entry["user"] == user)

    async def registered(self, user: str, *, count: int = 1, within_s: float = 12.0) -> list[str]:
        """Wait until that many phones of a user are registered."""
        deadline = time.monotonic() + within_s
        while len(phones := await self.phones(user)) < count:
            if time.monotonic() > deadline:
                raise InteropFailed(f"{user}'s phone did not register within {within_s:g} s")
            await asyncio.sleep(POLL_S)
        return phones

    async def forget_phones(self, user: str) -> None:
        """Take away what a phone of the last case left registered."""
        if await self.phones(user):
            await asyncio.to_thread(self._unregister, user)

    def _unregister(self, user: str) -> None:
        host = self.hosts[user]
        with host_socket(host) as udp:
            own, domain = authority(*udp.getsockname()[:2]), authority(host.address, SIP_PORT)
            lines = [
                f"REGISTER sip:{domain} SIP/2.0",
                f"Via: SIP/2.0/UDP {own};rport;branch=z9hG4bK{secrets.token_hex(8)}",
                *("Max-Forwards: 70", f"From: <sip:{user}@{domain}>;tag={secrets.token_hex(4)}"),
                *(f"To: <sip:{user}@{domain}>", f"Call-ID: {secrets.token_hex(8)}", "CSeq: 1 REGISTER"),
                *("Contact: *", "Expires: 0", "Content-Length: 0", "", ""),
            ]
            udp.settimeout(3)
            udp.sendto("\r\n".join(lines).encode(), (host.address, SIP_PORT))
            udp.recv(65536)

    def seat(self, user: str, name: str, **changes: Any) -> Seat:
        """Return the place of a phone of `alice` or `bob` beside his adapter."""
        host = self.hosts[user if user in self.hosts else "crowd"]
        values: dict[str, Any] = {
            "prefix": tuple(host.argv()),
            "host": host.address,
            "user": user,
            "registrar": (host.address, SIP_PORT),
            "folder": self.folder / "cases" / name,
            "voice": self.voices[user if user in self.voices else "alice"],
            "state": self.state(user),
            "sound": self.sound,
            "headset": "a" if user == "alice" else "b",
        }
        return Seat(**(values | changes))
