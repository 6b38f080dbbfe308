"""Every word that the operator of a bootstrap server sees.  I/O: a terminal, or lines.

On a terminal: a live table of the ring's members with their names, and the last events below it. Elsewhere: one plain
line an event. For programs: one JSON object a line. All three show the same events.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from overlay.ring.ids import spelt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bootstrap.accounts import NameRow, NodeRow
    from overlay.ring.ids import Peer

    Event = dict[str, object]
    Members = Callable[[], list[tuple[Peer, tuple[str, ...]]]]

LAST_EVENTS: Final = 8
MAX_ROWS: Final = 40
"""Members shown; a larger ring ends in a line that counts the rest."""
PLAIN_WIDTH: Final = 200
"""Columns where standard output is no terminal."""
TICKS_PER_SECOND: Final = 2
TRACE_ONLY: Final = frozenset({"step"})


class Screen(Protocol):
    """What takes the server's events."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def watch(self, members: Members) -> None:
        """Show the members from now on."""

    def tick(self) -> None:
        """Redraw what changed; called TICKS_PER_SECOND times a second from the event loop."""

    def close(self) -> None:
        """Give the terminal back."""


def make_screen(*, as_json: bool, trace: bool, out: TextIO) -> Screen:
    """Return the screen that fits: JSON lines if asked for, a live table on a terminal, plain lines elsewhere."""
    if as_json:
        return JsonLines(out, trace=trace)
    if out.isatty() and not trace:
        return LiveTable(Console(file=out))
    return PlainLines(out, trace=trace)


class JsonLines:
    """One JSON object a line, for programs; steps with their time in milliseconds where they are traced."""

    def __init__(self, out: TextIO, *, trace: bool) -> None:
        self._out, self._trace, self._start = out, trace, time.monotonic()

    def show(self, event: Event) -> None:
        """Write one event."""
        if self._trace or event["event"] not in TRACE_ONLY:
            stamped = {
                **event,
                "at_ms": round((time.monotonic() - self._start) * 1000, 1),
                "time": round(time.time(), 6),
            }
            print(json.dumps(stamped), file=self._out, flush=True)

    def watch(self, members: Members) -> None:
        """Programs count the events themselves."""

    def tick(self) -> None:
        """Leave nothing to redraw."""

    def close(self) -> None:
        """Leave nothing to give back."""


class PlainLines:
    """One sentence an event, with the time of day where steps are traced."""

    def __init__(self, out: TextIO, *, trace: bool) -> None:
        self._out, self._trace = out, trace

    def show(self, event: Event) -> None:
        """Write one event."""
        if event["event"] in TRACE_ONLY and not self._trace:
            return
        stamp = f"{_time_of_day()} " if self._trace else ""
        print(f"{stamp}{describe(event)}", file=self._out, flush=True)

    def watch(self, members: Members) -> None:
        """Lines already say who came."""

    def tick(self) -> None:
        """Leave nothing to redraw."""

    def close(self) -> None:
        """Leave nothing to give back."""


class LiveTable:
    """The table of members, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._events: deque[str] = deque(maxlen=LAST_EVENTS)
        self._head = ""
        self._members: Members = list
        self._stale = False
        # redrawn from the event loop alone: a refreshing thread would read the members while they change
        self._live = Live(console=console, get_renderable=self._draw, auto_refresh=False)

    def show(self, event: Event) -> None:
        """Keep one event for the next drawing."""
        if event["event"] == "ready":
            self._head = describe(event)
        elif event["event"] not in TRACE_ONLY:
            self._events.append(f"{_time_of_day()}  {describe(event)}")
        self._stale = True

    def watch(self, members: Members) -> None:
        """Begin to draw."""
        self._members = members
        self._live.start(refresh=True)

    def tick(self) -> None:
        """Draw what happened since the last time."""
        if self._stale and self._live.is_started:
            self._stale = False
            self._live.refresh()

    def close(self) -> None:
        """Draw a last time and give the terminal back."""
        if self._live.is_started:
            self._live.stop()

    def _draw(self) -> Group:
        members = self._members()
        table = empty_table(f"{plural(len(members), 'node')} on the ring", "node", "address", "names")
        for node, names in members[:MAX_ROWS]:
            table.add_row(f"{node.id:040x}"[:8], spelt(node.address), ", ".join(names))
        rest = Text(f"... and {len(members) - MAX_ROWS} more" if len(members) > MAX_ROWS else "")
        return Group(Text(self._head), table, rest, Text("\n".join(self._events)))


def describe(event: Event) -> str:
    """Return one event as a sentence; control characters of the other side are left out."""
    text = _sentence(event)
    return "".join(ch if ch.isprintable() else "?" for ch in text)


def print_table(table: Table) -> None:
    """Print a table to standard output; in a pipe nothing of it is cut."""
    Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH).print(table)


def empty_table(title: str, *columns: str) -> Table:
    """Return a table with these columns and no rows."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def name_table(rows: Sequence[NameRow], node_ids: Sequence[bytes]) -> Table:
    """Return the names of an overlay as a table, for `names list`."""
    columns = ("name", "generation", "node", "first registered", "last registered", "from")
    table = empty_table(plural(len(rows), "name"), *columns)
    for row, node_id in zip(rows, node_ids, strict=True):
        generation = f"{row.generation} (revoked)" if row.revoked else str(row.generation)
        table.add_row(row.aor, generation, node_id.hex()[:8], _date(row.first_at), _date(row.last_at), row.source)
    return table


def node_table(rows: Sequence[NodeRow], node_ids: Sequence[bytes]) -> Table:
    """Return the devices of an overlay as a table, for `nodes list`."""
    table = empty_table(plural(len(rows), "device"), "node", "from", "first seen", "names", "barred")
    for row, node_id in zip(rows, node_ids, strict=True):
        barred = "" if row.barred_at is None else f"since {_date(row.barred_at)}"
        names = " ".join(row.names) or "no name"
        table.add_row(node_id.hex()[:8], row.source, _date(row.first_at), names, barred)
    return table


def _sentence(event: Event) -> str:
    match event["event"]:
        case "ready":
            hosts = [event["host"], *filter(None, [event.get("other_host")])]
            where = " and ".join(spelt((host, event["port"])) for host in hosts)
            threshold = f"k={event['k']} of n={event['n']} pieces"
            text = f"ready: overlay {event['overlay']} at {where}, {threshold}, fingerprint {event['fingerprint']}"
        case "announced":
            text = f"announced on this network: nobody has to type {spelt((event['host'], event['port']))}"
        case "registered":
            verb = "registered" if event["first"] else "changed its key and renewed" if event["rotated"] else "renewed"
            holders = plural(event["distinct_holders"], "distinct node")
            text = f"{event['aor']} {verb} from {event['source']}: pieces on {holders}"
        case "revoked":
            text = f"the key of {event['aor']} is revoked: {plural(event['holders'], 'node')} of the ring know it"
        case "refused":
            who = f"{event['aor']} from " if "aor" in event else ""
            text = f"refused {who}{event['source']}: {event['reason']}"
        case "step":
            named = (f"{key}={value}" for key, value in event.items() if key not in {"event", "step", "source"})
            text = " ".join([str(event["source"]), str(event["step"]), *named])
        case "ring":
            text = f"the ring has {plural(event['nodes'], 'node')}"
        case "warning":
            text = f"warning: {event['text']}"
        case "stopped":
            text = "left the ring"
        case _:
            text = " ".join(f"{key}={value}" for key, value in event.items())
    return text


def plural(count: object, noun: str) -> str:
    """Return "1 node", "2 nodes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _time_of_day() -> str:
    now = time.time()
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"


def _date(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
