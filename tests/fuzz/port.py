"""The same damaged SIP thrown at a real port: datagrams and connections on loopback, and whether it serves afterwards.

The pure server takes most of what the fuzzer makes (tests/fuzz/sip.py); here its sockets, tasks and timers take a
share of it, paced so that the kernel drops little.  I/O: udp, tcp.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass, field

from adapter.sip.endpoint import SipEndpoint
from adapter.sip.limits import MOST, Limits
from adapter.sip.verdict import IncomingInvite, InviteVerdict, RegisterVerdict
from tests.fuzz import seeds
from tests.support.sip_phone import UdpPhone, spell
from tests.support.sip_stream import StreamPhone

HOST = "127.0.0.1"
BURST = 50
"""Datagrams sent before the endpoint gets as many turns of the loop to read them."""
BOB = "sip:bob@192.0.2.7:5062"


class Service:
    """What answers behind the port: everybody registers, and every call is redirected."""

    async def on_register(self, user: str) -> RegisterVerdict:
        return RegisterVerdict()

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        return InviteVerdict(contacts=(BOB,))

    def serves(self, user: str) -> bool:
        return user in {"alice", "carol"}

    def is_own_host(self, host: str, port: int | None) -> bool:
        return host in {HOST, "192.0.2.1"}


@dataclass
class Port:
    """One open SIP port and what became of it."""

    seed: int
    sent: int = 0
    connections: int = 0
    unhandled: list[str] = field(default_factory=list)
    endpoint: SipEndpoint = field(init=False)

    async def run(self, *, datagrams: int, streams: int) -> None:
        """Throw everything; AssertionError where the port does not serve afterwards or something was not handled."""
        dice = random.Random(self.seed)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.unhandled.append(str(context)))
        limits = Limits(transactions=MOST, questions=MOST, bindings=MOST)
        self.endpoint = SipEndpoint(accepts=lambda host: host == HOST, handler=Service(), limits=limits)
        await self.endpoint.open(HOST, 0)
        try:
            await self._datagrams(dice, datagrams)
            await self._prove_served()
            for _ in range(streams):
                await self._stream(dice)
            await self._prove_served()
        finally:
            await self.endpoint.close()
        assert not self.unhandled, self.unhandled[0]

    async def _datagrams(self, dice: random.Random, count: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind((HOST, 0))
            phone.setblocking(False)  # noqa: FBT003 -- the socket module takes no keyword
            for _ in range(0, count, BURST):
                for _ in range(min(BURST, count - self.sent)):
                    with contextlib.suppress(BlockingIOError):
                        phone.sendto(seeds.datagram(dice), self.endpoint.address)
                    self.sent += 1
                for _ in range(2 * BURST):
                    await asyncio.sleep(0)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        phone.recv(65_535)

    async def _stream(self, dice: random.Random) -> None:
        self.connections += 1
        _, writer = await asyncio.open_connection(*self.endpoint.address)
        with contextlib.suppress(OSError):
            for data in seeds.stream(dice):
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _prove_served(self) -> None:
        """Register and call over both transports."""
        phone = await UdpPhone.open(self.endpoint.address)
        tcp = await StreamPhone.open(self.endpoint.address)
        try:
            for name, end in (("udp", phone), ("tcp", tcp)):
                port = end.address[1]
                answer = await end.ask(
                    spell(
                        via=f"SIP/2.0/{name.upper()} {HOST}:{port}",
                        call_id=f"last-{name}-{self.sent}-{self.connections}",
                        headers=(f"Contact: <sip:alice@{HOST}:{port};transport={name}>", "Expires: 60"),
                    )
                )
                assert answer.status == 200, f"a phone is not registered over {name}: {answer.status}"
        finally:
            await phone.close()
            await tcp.close()
