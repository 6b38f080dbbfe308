"""Photograph the commands in terminals of 60 and 120 columns: docs/screens/.  I/O: processes, files.

Everything is real: a ring of eight nodes on 127.0.0.1, bob's phone that rings, alice's that calls, and who presses the
keys is this script. A capture that shows this machine's name or a path of it is not kept.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.sound import SoundServer
from tests.interop.tool import Tool
from tests.screens.terminal import Terminal
from tests.support.cast import NAMES, Cast
from tests.support.programs import ProgramFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

OUT = Path(__file__).parents[2] / "docs" / "screens"
WIDTHS = (60, 120)
NODES = 7
"""Adapters beside the bootstrap server's node: enough that keys rest on witnesses."""
QUESTIONS = {
    "lookup": "secp2psip lookup bob",
    "ring": "secp2psip ring --name bob",
    "status": "secp2psip status",
    "calls": "secp2psip calls",
    "contacts": "secp2psip contacts",
    "doctor": "secp2psip doctor",
    "devices": "secp2psip devices",
}


def main() -> int:
    """Take every picture; 0 where all came out."""
    missing = [name for name in ("tmux", "pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)} (apt install tmux pulseaudio pulseaudio-utils)", file=sys.stderr)  # noqa: T201 - what the script says
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="secp2psip-screens-") as folder:
            asyncio.run(_photograph(Path(folder)))
    except ProgramFailed as error:
        print(error, file=sys.stderr)  # noqa: T201 - what the script says
        return 1
    return 0


async def _photograph(folder: Path) -> None:
    async with Cast(folder=folder) as cast:
        await cast.start_bootstrap(k=3, n=7)
        for user in NAMES[:NODES]:
            await cast.start_adapter(user)
            await cast.register(user)
        for user in ("alice", "bob"):
            await cast.unregister(user)
        sound = SoundServer(folder / "sound")
        await sound.start()
        people: list[Tool] = []
        try:
            people += [await _speak(user, sound) for user in ("alice", "bob")]
            for columns in WIDTHS:
                await _at(cast, sound, columns)
        finally:
            for person in people:
                await person.stop()
            await sound.stop()


async def _speak(user: str, sound: SoundServer) -> Tool:
    """Let a person speak into the microphone, again and again."""
    voice = files("adapter.softphone") / "data" / f"{user}.wav"
    line = f"until pactl info >&2; do sleep 0.1; done; while paplay --device=mic_{user[0]} '{voice}'; do :; done"
    env = {"PULSE_SERVER": f"unix:{sound.socket}"}
    return await Tool.start(f"voice of {user}", ["sh", "-c", line], log=sound.folder / f"{user}.log", env=env)


async def _at(cast: Cast, sound: SoundServer, columns: int) -> None:
    homes = [cast.folder / f"{user}-{columns}" for user in ("alice", "bob")]
    for home in homes:
        home.mkdir()
    alice = await Terminal.open(homes[0], columns=columns, env=_env(cast, "alice", sound))
    bob = await Terminal.open(homes[1], columns=columns, env=_env(cast, "bob", sound))
    try:
        await bob.type("secp2psip listen")
        await bob.see("bob can be called, Ctrl-C ends")
        await alice.type("secp2psip call bob")
        _keep(f"listen-ringing-{columns}", await bob.see("a answers"))
        _keep(f"call-ringing-{columns}", await alice.see("phone rings"))
        await bob.press("a")
        await alice.see("in call with bob")
        await bob.see("in call with alice")
        await alice.press("m")
        await alice.see("(muted)")
        await alice.see("bob |")  # his voice on the meter
        _keep(f"call-talking-{columns}", await alice.look())
        _keep(f"listen-talking-{columns}", await bob.look())
        await alice.press("h")
        _keep(f"call-{columns}", await alice.done())
        _keep(f"listen-{columns}", await bob.see("bob can be called, Ctrl-C ends"))
        for name, line in QUESTIONS.items():
            await alice.clear()
            await alice.type(line)
            _keep(f"{name}-{columns}", await alice.done())
    finally:
        await alice.close()
        await bob.close()


def _env(cast: Cast, user: str, sound: SoundServer) -> Mapping[str, str]:
    """Return the variables with which a user's commands find state directory and headset with no option."""
    home = cast.folder / f"home-{user}"
    if not home.exists():
        home.mkdir()
        (home / "secp2psip").symlink_to(cast.state(user))
    headset = {"PULSE_SOURCE": f"mic_{user[0]}.monitor", "PULSE_SINK": f"spk_{user[0]}"}
    server = {"PULSE_SERVER": f"unix:{sound.socket}", "XDG_RUNTIME_DIR": str(sound.folder)}
    return {"XDG_STATE_HOME": str(home), "TZ": "UTC", "USER": user} | headset | server


def _keep(name: str, text: str) -> None:
    """Write one picture, unless it shows where it was taken."""
    for secret in (socket.gethostname(), tempfile.gettempdir(), str(Path.home())):
        if secret in text:
            raise ProgramFailed(f"{name} shows {secret!r}\n{text}")
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.txt").write_text(text)
    print(OUT / f"{name}.txt")  # noqa: T201 - what the script says


if __name__ == "__main__":
    sys.exit(main())
