"""The control socket's client: ask the adapter of a state directory, and watch what it does.  I/O: a Unix socket.

See control.py for the protocol. A question opens no second connection; a watch does, so that both can go on at once.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Self

from adapter.control import VERSION, WATCH
from adapter.problems import Problem
from adapter.sockets import connect_unix

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""A ring of some thousand nodes as JSON."""
ASK_TIMEOUT_S: Final = 40.0
"""An enrolment of a first user on a slow network ends earlier."""


class NoAdapter(Problem):
    """No adapter answers on this state directory."""

    code = "no_adapter"


class ControlError(Problem):
    """The running adapter answered that it could not, or went away."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, code=code)


class Watch:
    """The running adapter's events, from :meth:`ControlClient.watch` on; iteration ends when it goes away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._events()

    async def _events(self) -> AsyncIterator[dict[str, Any]]:
        with contextlib.suppress(ControlError):
            while True:
                yield await _read(self._reader)
        await self.close()

    async def close(self) -> None:
        """Stop watching."""
        await _close(self._writer)


class ControlClient:
    """One connection to a running adapter."""

    def __init__(self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self.timeout_s = ASK_TIMEOUT_S
        """How long one question may take."""
        self._numbers = itertools.count(1)
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, path: Path) -> Self:
        """Connect to the socket at `path`. Raises NoAdapter."""
        return cls(path, *await _open(path))

    async def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """Return the answer's fields. Raises ControlError with the adapter's own code, sentence and hint."""
        async with self._turn:
            try:
                async with asyncio.timeout(self.timeout_s):
                    answer = await _ask(self._reader, self._writer, next(self._numbers), do, fields)
            except TimeoutError:
                # a late answer would be taken for that of the next question
                self._writer.transport.abort()
                raise ControlError("gone", f"the adapter did not answer within {self.timeout_s:g} s") from None
        return {key: value for key, value in answer.items() if key not in {"v", "id", "ok"}}

    async def watch(self) -> Watch:
        """Return the stream of events; it has begun when this returns, so that nothing done afterwards is missed."""
        reader, writer = await _open(self._path)
        try:
            await _ask(reader, writer, 0, WATCH, {})
        except BaseException:
            writer.close()
            raise
        return Watch(reader, writer)

    async def close(self) -> None:
        """Hang up; the adapter runs on."""
        await _close(self._writer)


async def _open(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        sock = connect_unix(path)
    except OSError as error:
        hint = "start one with: secp2psip adapter --user NAME --bootstrap HOST:PORT"
        if isinstance(error, PermissionError):
            hint = "it belongs to another user: choose your own with --state DIR"
        raise NoAdapter(f"no adapter runs on {path.parent}", hint=hint) from None
    return await asyncio.open_unix_connection(sock=sock, limit=MAX_ANSWER_BYTES)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, do: str, fields: dict[str, object]
) -> dict[str, Any]:
    request = {"v": VERSION, "id": number, "do": do} | fields
    with contextlib.suppress(ConnectionError):  # the answer, or its absence, says more
        writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
        await writer.drain()
    answer = await _read(reader)
    if answer.get("ok") is not True:
        code, text = str(answer.get("code", "bad")), str(answer.get("error", "the adapter gave no reason"))
        raise ControlError(code, text, str(answer.get("hint", "")))
    if answer.get("id") != number:
        raise ControlError("bad", "the adapter answered another question")
    return answer


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next line; ControlError "gone" at the end of the stream."""
    try:
        value = json.loads(await reader.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, ConnectionError):
        raise ControlError("gone", "the adapter went away", "start it again: secp2psip adapter") from None
    except (ValueError, asyncio.LimitOverrunError):
        value = None
    if not isinstance(value, dict):
        raise ControlError("bad", "the adapter's answer cannot be read")
    return value


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
