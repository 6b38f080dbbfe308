"""A network that loses sound or holds it back: a relay between two phones for their RTP packets.  I/O: udp, loopback.

The caller calls the relay, which hands the INVITE on and puts itself into both session descriptions. Signalling after
that goes straight; RTCP passes whole. Which packets are lost is drawn with a seed for each direction.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import Self

HOST = "127.0.0.1"


class LossyRelay:
    """Between one caller and one callee; `to_caller` and `to_callee` are the shares of RTP that get lost."""

    def __init__(self, callee: str, *, to_caller: float = 0.0, to_callee: float = 0.0) -> None:
        host, port = callee.split(":")
        self._callee = (host, int(port))
        self.loss = {"caller": to_caller, "callee": to_callee}
        self.passed = {"caller": 0, "callee": 0}
        self.dropped = {"caller": 0, "callee": 0}
        self._draw = {"caller": random.Random(1), "callee": random.Random(2)}
        self._caller: tuple[str, int] | None = None
        self._held: list[tuple[str, bytes]] | None = None
        self._sip: dict[str, asyncio.DatagramTransport] = {}
        self._media: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._phones: dict[tuple[str, int], tuple[str, int]] = {}

    async def __aenter__(self) -> Self:
        for side in ("caller", "callee"):
            self._sip[side] = await _open(lambda data, source, side=side: self._signal(side, data, source))
            for part in (0, 1):  # RTP, RTCP
                self._media[side, part] = await _open(
                    lambda data, _source, side=side, part=part: self._carry(side, part, data)
                )
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in (*self._sip.values(), *self._media.values()):
            transport.close()

    async def stand_still(self, seconds: float) -> None:
        """Hold all sound back for a while, and let go of it at once, as Wi-Fi does."""
        self._held = held = []
        await asyncio.sleep(seconds)
        self._held = None
        for other, data in held:
            self._hand_on(other, 0, data)

    @property
    def name(self) -> str:
        """`host:port` that the caller calls."""
        return _name(self._sip["caller"])

    def _signal(self, side: str, data: bytes, source: tuple[str, int]) -> None:
        """Hand a SIP message to the other side; what it describes is the way through the relay."""
        if not data.strip():
            return
        other = "callee" if side == "caller" else "caller"
        if side == "caller":
            self._caller = source
        to = self._callee if other == "callee" else self._caller
        if to is not None:
            self._sip[other].sendto(self._described(side, other, data), to)

    def _described(self, side: str, other: str, data: bytes) -> bytes:
        head, _, body = data.decode().partition("\r\n\r\n")
        if "m=audio" not in body:
            return data
        ports = [int(re.search(pattern, body)[1]) for pattern in (r"m=audio (\d+)", r"a=rtcp:(\d+)")]  # type: ignore[index]
        for part, port in enumerate(ports):
            self._phones[side, part] = (HOST, port)
        rtp, rtcp = (_port(self._media[other, part]) for part in (0, 1))
        body = re.sub(r"m=audio \d+", f"m=audio {rtp}", body)
        body = re.sub(r"a=rtcp:\d+", f"a=rtcp:{rtcp}", body)
        head = re.sub(r"Content-Length:\s*\d+", f"Content-Length: {len(body)}", head)
        return f"{head}\r\n\r\n{body}".encode()

    def _carry(self, side: str, part: int, data: bytes) -> None:
        """Pass on what `side` sends, or lose it."""
        other = "callee" if side == "caller" else "caller"
        if part == 0:
            if self._draw[other].random() < self.loss[other]:
                self.dropped[other] += 1
                return
            self.passed[other] += 1
            if self._held is not None:
                self._held.append((other, data))
                return
        self._hand_on(other, part, data)

    def _hand_on(self, other: str, part: int, data: bytes) -> None:
        if (to := self._phones.get((other, part))) is not None:
            self._media[other, part].sendto(data, to)


class _Port(asyncio.DatagramProtocol):
    def __init__(self, take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data, addr)


async def _open(take) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Port(take), local_addr=(HOST, 0))
    return transport


def _port(transport: asyncio.DatagramTransport) -> int:
    return int(transport.get_extra_info("sockname")[1])


def _name(transport: asyncio.DatagramTransport) -> str:
    return f"{HOST}:{_port(transport)}"
