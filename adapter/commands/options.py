"""Options that several commands share, and the readers of their values.  I/O: none."""

import argparse
from pathlib import Path
from typing import Final

from adapter.problems import UsageProblem

MAX_SECONDS: Final = 86_400.0
MAX_CALLS: Final = 1_000_000


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


def add_user(parser: argparse.ArgumentParser, *, who: str, several: bool = False) -> None:
    """Add --user; the command says `who` that is."""
    action = "append" if several else "store"
    parser.add_argument("--user", dest="users", action=action, metavar="NAME", help=who)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add what an adapter that is started needs to know."""
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        help="the bootstrap server (port 5480 if none is given); for a first time only",
    )
    parser.add_argument("--sip", metavar="HOST:PORT", help="where phones reach this adapter")
    parser.add_argument("--ring", metavar="HOST:PORT", help="where other nodes reach this adapter")
    parser.add_argument("--code", help="enrolment code, where the bootstrap server asks for one")
    parser.add_argument("--overlay-key", dest="overlay_key", metavar="HEX", help="the only bootstrap key to trust")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command has."""
    parser.add_argument(
        "--state", metavar="DIR", help="state directory: keys, enrolments, the running adapter's socket"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file (TOML)")
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output, for programs")
    parser.add_argument("-v", "--trace", action="store_true", help="show the details of every protocol step")


def add_sound(parser: argparse.ArgumentParser) -> None:
    """Add the files that stand for microphone and speaker."""
    parser.add_argument("--play", type=Path, metavar="FILE.wav", help="what the other side hears, again and again")
    parser.add_argument("--record", type=Path, metavar="FILE.wav", help="write what the other side says")
    parser.add_argument("--duration", type=seconds, metavar="S", help="hang up S seconds after the call is answered")


def check_sound(play: Path | None, record: Path | None) -> None:
    """Refuse files that cannot be what they are for, before anything starts. Raises UsageProblem."""
    if play is not None and not play.is_file():
        raise UsageProblem(f"there is no file {play}", hint="--play takes a WAV file: mono, 16 bits, 8 or 16 kHz")
    if record is not None and not record.absolute().parent.is_dir():
        raise UsageProblem(f"there is no directory for {record}", hint="make it first, or choose another --record")
