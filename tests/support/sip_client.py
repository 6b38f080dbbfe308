"""A bare SIP client on a UDP socket: enough to REGISTER as a phone does, and to look at every byte.  I/O: udp."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Self

from overlay.ring.ids import spelt

T1_S = 0.5
"""First retransmission after this long, doubled each time [RFC 3261 §17.1.2.2]."""


class SipClient(asyncio.DatagramProtocol):
    """One phone's socket; requests are built by the caller, responses come in order of arrival."""

    def __init__(self) -> None:
        self.responses: asyncio.Queue[str] = asyncio.Queue()
        self.address = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None
        self._cseq = 0
        self._call_id = secrets.token_hex(8)
        self.provisional: list[str] = []
        """Provisional responses seen by `final`."""

    async def open(self, host: str = "127.0.0.1") -> Self:
        """Bind an ephemeral port of `host`."""
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(host, 0)
        )
        self.address = self._transport.get_extra_info("sockname")[:2]
        return self

    def begin_call(self) -> None:
        """Let the next request begin another call."""
        self._call_id = secrets.token_hex(8)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep what came, as text."""
        self.responses.put_nowait(data.decode(errors="replace"))

    def send(self, message: str, to: tuple[str, int]) -> None:
        """Send one message as it is."""
        assert self._transport is not None
        self._transport.sendto(message.encode(), to)

    def request(self, method: str, uri: str, user: str, *, to: str | None = None, headers: tuple[str, ...] = ()) -> str:
        """Build a well-formed request of `user` at this socket."""
        self._cseq += 1
        here = spelt(self.address)
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {here};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{here.rpartition(':')[0]}>;tag={secrets.token_hex(4)}",
            f"To: <{to or uri}>",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._cseq} {method}",
            f"Contact: <sip:{user}@{here}>",
            *headers,
            "Content-Length: 0",
        ]
        return "\r\n".join(lines) + "\r\n\r\n"

    async def ask(self, message: str, to: tuple[str, int], *, within_s: float = 20.0) -> str:
        """Send a non-INVITE request, retransmitting it as RFC 3261 says, and return the final response."""
        pause = T1_S
        async with asyncio.timeout(within_s):
            while True:
                self.send(message, to)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        while True:
                            response = await self.responses.get()
                            if not response.startswith("SIP/2.0 1"):
                                return response
                pause = min(2 * pause, 4.0)

    async def register(self, user: str, registrar: tuple[str, int], *, expires_s: int = 600) -> str:
        """REGISTER `user` (or unregister, with 0) and return the response."""
        where = spelt(registrar)
        message = self.request(
            "REGISTER", f"sip:{where}", user, to=f"sip:{user}@{where}", headers=(f"Expires: {expires_s}",)
        )
        return await self.ask(message, registrar)

    async def final(self, *, within_s: float = 20.0) -> str:
        """Return the next response that is not provisional; those before it are kept in `provisional`."""
        async with asyncio.timeout(within_s):
            while True:
                response = await self.responses.get()
                if not response.startswith("SIP/2.0 1"):
                    return response
                self.provisional.append(response)

    def cancel(self, invite: str) -> str:
        """Build the CANCEL of an INVITE that this client built [RFC 3261 §9.1]."""
        return self._follow(invite, "CANCEL")

    def ack(self, invite: str, response: str) -> str:
        """Build the ACK of a final answer that is no 2xx [RFC 3261 §17.1.1.3]."""
        to = next(line for line in response.split("\r\n") if line.lower().startswith("to:"))
        return "\r\n".join(to if line.startswith("To:") else line for line in self._follow(invite, "ACK").split("\r\n"))

    def _follow(self, invite: str, method: str) -> str:
        """Repeat the INVITE's headers under another method, in the same transaction."""
        kept = [line for line in invite.split("\r\n") if not line.startswith("Contact:")]
        kept[0] = method + kept[0].removeprefix("INVITE")
        return "\r\n".join(f"CSeq: {line.split()[1]} {method}" if line.startswith("CSeq:") else line for line in kept)


def status_of(response: str) -> int:
    """Return the status code of a response."""
    return int(response.split(" ", 2)[1])
