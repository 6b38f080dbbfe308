"""What an operator does beside the server, running or not: names, devices and invites.  I/O: terminal, SQLite.

    names list | release NAME | revoke NAME | admit NAME..      invites add | list | revoke ID
    nodes list | bar NAME or ID | unbar NAME or ID

Each command is one transaction in the books. A running server sees it with the next registration, and brings a
revocation to the ring within seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any, Final

from bootstrap.accounts import Accounts
from bootstrap.admission import MAX_INVITE_DAYS, MAX_INVITE_USES, Invite, invite_digest, invite_id, make_code
from bootstrap.keys import ACCOUNTS_FILE, CREDENTIAL_LIFETIME_S, load
from bootstrap.problems import NAMES_HINT, UsageProblem
from bootstrap.screen import empty_table, name_table, node_table, plural, print_table
from overlay.errors import RemoteError
from overlay.trust.identity import KeyBundle, parse_aor
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootstrap.accounts import NodeRow

DAY_S: Final = 86_400
MIN_ID_CHARS: Final = 8
"""Hexadecimal digits of a node's id by which it is known here, as in `secp2psip status`."""
_EXAMPLES: Final = {
    "names": """\
examples:
  secp2psip-bootstrap names list
  secp2psip-bootstrap names release alice    alice lost her keys: the next who registers the name gets it
  secp2psip-bootstrap names revoke alice     a device was stolen: nobody may believe its key any more
  secp2psip-bootstrap names admit alice bob  for a server with --admission closed""",
    "invites": """\
examples:
  secp2psip-bootstrap invites add                        one device, one week
  secp2psip-bootstrap invites add --name bob --days 1    for that name alone
  secp2psip-bootstrap invites add --uses 30 --days 14    for a class
  secp2psip-bootstrap invites revoke h7kmq2xp""",
    "nodes": """\
examples:
  secp2psip-bootstrap nodes list              every device that ever got a credential
  secp2psip-bootstrap nodes bar alice         a stolen device: the one that alice used last
  secp2psip-bootstrap nodes bar 1a2b3c4d      a node that secp2psip status names as a liar
  secp2psip-bootstrap nodes unbar 1a2b3c4d""",
}


