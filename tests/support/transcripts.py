"""Sessions at a terminal, written down and replayed against the real programs.  I/O: files, processes.

A transcript is a text file::

    # a comment; three of them are orders:
    # file users/alice.key: text     makes that file in $STATE, mode 600, before anything runs (\\n is a new line)
    # ring                           the sessions want the shared ring: $ALICE, $BOB ... are state directories there
    # sound                          the sessions want a sound server

    $ secp2psip call bob             a command; NAME=value before it stays set for the commands that follow
    calling bob ...                  its standard output: "..." alone is any lines, inside a line any text, and
                                     {ID} any text that $ID stands for in the commands that follow
    ~                                what follows need not wait for the end: so far it has come, and it runs on
    ^C                               when everything else has ended, it gets a Ctrl-C
    ! error: ...                     its standard error
    [4]                              its exit code

    ^C                               between commands: what runs on gets its Ctrl-C now

$STATE is an empty directory of the file's own; commands run in its parent, which is also $HOME.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent.parent / "transcripts"
PROGRAMS = Path(sys.executable).parent
_NAMED = re.compile(r"\\\{([A-Z]+)\\\}")
GOING_ON, CTRL_C, ANY = "~", "^C", "..."
END_S = 30.0
"""How long a command may take on a busy machine."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One command and what it has to say."""

    command: str
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    code: int | None = None
    ends_others: bool = False
    """Whether what runs on is interrupted after it."""

    @property
    def words(self) -> list[str]:
        """The command's words, variables set in front of it left out."""
        words = shlex.split(self.command)
        while "=" in words[0]:
            words.pop(0)
        return words

    @property
    def so_far(self) -> list[str] | None:
        """What comes before the next command may begin; None where that is everything."""
        return self.out[: self.out.index(GOING_ON)] if GOING_ON in self.out else None

    @property
    def is_interrupted(self) -> bool:
        """Whether it ends by Ctrl-C."""
        return CTRL_C in self.out


@dataclass(slots=True, kw_only=True)
class Transcript:
    """One file of sessions."""

    path: Path
    sessions: list[Session]
    files: dict[str, str]
    orders: frozenset[str]
    """"ring", "sound"."""


def read_transcript(path: Path) -> Transcript:
    """Read a file. Raises ValueError for a line that belongs to no command."""
    sessions: list[Session] = []
    files, orders = {}, set()
    for line in path.read_text().splitlines():
        last = sessions[-1] if sessions and sessions[-1].code is None else None
        if line.startswith("$ "):
            sessions.append(Session(command=line[2:]))
        elif last is not None and line.startswith("! "):
            last.err.append(line[2:])
        elif last is not None and (match := re.fullmatch(r"\[(\d+)\]", line)):
            last.code = int(match[1])
        elif last is not None:
            last.out.append(line)
        elif line == CTRL_C and sessions:
            sessions[-1].ends_others = True
        elif match := re.fullmatch(r"# file (\S+): (.*)", line):
            files[match[1]] = match[2].replace("\\n", "\n")
        elif line in {"# ring", "# sound"}:
            orders.add(line[2:])
        elif line and not line.startswith("#"):
            raise ValueError(f"{path.name}: {line!r} belongs to no command")
    return Transcript(path=path, sessions=sessions, files=files, orders=frozenset(orders))


def all_transcripts() -> list[Transcript]:
    """Return every transcript there is."""
    return [read_transcript(path) for path in sorted(FOLDER.glob("*.txt"))]


def pattern(lines: Sequence[str], places: Mapping[str, str]) -> re.Pattern[str]:
    """Return what the lines match; $NAME in them stands for a place."""
    parts = []
    for line in lines:
        if line == ANY:
            parts.append(r"(?:.*\n)*?")
        elif line not in {GOING_ON, CTRL_C}:
            pieces = [re.escape(_filled(piece, places)) for piece in line.split(ANY)]
            parts.append(_NAMED.sub(r"(?P<\1>.+?)", ".*".join(pieces)) + r"\n")
    return re.compile("".join(parts))


async def replay(transcript: Transcript, *, home: Path, places: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Run the sessions one after the other; AssertionError with what was said where it is not what is written."""
    state = home / "state"
    state.mkdir(mode=0o700)
    places = dict(places) | {"STATE": str(state)}
    for name, text in transcript.files.items():
        (state / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / name).write_text(_filled(text, places))
        (state / name).chmod(0o600)
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "SECP2PSIP_"))}
    surroundings = keep | {"HOME": str(home), "USER": "alice", "COLUMNS": "100", "PYTHONUNBUFFERED": "1"} | dict(env)
    waiting: list[_Running] = []
    try:
        for session in transcript.sessions:
            for word in shlex.split(session.command):
                if "=" not in word:
                    break
                surroundings |= dict([word.split("=", 1)])
            running = await _Running.start(session, places, surroundings, home)
            waiting.append(running)
            if session.so_far is None:
                places |= await running.finish()
                waiting.remove(running)
            else:
                await running.reach(session.so_far)
            if session.ends_others:
                await _end(waiting)
        await _end(waiting)
    finally:
        for running in waiting:
            await running.kill()


async def _end(waiting: list[_Running]) -> None:
    """Wait for what runs on, those that need a Ctrl-C last, the latest of them first."""
    latest_first = waiting[::-1]
    for running in sorted(latest_first, key=lambda one: one.session.is_interrupted):
        await running.finish()
        waiting.remove(running)


class _Running:
    """One command that runs."""

    def __init__(self, session: Session, places: Mapping[str, str], process: asyncio.subprocess.Process) -> None:
        self.session = session
        self._places, self._process = places, process
        self._out = self._err = ""
        self._news = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(process.stdout, err=False)),
            asyncio.create_task(self._read(process.stderr, err=True)),
        ]

    @classmethod
    async def start(cls, session: Session, places: Mapping[str, str], env: Mapping[str, str], home: Path) -> _Running:
        words = [_filled(word, places) for word in session.words]
        assert words[0] in {"secp2psip", "secp2psip-bootstrap"}, f"{words[0]} is none of our programs"
        process = await asyncio.create_subprocess_exec(
            str(PROGRAMS / words[0]),
            *words[1:],
            env=env,
            cwd=home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(session, places, process)

    async def reach(self, lines: Sequence[str]) -> None:
        """Wait until these lines have come."""
        wanted = pattern(lines, self._places)
        try:
            async with asyncio.timeout(END_S):
                while not wanted.match(self._out):
                    assert not self._readers[0].done(), f"it ended too early\n{await self._told()}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"it does not come that far\n{await self._told()}") from None

    async def finish(self) -> dict[str, str]:
        """Wait for the end and compare; the texts that were named."""
        if self.session.is_interrupted:
            self._process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
                await asyncio.gather(*self._readers)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"it does not end\n{await self._told()}") from None
        told = await self._told()
        assert "Traceback" not in self._out + self._err, told
        match = pattern(self.session.out, self._places).fullmatch(self._out)
        assert match, told
        assert pattern(self.session.err, self._places).fullmatch(self._err), told
        assert self._process.returncode == self.session.code, told
        return match.groupdict()

    async def kill(self) -> None:
        """End it and all that it started, whatever it does."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        await self._process.wait()

    async def _read(self, stream: asyncio.StreamReader, *, err: bool) -> None:
        while data := await stream.readline():
            if err:
                self._err += data.decode()
            else:
                self._out += data.decode()
            self._news.set()
        self._news.set()

    async def _told(self) -> str:
        return f"$ {self.session.command}\n{self._out}--- stderr\n{self._err}[{self._process.returncode}]"


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(f"${name}", place)
    return text
