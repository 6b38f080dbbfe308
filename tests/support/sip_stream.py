"""A phone on a connection: TCP, or TLS that takes any certificate.  I/O: tcp."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from tests.support.sip_phone import Answer, read_answer

if TYPE_CHECKING:
    from typing import Self


def trusting(certificate: str | None = None) -> ssl.SSLContext:
    """Trust this certificate alone, or whatever comes."""
    context = ssl.create_default_context(cadata=certificate)
    if certificate is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class StreamPhone:
    """A connection to the server, and every answer on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, server: tuple[str, int], *, tls: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection(*server, ssl=tls))

    @property
    def address(self) -> tuple[str, int]:
        return self._writer.get_extra_info("sockname")[:2]

    @property
    def certificate(self) -> bytes:
        return self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def read(self, size: int, timeout_s: float = 5.0) -> bytes:
        async with asyncio.timeout(timeout_s):
            return await self._reader.readexactly(size)

    async def answer(self, timeout_s: float = 5.0) -> Answer:
        """Return the next answer; those of this server have no body."""
        async with asyncio.timeout(timeout_s):
            answer = read_answer(await self._reader.readuntil(b"\r\n\r\n"))
        assert answer.one("Content-Length") == "0"
        return answer

    async def ask(self, data: bytes) -> Answer:
        self.send(data)
        return await self.answer()

    async def rest(self, timeout_s: float = 5.0) -> bytes:
        """Return all that comes until the server closes."""
        async with asyncio.timeout(timeout_s):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return
