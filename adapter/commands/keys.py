"""`secp2psip keys`: show, change or end the key of a user of this device.  I/O: files, link."""

import argparse
from typing import Final

from adapter.commands import options
from adapter.config import Settings
from adapter.keystore import load_own
from adapter.link import choose_user, open_link
from adapter.pins import digits
from adapter.problems import ExitCode, Problem
from adapter.screen import Screen

EXAMPLES: Final = """\
  secp2psip keys show --user alice             the digits that others compare: secp2psip contacts show alice
  secp2psip keys rotate --user alice
  secp2psip keys revoke --user alice --yes      the device was stolen: nobody may believe its key any more"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "verb",
        choices=["show", "rotate", "revoke"],
        help="show: its fingerprint, for others to compare; rotate: make a new key, named by the old one, so that"
        " those who know you follow; revoke: end the key",
    )
    parser.add_argument("--yes", action="store_true", help="revoke without being asked: it cannot be undone")
    options.add_user(parser, who="whose key")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Read the key's file, or let the adapter that runs do it, or one started for this."""
    user = choose_user(settings)
    if args.verb == "show":
        thumbprint = load_own(settings.state_dir, user).public.thumbprint()
        screen.show(
            {"event": "own-key", "user": user, "fingerprint": digits(thumbprint), "thumbprint": thumbprint.hex()}
        )
        return ExitCode.OK
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
