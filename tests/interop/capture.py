"""What went over the wire at one host, read while tcpdump writes it.  I/O: tcpdump, its file.

The phones are not believed: where the INVITE went, who was redirected, and between whose ports the sound flowed is read
from the packets of the caller's host, its loopback included (there the phone speaks with its own adapter).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import struct
import time
import wave
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tests.interop.tool import InteropFailed, Tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RING_PORT = 4000
"""All ring nodes of the hosts that are watched; their datagrams are nothing to look at."""
POLL_S = 0.1
Address = tuple[str, int]
_SIP = re.compile(rb"(SIP/2\.0 \d{3} |[A-Z]+ sips?:[^ ]+ SIP/2\.0\r\n)")
_OUTGOING = 4
_MIN_RTP_BYTES = 12
MIN_PACKETS = 50
"""One second of sound."""
G711 = frozenset({0, 8})
EIGHT_KB = G711 | {9}
"""Payload types with 8,000 bytes for a second: G.711 and G.722."""
RATE_HZ = 8000
QUIET = 300
"""Below this peak of 16 bits nothing is being said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sip:
    """One SIP message."""

    at: float
    source: Address
    target: Address
    transport: str
    first: str
    headers: dict[str, str]
    """The first of each name."""
    vias: tuple[str, ...]
    body: str

    @property
    def method(self) -> str:
        """The method of its transaction."""
        return self.headers.get("cseq", " ").split()[-1]

    @property
    def status(self) -> int:
        """Its status code, 0 for a request."""
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else 0

    @property
    def media(self) -> Address | None:
        """Where its session description wants the sound."""
        host = re.search(r"^c=IN IP[46] (\S+)", self.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        return (host[1], int(port[1])) if host and port else None


@dataclass(slots=True, kw_only=True)
class Capture:
    """One host's packets."""

    tool: Tool
    path: Path
    own: frozenset[str]
    """The host's own addresses: what it sends to itself is seen twice and counted once."""
    sip: list[Sip] = field(default_factory=list)
    rtp: dict[tuple[Address, Address], list[tuple[int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    """Payload type and payload of every RTP packet, by source and destination."""
    _offset: int = 24
    _streams: dict[tuple[Address, Address], bytes] = field(default_factory=dict)

    @classmethod
    async def start(cls, prefix: list[str], path: Path, own: frozenset[str]) -> Capture:
        """Start tcpdump on the host that `prefix` leads to and wait until it listens."""
        tool = await Tool.start(
            "tcpdump",
            [
                *(*prefix, "tcpdump", "-U", "-n", "-B", "8192", "-i", "any", "-y", "LINUX_SLL", "-w", str(path)),
                f"(udp or tcp) and not port {RING_PORT}",
            ],
            log=path.with_suffix(".tcpdump.log"),
        )
        await tool.hear(r"listening on", within_s=10)
        return cls(tool=tool, path=path, own=own | {"127.0.0.1", "::1"})

    async def stop(self) -> None:
        """End it and read the rest."""
        await self.tool.stop()
        self.read()

    async def see(self, wanted: Callable[[Sip], bool], *, within_s: float, what: str) -> Sip:
        """Return the first SIP message that is `wanted`, waiting for it."""
        deadline = time.monotonic() + within_s
        while True:
            self.read()
            for message in self.sip:
                if wanted(message):
                    return message
            if time.monotonic() > deadline:
                raise InteropFailed(f"no {what} within {within_s:g} s; seen: {self.story()}")
            await asyncio.sleep(POLL_S)

    def story(self) -> str:
        """Tell the SIP messages in a line."""
        return ", ".join(
            f"{message.status} {message.method}" if message.status else message.method for message in self.sip[-8:]
        )

    def read(self) -> None:
        """Take in what tcpdump wrote since the last time."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        at = 0
        while at + 16 <= len(data):
            seconds, micros, size, _ = struct.unpack_from("<IIII", data, at)
            if at + 16 + size > len(data):
                break
            self._frame(data[at + 16 : at + 16 + size], seconds + micros / 1e6)
            at += 16 + size
        self._offset += at

    def _frame(self, frame: bytes, at: float) -> None:
        kind, protocol = struct.unpack_from(">H", frame, 0)[0], struct.unpack_from(">H", frame, 14)[0]
        packet = frame[16:]
        if protocol == 0x0800:
            number, head = packet[9], (packet[0] & 15) * 4
            source, target = str(ipaddress.IPv4Address(packet[12:16])), str(ipaddress.IPv4Address(packet[16:20]))
            end = struct.unpack_from(">H", packet, 2)[0]
        elif protocol == 0x86DD:
            number, head = packet[6], 40
            source, target = str(ipaddress.IPv6Address(packet[8:24])), str(ipaddress.IPv6Address(packet[24:40]))
            end = 40 + struct.unpack_from(">H", packet, 4)[0]
        else:
            return
        if kind == _OUTGOING and target in self.own:
            return
        ports = struct.unpack_from(">HH", packet, head)
        flow = ((source, ports[0]), (target, ports[1]))
        if number == 17:
            self._datagram(packet[head + 8 : end], flow, at)
        elif number == 6:
            self._segment(packet[head + (packet[head + 12] >> 4) * 4 : end], flow, at)

    def _datagram(self, data: bytes, flow: tuple[Address, Address], at: float) -> None:
        if _SIP.match(data):
            self._message(data, flow, at, "udp")
        elif len(data) > _MIN_RTP_BYTES and data[0] >> 6 == 2 and not 192 <= data[1] <= 223 and flow[0][1] > 1023:
            self.rtp[flow].append((data[1] & 127, data[_MIN_RTP_BYTES + 4 * (data[0] & 15) :]))

    def _segment(self, data: bytes, flow: tuple[Address, Address], at: float) -> None:
        stream = self._streams.get(flow, b"") + data
        while (found := _SIP.search(stream)) and (end := stream.find(b"\r\n\r\n", found.start())) > 0:
            length = re.search(rb"(?im)^(?:content-length|l) *: *(\d+)", stream[found.start() : end])
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(stream) < stop:
                break
            self._message(stream[found.start() : stop], flow, at, "tcp")
            stream = stream[stop:]
        self._streams[flow] = stream[-65536:]

    def _message(self, data: bytes, flow: tuple[Address, Address], at: float, transport: str) -> None:
        head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(":")[::2] for line in lines)
        short = {"i": "call-id", "m": "contact", "f": "from", "t": "to", "v": "via"}
        named = [(short.get(name.strip().lower(), name.strip().lower()), value.strip()) for name, value in pairs]
        self.sip.append(
            Sip(
                at=at,
                source=flow[0],
                target=flow[1],
                transport=transport,
                first=first,
                headers=dict(reversed(named)),
                vias=tuple(value for name, value in named if name == "via"),
                body=body,
            )
        )

    def decode(self, flow: tuple[Address, Address], to: Path) -> Path:
        """Write what G.711 packets of one direction say as a WAV file."""
        with wave.open(str(to), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            for kind, payload in self.rtp.get(flow, ()):
                if kind in G711:
                    file.writeframes(_expand(payload, a_law=kind == 8))
        return to

    def sounding_s(self, flow: tuple[Address, Address]) -> float:
        """Return for how long one direction has carried sound, from its first packet that is not silence."""
        packets = self.rtp.get(flow, [])
        first = next((at for at, (kind, payload) in enumerate(packets) if is_sound(payload, kind)), len(packets))
        return sum(len(payload) for kind, payload in packets[first:] if kind in EIGHT_KB) / RATE_HZ

    def loud_flows(self) -> dict[tuple[Address, Address], Counter[int]]:
        """Return each direction with a second of sound or more, with its payload types."""
        return {
            flow: Counter(kind for kind, _ in packets)
            for flow, packets in self.rtp.items()
            if len(packets) >= MIN_PACKETS
        }


def is_sound(payload: bytes, kind: int) -> bool:
    """Tell whether a packet is more than a phone's silence; of other codecs than G.711 any may be."""
    if kind not in G711 or not payload:
        return kind in EIGHT_KB
    samples = np.frombuffer(_expand(payload, a_law=kind == 8), dtype="<i2")
    return int(np.max(np.abs(samples.astype(np.int32)))) >= QUIET


def _expand(payload: bytes, *, a_law: bool) -> bytes:
    """Expand mu-law or A-law to 16 bits [ITU-T G.711]."""
    code = np.frombuffer(payload, dtype=np.uint8).astype(np.int32) ^ (0x55 if a_law else 0xFF)
    exponent, mantissa = (code >> 4) & 7, code & 15
    if a_law:
        size = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
        sign = np.where(code & 0x80, 1, -1)
    else:
        size = (((mantissa << 3) + 0x84) << exponent) - 0x84
        sign = np.where(code & 0x80, -1, 1)
    return (sign * size).astype("<i2").tobytes()