def add_office_commands(commands: Any, share: Callable[[argparse.ArgumentParser], None]) -> None:
    """Describe the commands; `share` adds the options that all have."""

    def group(name: str, help_text: str) -> Any:

        parser = commands.add_parser(
            name,
            help=help_text,
            epilog=_EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        return parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def verb(of: Any, name: str, help_text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = of.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        share(parser)
        return parser

    names = group("names", "who has which name, and what is to become of it")
    verb(names, "list", "show every taken name")
    verb(names, "release", "free a name for its next registrant").add_argument("name")
    verb(names, "revoke", "tell everybody that the key of a name is not to be believed any more").add_argument("name")
    verb(names, "admit", "let these names be registered where --admission is closed").add_argument("name", nargs="+")
    nodes = group("nodes", "devices, and which of them get no credential any more")
    verb(nodes, "list", "show every device that ever got a credential")
    for name, help_text in (
        ("bar", "renew a device's credential no more: within 30 days it is off the ring"),
        ("unbar", "take that back"),
    ):
        verb(nodes, name, help_text).add_argument("node", metavar="NAME|ID", help="a name, or the start of a node's id")
    invites = group("invites", "codes that let somebody register where --admission is invite")
    add = verb(invites, "add", "make a code and print it: it is not kept and cannot be shown again")
    add.add_argument("--uses", type=int, default=1, metavar="N", help="how many devices it lets in (default 1)")
    add.add_argument("--days", type=int, default=7, metavar="N", help="for how many days (default 7)")
    add.add_argument("--name", default="", metavar="NAME", help="the only name that it is for (default: any)")
    verb(invites, "list", "show the codes that are out, by id: the codes themselves are not kept")
    verb(invites, "revoke", "take a code back").add_argument("id")


def run_office_command(options: argparse.Namespace) -> int:
    """Do what the command says and return its exit code. Raises UsageProblem where it cannot be done."""
    data: Path = options.data
    if not (data / ACCOUNTS_FILE).exists():
        hint = "run secp2psip-bootstrap once, or name its directory with --data DIR"
        raise UsageProblem(f"there is no bootstrap server's data in {data}", hint=hint)
    with Accounts(data / ACCOUNTS_FILE) as accounts:
        OFFICE_COMMANDS[options.command, options.verb](accounts, options)
    return 0


def _list_names(accounts: Accounts, options: argparse.Namespace) -> None:
    keys = load(options.data)
    rows = accounts.names()
    node_ids = [keys.node_id(row.node_public) for row in rows]
    if not options.json:
        print_table(name_table(rows, node_ids))
        return
    for row, node_id in zip(rows, node_ids, strict=True):
        _say(
            options,
            {
                "aor": row.aor,
                "node": node_id.hex(),
                "first_at": row.first_at,
                "last_at": row.last_at,
                "source": row.source,
                "generation": row.generation,
                "thumbprint": KeyBundle.decode(row.bundle).thumbprint().hex(),
                "revoked": row.revoked,
            },
        )


def _release(accounts: Accounts, options: argparse.Namespace) -> None:
    aor = _name(options.name)
    generation = accounts.release(aor, now=time.time())
    text = (
        f"{aor} is free: whoever registers it next gets generation {generation + 1}. Who has called {aor} before and "
        f"pinned the old key is told, and does not get through until he says: secp2psip contacts forget {aor}"
    )
    _say(options, {"released": aor, "generation": generation}, text)


def _revoke(accounts: Accounts, options: argparse.Namespace) -> None:
    aor = _name(options.name)
    account, facts = accounts.account(aor), accounts.overlay()
    if account is None or facts is None:
        raise UsageProblem(f"the name {aor} is not taken", hint=NAMES_HINT)
    now = time.time()
    tombstone = Tombstone.issue(
        load(options.data).overlay,
        overlay=facts.name,
        aor=aor,
        generation=account.generation,
        bundle=KeyBundle.decode(account.bundle),
        issued_at=int(now),
    )
    accounts.revoke(tombstone, now=now)
    text = (
        f"the key of {aor} is revoked: a running server tells the ring within seconds. The name stays taken; "
        f"names release {aor} gives it to a new key. The device itself may stay on the ring for up to 30 days: "
        f"nodes bar {aor} sees that it gets no longer"
    )
    _say(options, {"revoked": aor, "generation": account.generation}, text)


def _list_nodes(accounts: Accounts, options: argparse.Namespace) -> None:
    keys = load(options.data)
    rows = accounts.nodes()
    node_ids = [keys.node_id(row.node_public) for row in rows]
    if not options.json:
        print_table(node_table(rows, node_ids))
        return
    for row, node_id in zip(rows, node_ids, strict=True):
        _say(
            options,
            {
                "node": node_id.hex(),
                "names": list(row.names),
                "source": row.source,
                "first_at": row.first_at,
                "barred_at": row.barred_at,
            },
        )


def _bar(accounts: Accounts, options: argparse.Namespace) -> None:
    node, ident = _node(accounts, options)
    accounts.bar(node.node_public, now=time.time())
    text = (
        f"node {ident[:MIN_ID_CHARS]} gets no credential any more, for no name; the one that it has ends within "
        f"{CREDENTIAL_LIFETIME_S // 86_400} days. Its key may still make new devices where --admission is open"
    )
    _say(options, {"barred": ident, "names": list(node.names)}, text)


def _unbar(accounts: Accounts, options: argparse.Namespace) -> None:
    node, ident = _node(accounts, options)
    accounts.unbar(node.node_public)
    _say(options, {"unbarred": ident}, f"node {ident[:MIN_ID_CHARS]} may register and renew as before")


def _node(accounts: Accounts, options: argparse.Namespace) -> tuple[NodeRow, str]:
    """Return the one device that is meant by a name or the start of an id."""
    keys, text = load(options.data), str(options.node).lower()
    rows = [(row, keys.node_id(row.node_public).hex()) for row in accounts.nodes()]
    found = [pair for pair in rows if text in pair[0].names]
    if not found and len(text) >= MIN_ID_CHARS:
        found = [pair for pair in rows if pair[1].startswith(text)]
    if len(found) != 1:
        raise UsageProblem(
            f"{len(found)} devices are known as {text}" if found else f"no device is known as {text}",
            hint=f"secp2psip-bootstrap nodes list shows them; an id has at least {MIN_ID_CHARS} digits here",
        )
    return found[0]


def _admit(accounts: Accounts, options: argparse.Namespace) -> None:
    names = [_name(name) for name in options.name]
    for aor in names:
        accounts.admit(aor)
        _say(options, {"admitted": aor}, f"{aor} may be registered")


def _add_invite(accounts: Accounts, options: argparse.Namespace) -> None:
    if not 1 <= options.uses <= MAX_INVITE_USES or not 1 <= options.days <= MAX_INVITE_DAYS:
        text = f"an invite is good for 1 to {MAX_INVITE_USES} uses and 1 to {MAX_INVITE_DAYS} days"
        raise UsageProblem(text, hint="secp2psip-bootstrap invites add --uses 30 --days 14")
    code, now = make_code(), int(time.time())
    invite = Invite(
        id=invite_id(),
        digest=invite_digest(code),
        uses_left=options.uses,
        made_at=now,
        expires_at=now + options.days * DAY_S,
        aor=_name(options.name) if options.name else "",
    )
    accounts.add_invite(invite)
    _say(options, _invite_row(invite) | {"code": code}, f"{code}\n(id {invite.id}; secp2psip adapter --invite {code})")


def _list_invites(accounts: Accounts, options: argparse.Namespace) -> None:
    found = accounts.invites()
    if options.json:
        for invite in found:
            _say(options, _invite_row(invite))
        return
    table = empty_table(plural(len(found), "invite"), "id", "uses left", "expires", "for")
    for invite in found:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(invite.expires_at))
        table.add_row(invite.id, str(invite.uses_left), until, invite.aor or "any name")
    print_table(table)


def _revoke_invite(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.revoke_invite(options.id)
    _say(options, {"revoked": options.id}, f"invite {options.id} lets nobody in any more")


def _invite_row(invite: Invite) -> dict[str, Any]:
    return {
        "id": invite.id,
        "uses_left": invite.uses_left,
        "made_at": invite.made_at,
        "expires_at": invite.expires_at,
        "aor": invite.aor,
    }


def _name(text: str) -> str:
    try:
        return parse_aor(text)
    except RemoteError as error:
        hint = "a name has 1 to 32 letters, digits, dots, hyphens or underscores and begins with a letter or digit"
        raise UsageProblem(f"{text!r} is not a user's name", hint=hint) from error


def _say(options: argparse.Namespace, row: dict[str, Any], text: str = "") -> None:
    print(json.dumps(row) if options.json or not text else text)  # noqa: T201 - the command's output


OFFICE_COMMANDS: Final = {
    ("names", "list"): _list_names,
    ("names", "release"): _release,
    ("names", "revoke"): _revoke,
    ("names", "admit"): _admit,
    ("nodes", "list"): _list_nodes,
    ("nodes", "bar"): _bar,
    ("nodes", "unbar"): _unbar,
    ("invites", "add"): _add_invite,
    ("invites", "list"): _list_invites,
    ("invites", "revoke"): _revoke_invite,
}
