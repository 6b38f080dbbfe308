"""The programs of a scene: one bootstrap server, adapters, phones; each a real process.  I/O: processes, udp."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from overlay.ring.ids import spelt
from tests.support.programs import Program, ProgramFailed, command
from tests.support.sip_client import SipClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
NAMES = (
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "mallory",
    "niaj",
    "olivia",
)
"""Example users, the two who talk first."""

START_S = 30.0
"""How long a program may take to be ready on a busy machine."""


@dataclass(slots=True, kw_only=True)
class Cast:
    """Every process of the demo, ended with it whatever happens."""

    folder: Path
    """Scratch folder: state directories, logs and recordings."""

    host: str = HOST
    """Where everything of it listens: an IP literal of this host."""
    other_host: str = ""
    """An address of the other family, for a bootstrap server in both rings."""
    bootstrap: Program | None = None
    adapters: dict[str, Program] = field(default_factory=dict)
    sip: dict[str, tuple[str, int]] = field(default_factory=dict)
    """SIP address of each user's adapter."""
    phones: list[Program] = field(default_factory=list)
    plain_phones: list[SipClient] = field(default_factory=list)
    bootstrap_address: str = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for phone in self.plain_phones:
            phone.close()
        programs = [*self.phones, *self.adapters.values(), *([self.bootstrap] if self.bootstrap else [])]
        await asyncio.gather(*(program.stop() for program in programs))

    def state(self, user: str) -> str:
        """Give the state directory of a user's device."""
        return str(self.folder / user)

    async def start_bootstrap(self, *, k: int, n: int) -> None:
        """Start the bootstrap server and wait until it can be asked."""
        self.bootstrap = await Program.start(
            "bootstrap",
            [
                command("secp2psip-bootstrap"),
                *_each("--listen", self.host, self.other_host),
                *("--data", str(self.folder / "bootstrap"), "--overlay", "demo"),
                *("--threshold", str(k), "--pieces", str(n), "--enrolments-per-day", "0"),
                *("--json", "--trace", "--no-announce"),
            ],
            folder=self.folder,
        )
        ready = await self.bootstrap.expect(is_event("ready"), within_s=START_S, what="ready")
        self.bootstrap_address = spelt((ready["host"], ready["port"]))

    async def start_adapter(
        self, user: str, *options: str, program: Sequence[str] | None = None, rings: tuple[str, ...] = ()
    ) -> None:
        """Start one user's adapter with further options and wait until its SIP port is open.

        `program` stands in for `secp2psip`; `rings` are its addresses for the ring, where they are not the scene's.
        """
        argv, here = list(program or (command("secp2psip"),)), rings or (self.host,)
        running = await Program.start(
            f"adapter {user}",
            [
                *(*argv, "adapter", "--user", user),
                *("--bootstrap", self.bootstrap_at(":" in here[0]), "--sip", spelt((self.host, 0))),
                *_each("--ring", *here),
                *("--state", self.state(user), "--json", "--trace"),
                *options,
            ],
            folder=self.folder,
        )
        self.adapters[user] = running
        ready = await running.expect(is_event("ready"), within_s=START_S, what="ready")
        host, port = str(ready["sip"]).rsplit(":", 1)
        self.sip[user] = (host.strip("[]"), int(port))

    def bootstrap_at(self, six: bool) -> str:  # noqa: FBT001 -- one of two families
        """Return the bootstrap server's address in the family that is wanted, if it has one there."""
        port = self.bootstrap_address.rpartition(":")[2]
        hosts = [self.host, *filter(None, [self.other_host])]
        return f"{spelt((next((host for host in hosts if (':' in host) is six), self.host), ''))}{port}"

    async def register(self, user: str, *, expires_s: int = 600) -> None:
        """REGISTER `user` from a bare SIP phone and insist on 200 OK."""
        phone = await SipClient().open(self.host)
        self.plain_phones.append(phone)
        response = await phone.register(user, self.sip[user], expires_s=expires_s)
        if not response.startswith("SIP/2.0 200"):
            raise ProgramFailed(f"{user}'s REGISTER was answered {response.splitlines()[0]}")

    async def unregister(self, user: str) -> None:
        """Take the bare phone's binding of `user` away again, so that the real phone is the only one."""
        phone = await SipClient().open(self.host)
        self.plain_phones.append(phone)
        where = spelt(self.sip[user])
        message = phone.request(
            "REGISTER", f"sip:{where}", user, to=f"sip:{user}@{where}", headers=("Expires: 0",)
        ).replace(f"Contact: <sip:{user}@{spelt(phone.address)}>", "Contact: *")
        response = await phone.ask(message, self.sip[user])
        if not response.startswith("SIP/2.0 200"):
            raise ProgramFailed(f"{user} could not be unregistered: {response.splitlines()[0]}")

    async def listen(self, user: str, *, play: Path, record: Path, auto_answer: bool = True) -> Program:
        """Start `user`'s phone and wait until it can be called."""
        phone = await Program.start(
            f"phone {user}",
            [
                *(command("secp2psip"), "listen", "--user", user, "--state", self.state(user)),
                *("--play", str(play), "--record", str(record), "--json"),
                *(["--auto-answer"] if auto_answer else []),
            ],
            folder=self.folder,
        )
        self.phones.append(phone)
        await phone.expect(is_event("listening"), within_s=START_S, what="listening")
        return phone

    async def call(self, callee: str, *, user: str, play: Path, record: Path, duration_s: float) -> Program:
        """Let `user`'s phone call `callee`; returns at once."""
        phone = await Program.start(
            f"call {user} {callee} {len(self.phones)}",
            [
                *(command("secp2psip"), "call", callee, "--user", user, "--state", self.state(user)),
                *("--play", str(play), "--record", str(record), "--duration", str(duration_s), "--json"),
            ],
            folder=self.folder,
        )
        self.phones.append(phone)
        return phone

    async def ask(self, user: str, *words: str) -> dict[str, Any]:
        """Run one command against `user`'s running adapter and return its JSON answer."""
        program = await Program.start(
            f"ask {user} {words[0]}",
            [command("secp2psip"), *words, "--state", self.state(user), "--json"],
            folder=self.folder,
        )
        try:
            if await program.wait(START_S) != 0 or not program.events:
                raise ProgramFailed(f"secp2psip {' '.join(words)} failed\n{program.tail()}")
            return program.events[-1]
        finally:
            await program.stop()


def _each(option: str, *hosts: str) -> list[str]:
    return [word for host in hosts if host for word in (option, spelt((host, 0)))]


def is_event(name: str, **wanted: object) -> Any:
    """Return a predicate for the event `name` whose members are as given."""

    def matches(event: dict[str, Any]) -> bool:
        return event.get("event") == name and all(event.get(key) == value for key, value in wanted.items())

    return matches


async def together(work: list[Awaitable[None]]) -> None:
    """Run all of it at once; the first failure is raised."""
    await asyncio.gather(*work)
