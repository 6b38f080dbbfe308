"""`secp2psip contacts`: whose keys this device knows from earlier calls.  I/O: files, or the control socket."""

import argparse
from typing import Any, Final

from adapter.commands import options
from adapter.config import Settings, parse_user
from adapter.contact_book import change_contacts
from adapter.control_client import ControlClient, NoAdapter
from adapter.pin_file import load_pins, save_pins
from adapter.pins import Pins
from adapter.problems import ExitCode, UsageProblem
from adapter.screen import Screen
from adapter.state import StateDir

EXAMPLES: Final = """\
  secp2psip contacts
  secp2psip contacts show bob        the fingerprint, to compare with what bob reads out: secp2psip keys show
  secp2psip contacts verify bob      you compared it with bob himself: mark it so
  secp2psip contacts forget bob      bob has lost his keys: the next call meets him anew"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "verb",
        nargs="?",
        default="list",
        choices=["list", "show", "verify", "forget"],
        help="what to do (default: list)",
    )
    parser.add_argument("name", nargs="?", help="whose contact")
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Do it through the adapter that runs, or in the file where none does."""
    if (args.verb == "list") != (args.name is None):
        hint = "secp2psip contacts, or: secp2psip contacts show|verify|forget NAME"
        raise UsageProblem("a name is needed" if args.name is None else "list takes no name", hint=hint)
    name = parse_user(args.name) if args.name else ""
    answer = await _ask(settings, args.verb, name)
    screen.show({"event": "contacts", "verb": args.verb} | answer)
    return ExitCode.OK


async def _ask(settings: Settings, verb: str, name: str) -> dict[str, Any]:
    state = StateDir(settings.state_dir)
    try:
        client = await ControlClient.connect(state.socket_path)
    except NoAdapter:
        if verb in {"list", "show"}:
            return change_contacts(Pins(load_pins(state.path)), verb, name)
        with state.lock():
            pins = Pins(load_pins(state.path), save=lambda pins: save_pins(state.path, pins))
            return change_contacts(pins, verb, name)
    try:
        return await client.ask("contacts", verb=verb, name=name)
    finally:
        await client.close()
