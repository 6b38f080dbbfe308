"""The command `secp2psip-bootstrap`: flags in, a running server or a list of names out.  I/O: terminal, signals, files.

Wrong use is one ``error:`` line, one ``hint:`` line and exit code 2.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from bootstrap.accounts import Accounts, OverlayFacts
from bootstrap.admission import DEFAULT_ENROLMENTS_PER_DAY, Admission, Policy
from bootstrap.announce import Announcer, announce
from bootstrap.keys import ACCOUNTS_FILE
from bootstrap.office import add_office_commands, run_office_command
from bootstrap.problems import PROGRAM, ExitCode, Parser, Trouble, UsageProblem, describe, exit_codes
from bootstrap.screen import TICKS_PER_SECOND, Screen, make_screen
from bootstrap.server import BootstrapServer, ServerConfig
from overlay.errors import LocalError, Secp2psipError
from overlay.ring.addresses import lan_address
from overlay.trust.shamir import check_threshold
from overlay.wire.enrolment_messages import MAX_CODE_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

DISTRIBUTION: Final = "secp2psip"
DEFAULT_PORT: Final = 5480
DEFAULT_OVERLAY: Final = "secp2psip"
DEFAULT_K: Final = 3
DEFAULT_N: Final = 7
MAX_PORT: Final = 65_535

_ADDRESS_HINT: Final = "write HOST:PORT, for example 192.168.1.10:5480"
_CODE_HINT: Final = "write the code into a file of its own, as one line of ASCII: echo open-sesame > code"

_EPILOG: Final = """\
examples:
  secp2psip-bootstrap                                  on the LAN address, port 5480
  secp2psip-bootstrap --threshold 4 --pieces 10        ten pieces, any four rebuild a key
  secp2psip-bootstrap --listen 192.168.1.10:5480 --listen [2001:db8::10]:5480   for hosts of either family
  secp2psip-bootstrap --listen 127.0.0.1:0 --json --enrolments-per-day 0   for a script on one host
  secp2psip-bootstrap --admission invite               only who has an invite
  secp2psip-bootstrap invites add --uses 5 --days 14   print a code that lets five devices in
  secp2psip-bootstrap names list                       who has which name
  secp2psip-bootstrap names release alice              let somebody else, or alice with new keys, have the name

secp2psip-bootstrap --version names the version: adapters and server have to be of the same.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    where = f"port {DEFAULT_PORT}"
    if words[:1] in (["--version"], ["-V"]):
        print(f"{PROGRAM} {_version()}")  # noqa: T201 - the command's output
        return ExitCode.OK
    try:
        options = _parser().parse_args(words)
        where = " and ".join(options.listen or [where])
        return _run(options)
    except (Secp2psipError, OSError) as error:
        return _fail(describe(error, where=where), as_json="--json" in words)


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow to import, and seldom asked for

    return version(DISTRIBUTION)


def _run(options: argparse.Namespace) -> int:
    if options.data is None:
        raise UsageProblem("there is no home directory", hint="set HOME, or name a place with --data DIR")
    if options.command is not None:
        return run_office_command(options)
    config, warning = _config(options)
    screen = make_screen(as_json=options.json, trace=options.trace, out=sys.stdout)
    asyncio.run(_serve(config, screen, warning, announced=options.announce))
    return ExitCode.OK


async def _serve(config: ServerConfig, screen: Screen, warning: str, *, announced: bool) -> None:
    """Run a server until SIGINT or SIGTERM, then leave the ring."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = BootstrapServer(config, report=screen.show)
    try:
        if warning:
            screen.show({"event": "warning", "text": warning})
        await server.open()
        announcers: list[Announcer | None] = []
        try:
            screen.watch(server.members)
            key, name = bytes.fromhex(server.fingerprint), config.facts.name
            where = server.addresses if announced else []
            announcers = [await announce(address, overlay=name, key=key, report=screen.show) for address in where]
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1 / TICKS_PER_SECOND):
                        await stop.wait()
                screen.tick()
        finally:
            screen.close()
            for announcer in filter(None, announcers):
                await announcer.close()
            await server.close()
    finally:
        screen.close()


def _config(options: argparse.Namespace) -> tuple[ServerConfig, str]:
    """Return what the flags ask for, over what the data directory is, and a warning about the address or nothing."""
    facts = _facts(options)
    host, other_host, port, warning = _addresses(options.listen)
    policy = Policy(
        admission=Admission(options.admission),
        enrolments_per_day=options.enrolments_per_day,
        code=_code(options.code_file),
    )
    config = ServerConfig(host=host, other_host=other_host, port=port, data=options.data, facts=facts, policy=policy)
    return config, warning


def _facts(options: argparse.Namespace) -> OverlayFacts:
    """Return name and threshold: the flags', else those of the data directory, else the defaults."""
    before = None
    if (options.data / ACCOUNTS_FILE).exists():
        with Accounts(options.data / ACCOUNTS_FILE) as accounts:
            before = accounts.overlay()
    before = before or OverlayFacts(name=DEFAULT_OVERLAY, k=DEFAULT_K, n=DEFAULT_N)
    k = before.k if options.threshold is None else options.threshold
    n = before.n if options.pieces is None else options.pieces
    try:
        check_threshold(k, n)
    except LocalError as error:
        hint = f"choose at least 3K-2 pieces, for example --threshold {DEFAULT_K} --pieces {DEFAULT_N}"
        raise UsageProblem(error.reason, hint=hint) from None
    return OverlayFacts(name=options.overlay or before.name, k=k, n=n)


