"""Somebody who sees every packet between two phones: what he can make of a call, plain or encrypted.

    unshare --user --map-root-user --net python -m tests.support.wiretap plain|encrypted

In a network of its own, which takes no privilege to make, the loopback interface may be listened on. Two built-in
phones call each other there by way of a 302; what went over the wire is searched for keys and played as G.711. Prints
one line of JSON.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import sys
import tempfile
import threading
import wave
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import adapter.softphone
from adapter.softphone import events
from adapter.softphone.audio import compare
from adapter.softphone.phone import Softphone
from tests.integration.softphone_sip import SipServer

HOST = "127.0.0.1"
TALK_S = 6
ALICE, BOB = (Path(adapter.softphone.__file__).parent / "data" / f"{name}.wav" for name in ("alice", "bob"))
TOKEN = ";p2p=Zm9vYmFyYmF6cXV1eHF1dQ"
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
ETH_P_ALL, PACKET_OUTGOING, ETHER_BYTES, RTP_BYTES = 3, 4, 14, 12


class Tap(threading.Thread):
    """Reads the loopback interface until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            fcntl.ioctl(plain, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        self.packets: list[bytes] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._stopping = False

    def run(self) -> None:
        while not self._stopping:
            try:
                packet, (_, _, kind, *_) = self._socket.recvfrom(65_535)
            except TimeoutError:
                continue
            if kind != PACKET_OUTGOING:  # each packet passes twice here
                self.packets.append(packet[ETHER_BYTES:])

    def stop(self) -> None:
        self._stopping = True
        self.join()
        self._socket.close()

    def datagrams(self) -> list[tuple[int, bytes]]:
        """Destination port and payload of each UDP datagram."""
        found = []
        for packet in self.packets:
            header = 4 * (packet[0] & 15)
            if packet[9] == socket.IPPROTO_UDP:
                found.append((int.from_bytes(packet[header + 2 : header + 4], "big"), packet[header + 8 :]))
        return found

    def sound(self) -> dict[int, bytes]:
        """What each stream of RTP packets with payload type 0 holds, in its order, as if it were G.711 u-law."""
        streams: dict[int, dict[int, bytes]] = defaultdict(dict)
        for port, data in self.datagrams():
            if len(data) > RTP_BYTES and data[0] == 0x80 and data[1] & 0x7F == 0:
                streams[port][int.from_bytes(data[2:4], "big")] = data[RTP_BYTES : RTP_BYTES + 160]
        return {port: b"".join(some[number] for number in sorted(some)) for port, some in streams.items()}


def play(ulaw: bytes, path: Path) -> None:
    """Write u-law as a WAV file [ITU-T G.711]."""
    code = ~np.frombuffer(ulaw, dtype=np.uint8) & 0xFF
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    samples = np.where(code & 0x80, -magnitude, magnitude).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())


async def until(phone: Softphone, kind: type[events.Event]) -> events.Event:
    async with asyncio.timeout(20):
        while not isinstance(event := await phone.events.get(), kind):
            assert not isinstance(event, events.Ended | events.ChildDied), event
        return event


async def call(folder: Path, *, encrypt: bool) -> dict[str, Any]:
    async with Softphone() as alice, Softphone() as bob:
        codecs = ("PCMU",)
        record = folder / "at_bob.wav"
        await bob.start(
            host=HOST, user="bob", play=BOB, record=record, codecs=codecs, auto_answer=True, encrypt=encrypt
        )
        contact = f"<sip:bob@{bob.address}{TOKEN}>"
        if encrypt:
            contact = f"<sip:bob@{bob.tls};transport=tls{TOKEN}>;secp2psip-fp={bob.fingerprint}"
        redirect = [("302 Moved Temporarily", (f"Contact: {contact}",))]
        async with SipServer(lambda request: redirect if request.startswith("INVITE ") else []) as server:
            await alice.start(host=HOST, user="alice", play=ALICE, codecs=codecs, encrypt=encrypt)
            await alice.call(f"sip:bob@{server.name}")
            established = await until(alice, events.Established)
            await until(bob, events.Established)
        await asyncio.sleep(TALK_S)  # the length of the talk
        await alice.hangup()
        await until(alice, events.Ended)
        await until(bob, events.Ended)
    return {"encrypted": established.encrypted, "heard_at_bob": compare(ALICE, record).median}


def main() -> None:
    tap = Tap()
    tap.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = asyncio.run(call(folder, encrypt=sys.argv[1] == "encrypted"))
        tap.stop()
        everything = b"".join(tap.packets)
        streams = tap.sound()
        heard = {}
        for port, ulaw in streams.items():
            play(ulaw, folder / f"{port}.wav")
            heard[port] = max(compare(voice, folder / f"{port}.wav").median for voice in (ALICE, BOB))
    told |= {
        "packets": len(tap.packets),
        "rtp_streams": len(streams),
        "rtp_bytes": min(map(len, streams.values()), default=0),
        "heard_on_the_wire": [round(value, 2) for value in heard.values()],
        "keys_on_the_wire": everything.count(b"inline:"),
        "descriptions_on_the_wire": everything.count(b"m=audio"),
    }
    print(json.dumps(told))  # noqa: T201 -- its one line of output


if __name__ == "__main__":
    main()
