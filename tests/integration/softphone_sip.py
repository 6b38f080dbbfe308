"""A SIP server of a few lines on a raw UDP socket: what an adapter or a phone may do to the softphone.  I/O: udp."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ECHOED = ("via", "from", "call-id", "cseq")


class SipServer(asyncio.DatagramProtocol):
    """Answers every request with what `behaviour` makes of it: pairs of a status line and further headers."""

    def __init__(self, behaviour: Callable[[str], Iterable[tuple[str, tuple[str, ...]]]]) -> None:
        self.requests: list[str] = []
        self.seen = asyncio.Event()
        self.address = ("", 0)
        self._behaviour = behaviour
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = self._transport.get_extra_info("sockname")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def name(self) -> str:
        """`host:port`."""
        return f"{self.address[0]}:{self.address[1]}"

    def methods(self) -> list[str]:
        """Give the methods that came, retransmissions and all."""
        return [request.partition(" ")[0] for request in self.requests]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep the request and answer it."""
        request = data.decode()
        if request.startswith("SIP/2.0") or not request.strip():
            return
        self.requests.append(request)
        self.seen.set()
        if request.startswith("ACK "):
            return
        for status, headers in self._behaviour(request):
            self._send(answer(request, status, headers), addr)

    def flood(self, to: tuple[str, int], message: str) -> None:
        """Send one message as it is."""
        self._send(message, to)

    def _send(self, message: str, to: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(message.encode(), to)


def answer(request: str, status: str, headers: tuple[str, ...] = ()) -> str:
    """Build a response: the request's own headers back, a To tag, and what is added."""
    lines = [f"SIP/2.0 {status}"]
    for line in request.split("\r\n")[1:]:
        name = line.partition(":")[0].strip().lower()
        if name in ECHOED:
            lines.append(line)
        elif name == "to":
            lines.append(line if "tag=" in line or status.startswith("100") else f"{line};tag=t")
    return "\r\n".join([*lines, *headers, "Content-Length: 0"]) + "\r\n\r\n"


def invite(to: str, source: str, *, payload: str = "0", offer: bool = True) -> str:
    """Build an INVITE with a sound offer of one payload type, or none; its Call-ID and branch are its own."""
    mark = secrets.token_hex(8)
    host, port = source.split(":")
    body = "\r\n".join(
        [
            "v=0",
            f"o=- 1 1 IN IP4 {host}",
            "s=-",
            f"c=IN IP4 {host}",
            "t=0 0",
            f"m=audio 9 RTP/AVP {payload}",
            "a=sendrecv",
            "",
        ]
    )
    if not offer:
        body = ""
    lines = [
        f"INVITE sip:bob@{to} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{mark}",
        "Max-Forwards: 70",
        f"From: <sip:eve@{host}>;tag={mark}",
        f"To: <sip:bob@{to}>",
        f"Call-ID: {mark}",
        "CSeq: 1 INVITE",
        f"Contact: <sip:eve@{host}:{port}>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def cancel(request: str) -> str:
    """Build the CANCEL of an INVITE."""
    return request.partition("\r\nContact:")[0].replace("INVITE", "CANCEL") + "\r\nContent-Length: 0\r\n\r\n"
