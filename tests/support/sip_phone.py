"""A phone made of text: it spells SIP requests by hand and reads answers by hand.  I/O: udp, in `UdpPhone` alone.

It shares no code with the server under test, so that one misreading of the RFC cannot hide in both.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, taken apart."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    raw: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def to_tag(self) -> str:
        return self.one("To").rpartition(";tag=")[2] if ";tag=" in self.one("To") else ""


def read_answer(data: bytes) -> Answer:
    head, _, _ = data.decode("utf-8", "replace").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    version, status, reason = start.split(" ", 2)
    assert version == "SIP/2.0"
    return Answer(
        int(status), reason, tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in lines)), data
    )


def spell(
    method: str = "REGISTER",
    *,
    uri: str = "sip:127.0.0.1:5070",
    user: str = "alice",
    to: str | None = None,
    sender: str | None = None,
    branch: str | None = None,
    via: str = "SIP/2.0/UDP 127.0.0.1:5062",
    call_id: str = "call-1@phone",
    cseq: int = 1,
    cseq_method: str | None = None,
    headers: tuple[str, ...] = (),
    body: str = "",
) -> bytes:
    """Spell a request that is right in all that is not given."""
    branch = branch if branch is not None else f";branch=z9hG4bK-{next(_numbers)}"
    lines = (
        f"{method} {uri} SIP/2.0",
        f"Via: {via}{branch};rport",
        "Max-Forwards: 70",
        f"From: {sender or f'<sip:{user}@127.0.0.1>;tag=from-1'}",
        f"To: {to or f'<sip:{user}@127.0.0.1>'}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {cseq_method or method}",
        *headers,
        f"Content-Length: {len(body.encode())}",
        "",
        body,
    )
    return "\r\n".join(lines).encode()


class UdpPhone(asyncio.DatagramProtocol):
    """A socket on loopback that keeps every answer it gets."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport
        self._closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, server: tuple[str, int], *, host: str = "127.0.0.1") -> Self:
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_datagram_endpoint(cls, local_addr=(host, 0), remote_addr=server)
        return phone

    @property
    def address(self) -> tuple[str, int]:
        return self._transport.get_extra_info("sockname")[:2]

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.answers.put_nowait(read_answer(data))

    def send(self, data: bytes) -> None:
        self._transport.sendto(data)

    async def answer(self, timeout_s: float = 5.0) -> Answer:
        async with asyncio.timeout(timeout_s):
            return await self.answers.get()

    async def ask(self, data: bytes) -> Answer:
        self.send(data)
        return await self.answer()

    async def close(self) -> None:
        self._transport.close()
        await self._closed
