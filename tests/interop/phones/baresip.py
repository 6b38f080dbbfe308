"""baresip: a file for its microphone, sndfile for what it hears, netstrings on a TCP port for its keys.  I/O: tcp."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.interop.phones.base import Phone
from tests.interop.tool import InteropFailed, run

if TYPE_CHECKING:
    from pathlib import Path

_MODULES = "/usr/lib/baresip/modules"
_CONTROL_PORT = 4444


class Baresip(Phone):
    kind = "baresip"
    program = "baresip"
    transports = frozenset({"udp", "tcp"})

    async def start(self) -> None:
        seat, folder = self.seat, self.seat.folder
        (folder / "heard").mkdir(exist_ok=True)
        transport = "" if seat.transport == "udp" else f";transport={seat.transport}"
        mode = "auto" if seat.answers else "manual"
        (folder / "accounts").write_text(
            f"<sip:{seat.user}@{seat.domain}{transport}>;auth_pass={seat.password or 'none'}"
            f";regint={seat.expires_s};answermode={mode}{';mediaenc=srtp-mand' if seat.srtp else ''}\n"
        )
        (folder / "contacts").write_text("")
        listen = f"[{seat.host}]" if ":" in seat.host else seat.host
        modules = ("aufile", "aubridge", "sndfile", "g711", "uuid", *(["srtp"] if seat.srtp else []))
        lines = [
            "poll_method epoll",
            f"sip_listen {listen}:{seat.port}",
            "call_local_timeout 120",
            "call_max_calls 1",
            "audio_player aubridge,nil",
            f"audio_source aufile,{seat.voice.long}",
            "audio_alert aufile,/dev/null",
            *(f"{name} 8000" for name in ("ausrc_srate", "auplay_srate")),
            *(f"{name} 1" for name in ("ausrc_channels", "auplay_channels")),
            *(f"{name} s16" for name in ("ausrc_format", "auplay_format")),
            "audio_txmode poll",
            "jitter_buffer_delay 5-10",
            f"module_path {_MODULES}",
            *(f"module {name}.so" for name in modules),
            "module_tmp account.so",
            "module_app menu.so",
            "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{_CONTROL_PORT}",
            f"snd_path {folder / 'heard'}",
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        await self.run("baresip", "-6" if ":" in seat.host else "-4", "-s", "-f", str(folder))

    async def _press(self, command: str, params: str = "") -> None:
        message = json.dumps({"command": command, "params": params, "token": "t"})
        script = (  # the port is open on the host's loopback alone, so the key is pressed there
            "import socket,sys,time\n"
            "for n in range(50):\n"
            " try: s=socket.create_connection(('127.0.0.1',int(sys.argv[2])),2); break\n"
            " except OSError: time.sleep(.1)\n"
            "b=sys.argv[1].encode(); s.sendall(b'%d:%s,'%(len(b),b)); s.settimeout(3); print(s.recv(65536))\n"
        )
        await run(*self.seat.prefix, "python3", "-c", script, message, str(_CONTROL_PORT))

    async def call(self, name: str) -> None:
        # ;transport= is added from the account, twice is once too often
        await self._press("dial", self.target(name))

    async def hang_up(self) -> None:
        await self._press("hangup")

    async def stop(self) -> None:
        if self._tool is not None:
            await self._tool.stop("q")

    @property
    def recording(self) -> Path:
        # its buffer for the name is short: the suffix may be missing
        found = sorted((self.seat.folder / "heard").glob("dump-*-dec*"))
        if not found:
            raise InteropFailed("baresip recorded nothing")
        return found[-1]
