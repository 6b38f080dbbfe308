"""The control socket's server: other processes of the same user ask the running adapter.  I/O: a Unix socket.

Protocol, version 1, one JSON object a line. Request ``{"v":1,"id":7,"do":"lookup","aor":"bob"}``; answer
``{"v":1,"id":7,"ok":true,...}`` or ``{"v":1,"id":7,"ok":false,"code":"name_unknown","error":"...","hint":"..."}``.
Requests of one connection are answered in order. ``{"do":"watch"}`` is answered once and turns the connection into a
stream of ``{"event":...}`` lines until either side closes. A watcher that does not read is dropped: the adapter never
waits for a screen.

The socket is 0600 in a 0700 directory, and the kernel is asked who is at the other end (SO_PEERCRED): another user is
refused. [unix(7)]
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from adapter.problems import Trouble, describe
from adapter.sockets import bind_unix
from overlay.errors import LocalError, Secp2psipError

VERSION: Final = 1
MAX_REQUEST_BYTES: Final = 16_384
MAX_CONNECTIONS: Final = 32
MAX_WATCHER_QUEUE: Final = 512
"""Events waiting for one watcher; a call makes about ten."""
CLOSE_TIMEOUT_S: Final = 1.0
WATCH: Final = "watch"

Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_logger = logging.getLogger(__name__)


class ControlServer:
    """Answers requests with the given commands and hands events to every watcher."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        if WATCH in commands:
            raise LocalError("watch is the server's own command")
        self._path = path
        self._commands = dict(commands)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._watchers: dict[asyncio.StreamWriter, asyncio.Queue[bytes]] = {}

    @property
    def watchers(self) -> int:
        """How many connections read the stream of events now."""
        return len(self._watchers)

    async def start(self) -> None:
        """Open the socket; what an adapter that died left at its place is removed (the state lock says it is dead)."""
        self._path.unlink(missing_ok=True)
        sock = bind_unix(self._path)
        try:
            self._server = await asyncio.start_unix_server(self._accept, sock=sock, limit=MAX_REQUEST_BYTES)
        except BaseException:
            sock.close()
            raise

    async def stop(self) -> None:
        """Close every connection and remove the socket. A request under way is cancelled."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self._path.unlink(missing_ok=True)
        current = asyncio.current_task()
        ending = [task for task in self._connections if task is not current]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def publish(self, event: Mapping[str, Any]) -> None:
        """Queue `event` for every watcher; never waits. A watcher whose queue is full loses its connection."""
        if not self._watchers:
            return
        line = _encode(dict(event))
        for writer, queue in list(self._watchers.items()):
            try:
                queue.put_nowait(line)
            except asyncio.QueueFull:
                _logger.info("a watcher of the control socket does not read: dropped")
                del self._watchers[writer]
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if not _same_user(writer.get_extra_info("socket")):
                writer.write(_refusal(None, Trouble(code="forbidden", error="another user's adapter", hint="")))
            elif len(self._connections) > MAX_CONNECTIONS:
                text = "too many programs talk to this adapter"
                writer.write(_refusal(None, Trouble(code="busy", error=text, hint="end one of them")))
            else:
                await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the other side went away, or stop() ends us: nobody is left to tell
        finally:
            self._connections.discard(task)
            self._watchers.pop(writer, None)
            await _hang_up(writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                # what follows cannot be told from the middle of a line, so the connection ends here
                text = f"a request is longer than {MAX_REQUEST_BYTES} bytes"
                writer.write(_refusal(None, Trouble(code="bad", error=text, hint="")))
                return
            request = _decode(line)
            if isinstance(request, dict) and request.get("do") == WATCH:
                await self._stream(request, reader, writer)
                return
            writer.write(await self._answer(request))
            await writer.drain()

    async def _answer(self, request: dict[str, Any] | Trouble) -> bytes:
        if isinstance(request, Trouble):
            return _refusal(None, request)
        number = request["id"]
        command = self._commands.get(request["do"])
        if command is None:
            known = ", ".join(sorted([*self._commands, WATCH]))
            trouble = Trouble(code="bad", error=f"no command {request['do']!r}", hint=f"there are: {known}")
            return _refusal(number, trouble)
        try:
            answer = await command({key: value for key, value in request.items() if key not in {"v", "id", "do"}})
            return _encode({"v": VERSION, "id": number, "ok": True} | answer)
        except (Secp2psipError, OSError) as error:
            return _refusal(number, describe(error))
        except Exception as error:
            _logger.exception("the command %s failed", request["do"])
            return _refusal(number, describe(error))

    async def _stream(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_WATCHER_QUEUE)
        self._watchers[writer] = queue
        writer.write(_encode({"v": VERSION, "id": request["id"], "ok": True}))
        closed = asyncio.create_task(_until_closed(reader))

        def hang_up(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                writer.transport.abort()  # ends a drain() that waits for a reader which is gone
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(b"")

        closed.add_done_callback(hang_up)
        try:
            await writer.drain()
            while line := await queue.get():
                writer.write(line)
                await writer.drain()
        except asyncio.CancelledError:
            while not queue.empty():  # the last words of an adapter that stops
                writer.write(queue.get_nowait())
            raise
        finally:
            closed.cancel()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Send what is buffered and close; a reader that takes nothing is cut off."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await writer.wait_closed()
    except (TimeoutError, ConnectionError):
        writer.transport.abort()


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """Return when the watcher hangs up; what it sends meanwhile is thrown away, a chunk at a time."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(MAX_REQUEST_BYTES):
            pass


def _same_user(sock: socket.socket) -> bool:
    """Say whether the process at the other end runs as this user, or as root."""
    size = struct.calcsize("3i")
    _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in {os.geteuid(), 0}


def _decode(line: bytes) -> dict[str, Any] | Trouble:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return Trouble(code="bad", error="a request is one JSON object on one line", hint="")
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        return Trouble(code="bad", error="a request names what to do", hint='for example {"v":1,"id":1,"do":"status"}')
    if request.get("v") != VERSION:
        text = f"the adapter speaks version {VERSION} of the control protocol"
        return Trouble(code="bad", error=text, hint="adapter and command should come from the same installation")
    number = request.setdefault("id", None)
    if number is not None and not isinstance(number, int):
        return Trouble(code="bad", error="the id of a request is a number", hint="")
    return request


def _refusal(number: int | None, trouble: Trouble) -> bytes:
    answer = {"v": VERSION, "id": number, "ok": False, "code": trouble.code, "error": trouble.error}
    return _encode(answer | ({"hint": trouble.hint} if trouble.hint else {}))


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: object) -> str:
    """Return what JSON has no word for as text: bytes in hexadecimal, everything else as it prints itself."""
    return value.hex() if isinstance(value, bytes) else str(value)