def _addresses(listen: Sequence[str] | None) -> tuple[str, str, int, str]:
    """Return one host, perhaps one of the other family, their port, and a warning or nothing."""
    read = [*map(_address, listen or [""])]
    host, port, warning = read[0]
    if len(read) == 1:
        return host, "", port, warning
    other_host, other_port, _ = read[1]
    if len(read) > 2 or (":" in host) is (":" in other_host):  # noqa: PLR2004 - the two families
        hint = "write --listen 192.168.1.10:5480 --listen [2001:db8::10]:5480"
        raise UsageProblem("there is one ring of each family of addresses", hint=hint)
    if port != other_port:
        raise UsageProblem(f"the ports differ: {port} and {other_port}", hint="both families have the same port number")
    return host, other_host, port, warning


def _address(listen: str) -> tuple[str, int, str]:
    """Return host, port and a warning (or nothing) for `HOST:PORT`, `HOST`, `:PORT` or nothing."""
    host, port = "", str(DEFAULT_PORT)
    if listen:
        text = listen.strip()
        host, colon, port = text.rpartition(":")
        if not colon or port.endswith("]") or (text.count(":") > 1 and not text.startswith("[")):
            host, port = text, str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
            raise UsageProblem(f"{listen} has no port from 0 to {MAX_PORT}", hint=_ADDRESS_HINT)
    if not host:
        found = lan_address()
        return found.host, int(port), found.warning
    try:
        address = ip_address(host)
    except ValueError:
        raise UsageProblem(f"{host!r} is no IP address", hint=_ADDRESS_HINT) from None
    if address.is_unspecified or address.is_multicast:
        hint = "name this host's own, or leave --listen out"
        raise UsageProblem(f"{host} is no address that others can reach", hint=hint)
    return str(address), int(port), ""


def _code(path: Path | None) -> str:
    """Read the enrolment code; it comes from a file so that it does not stand in the list of processes."""
    if path is None:
        return ""
    try:
        code = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageProblem(f"the enrolment code in {path} cannot be read", hint=_CODE_HINT) from None
    if not 1 <= len(code) <= MAX_CODE_CHARS or not code.isprintable():
        text = f"the enrolment code in {path} is not one line of 1 to {MAX_CODE_CHARS} characters"
        raise UsageProblem(text, hint=_CODE_HINT)
    return code


def _fail(trouble: Trouble, *, as_json: bool) -> int:
    if as_json:
        row = {"event": "error", "code": trouble.code, "error": trouble.error, "hint": trouble.hint}
        print(json.dumps(row), flush=True)  # noqa: T201 - the command's output
    print(f"error: {trouble.error}\nhint: {trouble.hint}", file=sys.stderr)  # noqa: T201 - the command's output
    return trouble.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description="Let users register their names once; after that the ring needs this server no more.",
        epilog=f"{_EPILOG}\n{exit_codes()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help=f"address for TCP and UDP (default: the LAN address, port {DEFAULT_PORT}); given twice, once with IPv4 and"
        " once with IPv6, the server is in both rings",
    )
    add("--threshold", type=int, metavar="K", help=f"pieces that rebuild a key (default {DEFAULT_K})")
    add("--pieces", type=int, metavar="N", help=f"pieces dealt for a key, at least 3K-2 (default {DEFAULT_N})")
    add("--overlay", metavar="NAME", help=f"name of the overlay (default {DEFAULT_OVERLAY})")
    add(
        "--enrolments-per-day",
        type=int,
        default=DEFAULT_ENROLMENTS_PER_DAY,
        metavar="N",
        help=f"new devices per source address and day, 0 for no limit (default {DEFAULT_ENROLMENTS_PER_DAY})",
    )
    add(
        "--admission",
        choices=[choice.value for choice in Admission],
        default=Admission.OPEN.value,
        help="who may register: everybody, who has an invite (see: invites), or admitted names (see: names admit)",
    )
    add("--code-file", type=Path, metavar="FILE", help="file with the enrolment code that a registration must carry")
    add(
        "--no-announce",
        dest="announce",
        action="store_false",
        help="do not announce this server on the network: its address has to be typed then",
    )
    add("--trace", "-v", action="store_true", help="show each protocol step")
    _add_shared(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", description="none: run the server"
    )
    add_office_commands(commands, lambda parser: _add_shared(parser, again=True))
    return parser


def _add_shared(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add the flags of every command; given before the command's name, they keep their value (`again`)."""
    data: Path | None = None
    with contextlib.suppress(RuntimeError):  # a user without a home has to name a place
        data = platformdirs.user_data_path("secp2psip-bootstrap")
    quiet = argparse.SUPPRESS
    parser.add_argument(
        "--data", type=Path, default=quiet if again else data, metavar="DIR", help=f"keys and books (default {data})"
    )
    parser.add_argument(
        "--json", action="store_true", default=quiet if again else False, help="one JSON object a line, for programs"
    )


if __name__ == "__main__":
    sys.exit(main())
