"""The tables of `lookup`, `ring` and `status`: columns that stay readable in a pipe.  I/O: none.

Each takes the event whose name it bears, as the adapter service answers it, and returns what a rich console prints.
Members that are missing are left out: an older or newer adapter may know fewer or more.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from adapter.layout import Rows
from adapter.pins import digits
from adapter.qr import qr_lines
from adapter.sound_words import quality_words
from adapter.words import attack, duration, plural

Event = Mapping[str, Any]
NODE_CHARS: Final = 8
"""Hexadecimal digits of a node id shown: enough to tell nodes of one LAN apart."""
MAX_LIARS_SHOWN: Final = 8
"""Lying nodes that `status` shows to people."""
_GOOD: Final = "green"
_BAD: Final = "bold red"
_DOUBT: Final = "yellow"
_QUIET: Final = "dim"
_SENT_ON: Final = 302


def devices_table(event: Event) -> list[RenderableType]:
    """Show what a person may choose as microphone and speaker."""
    parts: list[RenderableType] = []
    for kind in ("microphones", "speakers"):
        table = Rows(kind.removesuffix("s"), "device", "")
        for row in _rows(event, kind):
            marks = Text.assemble(*_marks(row))
            table.add_row(str(row.get("about", "")), str(row.get("device", "")), marks)
        parts.append(table if _rows(event, kind) else Text(f"no {kind}", style=_DOUBT))
    return parts


def _marks(row: Event) -> list[tuple[str, str] | str]:
    """Say what else a person has to know of a device."""
    told = (("default", _GOOD), ("muted", _BAD), ("cancels_echo", _GOOD))
    marks: list[tuple[str, str] | str] = []
    for key, style in told:
        if row.get(key):
            marks += [" ", (key.replace("_", " "), style)] if marks else [(key.replace("_", " "), style)]
    return marks


def lookup_table(event: Event) -> list[RenderableType]:
    """Show what the ring says of a user: the key, each piece with holder and verdict, and what an attack takes."""
    found = _rows(event, "pieces")
    head = Text.assemble((str(event.get("aor", "")), "bold"), f", generation {event.get('generation', '?')}")
    head.append(f", fingerprint {_digits(event.get('thumbprint'))}")
    parts: list[RenderableType] = [head]
    if event.get("contact"):
        parts.append(Text(f"adapter at {event['contact']}"))
    if found:
        drawn = set(event.get("drawn") or ())
        table = Rows("piece", "node", "address", "asked", "verdict")
        for piece in sorted(found, key=lambda row: (row.get("index", 0), str(row.get("node", "")))):
            good = bool(piece.get("ok"))
            table.add_row(
                str(piece.get("index", "")),
                str(piece.get("node", ""))[:NODE_CHARS],
                str(piece.get("address", "")),
                "drawn" if piece.get("index") in drawn else "",
                Text("good", style=_GOOD) if good else Text(str(piece.get("why") or "bad"), style=_BAD),
            )
        parts += [table]
    parts += [_basis(event), _strength(event)]
    for liar in _rows(event, "liars"):
        what = f"piece {liar['index']}" if liar.get("index") else "the lookup record"
        parts.append(Text(f"node {_short(liar)} lied about {what}: {liar.get('why')}", _BAD))
    named = {liar.get("node") for liar in _rows(event, "liars")}
    parts += [
        Text(f"node {_short(row)} lied before: {_past(row)}", style=_DOUBT)
        for row in _rows(event, "lied_before")
        if row.get("node") not in named
    ]
    parts += [Text(f"evidence: {conflict}", style=_BAD) for conflict in event.get("conflicts") or ()]
    return parts


def ring_table(event: Event) -> list[RenderableType]:
    """Show the ring from this node: itself and every node it knows to live, clockwise, with what it knows of them."""
    nodes = _rows(event, "nodes")
    table = Rows("node", "address", "pieces", "answers in", "known since", "")
    for node in nodes:
        rtt = node.get("rtt_ms")
        table.add_row(
            str(node.get("node", ""))[:NODE_CHARS],
            " and ".join(str(at) for at in (node.get("address", ""), node.get("other_address")) if at),
            _held(node),
            f"{rtt:.1f} ms" if isinstance(rtt, int | float) else "",
            _date(node.get("since")),
            Text("this one", style=_GOOD) if node.get("self") else "" if node.get("known", True) else "not met",
        )
    title = f"{plural(len(nodes), 'node')} on the ring"
    parts: list[RenderableType] = [Text(title + (f" {event['overlay']}" if event.get("overlay") else ""), style="bold")]
    parts.append(table)
    return [*parts, Text(f"picture written to {event['svg']}", style=_GOOD)] if event.get("svg") else parts


def status_table(event: Event) -> list[RenderableType]:
    """Show this adapter: its addresses, its users with their phones, and what expires when."""
    sip, ring = event.get("sip", ""), " and ".join(filter(None, (event.get("ring"), event.get("other_ring"))))
    head = Text.assemble(("adapter", "bold"), f" (pid {event.get('pid', '?')}): phones at ", (str(sip), "bold"))
    parts: list[RenderableType] = [head.append(f", on the ring at {ring}" if ring else ", not on the ring yet")]
    if event.get("sip_tls"):
        parts.append(Text(f"phones over TLS at {event['sip_tls']}, certificate {event.get('tls_fingerprint', '')}"))
    if event.get("nodes"):
        parts.append(
            Text(f"{plural(int(event['nodes']), 'node')} known on the ring {event.get('overlay') or ''}".rstrip())
        )
    table = Rows("user", "registered", "phones", "pieces placed", "valid until")
    for user in _rows(event, "users"):
        phones = user.get("phones") or []
        table.add_row(
            str(user.get("user", "")),
            Text("yes", style=_GOOD) if user.get("registered") else Text(_not_registered(user), style=_DOUBT),
            ", ".join(str(phone) for phone in phones) or "none",
            str(user.get("placed", "")),
            _date(user.get("expires_at")),
        )
    own = [
        Text(f"fingerprint of {user['user']}: {user['fingerprint']}")
        for user in _rows(event, "users")
        if user.get("fingerprint") and user.get("user")
    ]
    lied = [
        Text(f"node {_short(row)} lied to this adapter and is asked last: {_past(row)}", style=_DOUBT)
        for row in _rows(event, "liars")[:MAX_LIARS_SHOWN]
    ]
    if (more := len(_rows(event, "liars")) - len(lied)) > 0:
        lied.append(Text(f"and {plural(more, 'node')} more: secp2psip status --json", style=_DOUBT))
    against = _rows(event, "contradictions")
    lied += [
        Text(
            f"evidence: node {_short(row)} offered a second {row.get('what')} of {row.get('name')}'s generation"
            f" {row.get('generation')}, well signed, on {_date(row.get('at'))}: a key of the server is in other hands",
            style=_BAD,
        )
        for row in against[:MAX_LIARS_SHOWN]
    ]
    if (more := len(against) - MAX_LIARS_SHOWN) > 0:
        lied.append(Text(f"evidence: {plural(more, 'contradiction')} more: secp2psip status --json", style=_BAD))
    warnings = [Text(f"warning: {text}", style=_DOUBT) for text in event.get("warnings") or ()]
    return [*parts, table, *own, *lied, *warnings]


def _short(row: Event) -> str:
    return str(row.get("node", ""))[:NODE_CHARS]


def _past(row: Event) -> str:
    """Say what a node did in the past: how often, when last, and what."""
    times = row.get("times")
    return (
        f"{plural(times if isinstance(times, int) else 1, 'time')}, last {_date(row.get('last_at'))}, {row.get('why')}"
    )


def _held(node: Event) -> str:
    """Return how many pieces a node stores, known of this one alone, and which ones of whom it is known to hold."""
    holds = node.get("holds")
    count = node.get("pieces")
    words = [f"{count} stored"] if isinstance(count, int) else []
    for user, indices in holds.items() if isinstance(holds, Mapping) else ():
        words.append(f"{user} {','.join(map(str, indices))}")
    return "; ".join(words)


def _basis(event: Event) -> Text:
    support, threshold = event.get("support"), event.get("k")
    if event.get("basis") == "polynomial":
        rule = f" (rule: at least {2 * threshold - 1})" if isinstance(threshold, int) else ""
        return Text(f"the key stands on {plural(int(support or 0), 'distinct node')}{rule}", style=_GOOD)
    if event.get("basis") == "pin":
        return Text("the key rests on what is known from earlier calls alone: the pieces do not bear it", style=_DOUBT)
    return Text("the key rests on the bootstrap server's signatures alone: too few nodes to bear witness", style=_DOUBT)


def _strength(event: Event) -> Text:
    needed, nodes = event.get("attackers_needed"), event.get("nodes")
    if not needed or not nodes:
        return Text("how many nodes an attacker needs is not known", style=_DOUBT)
    weak = isinstance(event.get("k"), int) and needed < event["k"]
    text = Text(attack(needed, nodes), style=_DOUBT if weak else _GOOD)
    return text.append(f"  ({event['took_ms']:.0f} ms)" if event.get("took_ms") is not None else "", style=_QUIET)


def _rows(event: Event, key: str) -> Sequence[Mapping[str, Any]]:
    rows = event.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []


def _digits(thumbprint: object) -> str:
    """Return a thumbprint's hexadecimal digits as the digits that people compare."""
    try:
        return digits(bytes.fromhex(str(thumbprint)))
    except ValueError:
        return "?"


