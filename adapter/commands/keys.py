"""`secp2psip keys rotate|revoke`: a new key for a user of this device, or the end of the one he has.  I/O: link."""

import argparse
from typing import Final

from adapter.commands import options
from adapter.config import Settings
from adapter.link import choose_user, open_link
from adapter.problems import ExitCode, Problem
from adapter.screen import Screen

EXAMPLES: Final = """\
  secp2psip keys rotate --user alice
  secp2psip keys revoke --user alice --yes      the device was stolen: nobody may believe its key any more"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "verb",
        choices=["rotate", "revoke"],
        help="rotate: make a new key, named by the old one, so that those who know you follow; revoke: end the key",
    )
    parser.add_argument("--yes", action="store_true", help="revoke without being asked: it cannot be undone")
    options.add_user(parser, who="whose key")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Let the adapter that runs do it, or one started for this."""
    user = choose_user(settings)
    if args.verb == "revoke" and not args.yes:
        raise Problem(
            f"revoking the key of {user} cannot be undone: the name is lost until the operator releases it",
            hint="say that you mean it with --yes; for a new key in the place of a good one: keys rotate",
            code="usage",
        )
    link = await open_link(settings, user, screen.show)
    try:
        await link.ask("register", user=user)
        with screen.waiting("asking the bootstrap server and the ring"):
            answer = await link.ask(args.verb, user=user)
    finally:
        await link.close()
    screen.show({"event": "key-changed" if args.verb == "rotate" else "key-revoked"} | answer)
    return ExitCode.OK if args.verb == "rotate" or answer["server"] else ExitCode.FAILED
