"""Options that several commands share, and the readers of their values.  I/O: none."""

import argparse
from pathlib import Path
from typing import Final

from adapter.config import DEFAULT_SIP_PORT
from adapter.passphrase import PASSWORD_VARIABLE
from adapter.pins import ACCEPT
from adapter.softphone.commands import CODECS

MAX_SECONDS: Final = 86_400.0
MAX_CALLS: Final = 1_000_000
MAX_LINES: Final = 32
"""Each three of them are a process of 60 MB, and a tenth of a processor while they talk."""


def seconds(text: str) -> float:
    """Return a length of time in seconds, above zero and at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= MAX_SECONDS:  # also refuses nan
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds between 0 and {MAX_SECONDS:g}")
    return value


def count(text: str) -> int:
    """Return a number of calls, at least one."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_CALLS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of calls")
    return int(text)


def lines(text: str) -> int:
    """Return a number of calls at a time, at least one."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_LINES):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines between 1 and {MAX_LINES}")
    return int(text)


def add_user(parser: argparse.ArgumentParser, *, who: str, several: bool = False) -> None:
    """Add --user; the command says `who` that is."""
    action = "append" if several else "store"
    parser.add_argument("--user", dest="users", action=action, metavar="NAME", help=who)


def add_via(parser: argparse.ArgumentParser, *, what: str) -> None:
    """Add --via and the password for it; the command says `what` it does through that adapter."""
    parser.add_argument(
        "--via",
        metavar="HOST:PORT",
        help=f"{what} through an adapter on another host, which has a password for --user in its [phones]",
    )
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=f"the password for --via is its first line (default: ${PASSWORD_VARIABLE}, else it is asked for)",
    )


def add_network(parser: argparse.ArgumentParser, *, fixed_port: bool = False) -> None:
    """Add what an adapter that is started needs to know; `fixed_port`: phones have its port typed into them."""
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        help="the bootstrap server (port 5480 if none is given), for a first time only (default: found by itself)",
    )
    parser.add_argument("--overlay", metavar="NAME", help="which overlay to find, where there are several here")
    sip_port = f"port {DEFAULT_SIP_PORT}" if fixed_port else "any port"
    parser.add_argument(
        "--sip",
        metavar="HOST:PORT",
        help=f"where phones reach this adapter (default: this machine's address, {sip_port})",
    )
    parser.add_argument(
        "--ring",
        action="append",
        metavar="HOST:PORT",
        help="where other nodes reach this adapter (default: this machine's address, any port); given twice, once with"
        " IPv4 and once with IPv6, it is in both rings",
    )
    parser.add_argument(
        "--accept",
        action="append",
        metavar="WHOM",
        help=f"whose calls are taken: {', '.join(ACCEPT)}; others are declined at once (default: everyone). Given again"
        " as USER=WHOM it is for one user alone",
    )
    parser.add_argument(
        "--invite",
        "--code",
        dest="code",
        metavar="CODE",
        help="invite or enrolment code, where the bootstrap server asks for one; it goes encrypted to the server's key",
    )
    parser.add_argument(
        "--overlay-key",
        dest="overlay_key",
        metavar="HEX",
        help="fingerprint of the only bootstrap server to trust, as it prints it",
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command has."""
    parser.add_argument(
        "--state", metavar="DIR", help="state directory: keys, enrolments, the running adapter's socket"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file (TOML)")
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output, for programs")
    parser.add_argument(
        "-v", "--trace", action="store_true", help="show every protocol step, with its time and details"
    )


def add_encryption(parser: argparse.ArgumentParser) -> None:
    """Add what may travel in the clear."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--require-encryption",
        action="store_true",
        help="no call that is not encrypted (default: none between built-in softphones; others may speak plainly)",
    )
    choice.add_argument(
        "--srtp",
        action="store_true",
        help="other makes of phone: encrypted sound or no call; its keys go in readable SIP, and nobody is verified",
    )
    choice.add_argument("--plain", action="store_true", help="encrypt nothing, with nobody: for looking at the wire")


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the choice of microphone and speaker."""
    parser.add_argument(
        "--mic", metavar="DEVICE", help="microphone, as secp2psip devices names it, or none (default: the usual one)"
    )
    parser.add_argument("--speaker", metavar="DEVICE", help="the same for the speaker")


def add_sound(parser: argparse.ArgumentParser) -> None:
    """Add microphone and speaker, and the files that stand for them."""
    add_devices(parser)
    parser.add_argument(
        "--play",
        type=Path,
        metavar="FILE.wav",
        help="what the other side hears, again and again, in place of a microphone",
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE.wav",
        help="write what the other side says, in place of a speaker; an older file goes",
    )
    parser.add_argument(
        "--codec",
        dest="codecs",
        action="append",
        choices=CODECS,
        help="how sound travels, the best first if several (default: G722, then PCMU and PCMA, which is G.711)",
    )
    parser.add_argument("--duration", type=seconds, metavar="S", help="hang up S seconds after the call is answered")