def _date(seconds: object) -> str:
    if not isinstance(seconds, int | float) or not seconds:
        return ""
    return datetime.fromtimestamp(seconds, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def contacts_table(event: Event) -> list[RenderableType]:
    """Show whose keys are known here, with the digits to compare."""
    rows = _rows(event, "contacts")
    if not rows:
        return [Text("no contacts yet: whoever proves a key in a call becomes one", style=_DOUBT)]
    if event.get("verb") == "forget":
        return [Text(f"{row.get('name')} is forgotten: the next call takes the key that it proves") for row in rows]
    table = Rows("name", "fingerprint", "first seen", "compared")
    for row in rows:
        mark = Text("yes", style=_GOOD) if row.get("verified") else Text("no", style=_DOUBT)
        table.add_row(str(row.get("name", "")), str(row.get("fingerprint", "")), _date(row.get("first_seen")), mark)
    return [table]


def _not_registered(user: Mapping[str, Any]) -> str:
    return "being revoked" if user.get("revoking") else "no"


def own_key_table(event: Event) -> list[RenderableType]:
    """Show one's own digits, and the code of them, for others to compare."""
    user, fingerprint = str(event.get("user", "")), str(event.get("fingerprint", ""))
    return [
        Text.assemble(f"fingerprint of {user}: ", (fingerprint, "bold")),
        *([Text(f"it is being revoked: {event['revoking']['text']}", style=_DOUBT)] if event.get("revoking") else []),
        *(Text(line, style="black on white") for line in qr_lines(f"{user} {fingerprint}")),
        Text(f"others compare it with what they see: secp2psip contacts show {user}", style=_QUIET),
    ]


def calls_table(event: Event) -> list[RenderableType]:
    """Show the last calls, the newest at the end."""
    rows = _rows(event, "calls")
    if not rows:
        return [Text("no calls yet", style=_QUIET)]
    table = Rows("when", "call", "key", "encrypted", "liars", "end")
    for row in rows:
        call = f"{row.get('caller') or '?'} -> {row.get('callee') or '?'}"
        encrypted = "" if row.get("encrypted") is None else "yes" if row["encrypted"] else "no"
        liars = len(_rows(row, "liars"))
        table.add_row(_date(row.get("at")), call, _agreement(row), encrypted, str(liars or ""), _end_of(row))
    return [table]


def _agreement(row: Event) -> Text:
    """Return what vouched for the other side's key, in words of no mathematics; `--json` has `basis` and `support`."""
    basis, support = row.get("basis"), row.get("support")
    if basis == "signatures":
        return Text("the server's word alone", style=_DOUBT)
    if basis == "pin":
        return Text("known from earlier calls alone", style=_DOUBT)
    if basis != "polynomial":
        return Text("not proved", style=_DOUBT)
    if not isinstance(support, int):
        return Text("enough holders agreed", style=_GOOD)
    # who was found lying gave a piece too, or a record; a receipt that was cut short names nobody
    heard = {str(piece.get("node", "")) for piece in _rows(row, "pieces")}
    return Text(f"{support} of {plural(max(support, len(heard)), 'holder')} agreed", style=_GOOD)


def _end_of(row: Event) -> Text:
    """Return how a call ended: by the phone's word, or by the adapter's where it went no further."""
    talk = row.get("talk")
    if not isinstance(talk, Mapping):
        good = row.get("status") == _SENT_ON
        return Text(f"{row.get('status') or ''} {row.get('reason', '')}".strip(), style=_GOOD if good else _BAD)
    if talk.get("established"):
        heard = quality_words(talk)
        return Text(f"talked {duration(talk.get('duration_s', 0.0))}{heard and ', sounded '}{heard}", style=_GOOD)
    if row.get("side") != "callee":
        return Text(str(talk.get("reason", "")), style=_BAD)
    if talk.get("cause") == "hung up here":
        return Text(str(talk.get("reason") or "declined"), style=_QUIET)
    return Text(f"missed: {talk.get('reason', '')}", style=_BAD)


def config_table(event: Event) -> list[RenderableType]:
    """Show each setting, its value and who set it."""
    table = Rows("setting", "value", "from")
    for row in _rows(event, "settings"):
        value = row.get("value")
        text = ", ".join(map(str, value)) if isinstance(value, list) else ""
        if isinstance(value, Mapping):
            text = ", ".join(f"{key} = {number}" for key, number in value.items())
        source = str(row.get("source", ""))
        table.add_row(
            str(row.get("key", "")), text or str(value), Text(source, style=_QUIET if source == "default" else _GOOD)
        )
    there = "" if event.get("there") else " (not there yet)"
    return [table, Text(f"file: {event.get('file')}{there}")]


TABLES: Final[Mapping[str, Callable[[Event], list[RenderableType]]]] = {
    "calls": calls_table,
    "config": config_table,
    "contacts": contacts_table,
    "devices": devices_table,
    "lookup": lookup_table,
    "own-key": own_key_table,
    "ring": ring_table,
    "status": status_table,
}
