"""`secp2psip keys`: show, carry away, bring, change or end the key of a user of this device.  I/O: files, link."""

import argparse
from pathlib import Path
from typing import Final

from adapter.commands import options
from adapter.config import Settings
from adapter.key_moving import export_key, import_key, read_export, require_new
from adapter.keystore import load_own
from adapter.link import choose_user, open_link
from adapter.passphrase import VARIABLE, find_passphrase
from adapter.pins import digits
from adapter.problems import ExitCode, Problem, UsageProblem
from adapter.revocation import how_far, load_revocation
from adapter.screen import Screen
from adapter.state import StateDir

EXAMPLES: Final = """\
  secp2psip keys show --user alice             the digits that others compare: secp2psip contacts show alice
  secp2psip keys export --user alice alice.key
  secp2psip keys import alice.key              on the new device; then end the adapter on the old one for good
  secp2psip keys rotate --user alice
  secp2psip keys revoke --user alice --yes      the device was stolen: nobody may believe its key any more"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "verb",
        choices=["show", "export", "import", "rotate", "revoke"],
        help="show: its fingerprint, for others to compare; export: write it to FILE, sealed by a passphrase; import:"
        " take it from there; rotate: make a new key, named by the old one, so that"
        " those who know you follow; revoke: end the key",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="of export and import; never overwritten")
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=f"the passphrase is its first line (default: ${VARIABLE}, else it is asked for)",
    )
    parser.add_argument("--yes", action="store_true", help="revoke without being asked: it cannot be undone")
    options.add_user(parser, who="whose key")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Read the key's file, or let the adapter that runs do it, or one started for this."""
    moves = args.verb in {"export", "import"}
    if moves != (args.file is not None):
        hint = "secp2psip keys export --user NAME FILE, or: secp2psip keys import FILE"
        raise UsageProblem("a file is needed" if moves else f"{args.verb} takes no file", hint=hint)
    if args.verb == "import":
        return _import(args, settings, screen)
    user = choose_user(settings)
    if args.verb == "export":
        return _export(args, settings, screen, user)
    if args.verb == "show":
        thumbprint = load_own(settings.state_dir, user).public.thumbprint()
        wish = load_revocation(settings.state_dir, user)
        revoking = None if wish is None else wish.report() | {"text": how_far(wish)}
        screen.show(
            {"event": "own-key", "user": user, "fingerprint": digits(thumbprint), "thumbprint": thumbprint.hex()}
            | {"revoking": revoking}
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
        if args.verb == "rotate":
            await link.ask("register", user=user)
        with screen.waiting("asking the bootstrap server and the ring"):
            answer = await link.ask(args.verb, user=user)
    finally:
        await link.close()
    screen.show({"event": "key-changed" if args.verb == "rotate" else "key-revoked"} | answer)
    return ExitCode.OK if args.verb == "rotate" or answer["server"] else ExitCode.FAILED


def _export(args: argparse.Namespace, settings: Settings, screen: Screen, user: str) -> ExitCode:
    state = StateDir(settings.state_dir)
    load_own(state.path, user)
    require_new(args.file)  # before a person has typed a passphrase for nothing
    content = export_key(state, user, args.file, find_passphrase(args.passphrase_file, twice=True))
    fingerprint = digits(content.keys.public.thumbprint())
    screen.show({"event": "key-exported", "user": user, "file": str(args.file), "fingerprint": fingerprint})
    return ExitCode.OK


def _import(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    data = read_export(args.file)
    passphrase = find_passphrase(args.passphrase_file, twice=False)
    user = choose_user(settings) if args.users else ""
    content, is_new = import_key(StateDir(settings.state_dir), data, passphrase, user=user)
    fingerprint = digits(content.keys.public.thumbprint())
    screen.show({"event": "key-imported", "user": content.aor, "new": is_new, "fingerprint": fingerprint})
    return ExitCode.OK
