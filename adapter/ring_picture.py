"""A picture of the ring as SVG text: the circle, whom this node knows, one user's pieces and holders.  I/O: none.

    draw(what `secp2psip ring --json` says) -> text of an SVG file

Members that are missing are left out, as in tables.py. Every text of the event is escaped: a name cannot become markup.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapter.ring_geometry import TURN, angle_of, fingers, lanes, point, spread
from adapter.ring_ink import STYLE, hue, legend, safe, text
from adapter.words import attack, plural
from overlay.ring.ids import ID_BYTES, RING_BITS, RingId

Event = Mapping[str, Any]
RADIUS: Final = 300.0
LANE: Final = 17.0
"""Pixels between the arcs of two pieces."""
CHAR: Final = 7.25
"""Width of a character of a label."""
MAX_LABELS: Final = 120
"""Where more nodes are known only this one, its fingers and the holders have a label."""
MAX_PIECES: Final = 64
"""Pieces drawn: liars may send any number."""
NODE_CHARS: Final = 8
FEW: Final = 24
"""So many nodes have labels with air between them."""
TITLE: Final = 92.0
LEGEND: Final = 78.0
MIN_WIDTH: Final = 980.0
"""What the legend takes."""
MARGIN: Final = 28.0


@dataclass(frozen=True, slots=True)
class _Dot:
    """A node on the circle."""

    id: RingId
    row: Event
    is_me: bool
    pieces: tuple[tuple[int, bool], ...]
    """Index of each piece of the chosen user that it gave, and whether it counts."""

    @property
    def angle(self) -> float:
        return angle_of(self.id)


@dataclass(frozen=True, slots=True)
class _Arc:
    """A piece: from its place clockwise to who holds it."""

    index: int
    start: float
    length: float
    ok: bool
    lane: int = 0


def draw(event: Event) -> str:
    """Return the picture of a `ring` event, with the pieces of its `lookup` where it has one."""
    return "\n".join(_Picture(event).lines()) + "\n"


class _Picture:
    def __init__(self, event: Event) -> None:
        self._event = event
        found = event.get("lookup")
        self._found: Event = found if isinstance(found, Mapping) else {}
        self._given = _rows(self._found, "pieces")[:MAX_PIECES]
        self._dots = self._read_dots()
        self._me = next((dot for dot in self._dots if dot.is_me), None)
        others = [dot.id for dot in self._dots if dot.row.get("known", True)]
        self._fingers = {} if self._me is None else fingers(self._me.id, others)
        self._arcs = self._read_arcs()
        depth = max((arc.lane + 1 for arc in self._arcs), default=0)
        self._outer = RADIUS + 36 + (10 + LANE * depth if depth else 0)
        self._labelled = self._dots if len(self._dots) <= MAX_LABELS else [*filter(self._is_notable, self._dots)]
        self._gap = 24.0 if len(self._labelled) <= FEW else 16.0
        self._sides = [[dot for dot in self._labelled if (dot.angle < math.pi) is right] for right in (True, False)]
        tall = max(2 * self._outer, self._gap * max(map(len, self._sides)))
        right, left = (self._reach(dots) for dots in self._sides)
        self._width = max(left + right, MIN_WIDTH)
        self._height = TITLE + tall + LEGEND + 2 * MARGIN
        self._centre = left + (self._width - left - right) / 2, TITLE + MARGIN + tall / 2

    def lines(self) -> list[str]:
        width, height = round(self._width), round(self._height)
        view = f'viewBox="0 0 {width} {height}"'
        return [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {view}>',
            f"<title>{safe(self._headline())}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *self._heading(),
            *self._circle(),
            *self._known(),
            *self._labels(),
            *self._pieces(),
            *self._nodes(),
            *legend(x=MARGIN, y=self._height - 46, with_pieces=bool(self._arcs)),
            "</svg>",
        ]

    # --- what there is

    def _read_dots(self) -> list[_Dot]:
        given: dict[str, list[tuple[int, bool]]] = {}
        for piece in self._given:
            given.setdefault(str(piece.get("node")), []).append((_index(piece), bool(piece.get("ok"))))
        dots = []
        for row in _rows(self._event, "nodes"):
            ring_id, node = _id(row.get("node")), str(row.get("node"))
            if ring_id is not None:
                dots.append(_Dot(ring_id, row, bool(row.get("self")), tuple(sorted(given.get(node, [])))))
        return sorted(dots, key=lambda dot: dot.id)

    def _read_arcs(self) -> list[_Arc]:
        arcs = []
        for piece in self._given:
            place, holder = _id(piece.get("place")), _id(piece.get("node"))
            if place is not None and holder is not None:
                start = angle_of(place)
                length = (angle_of(holder) - start) % TURN
                arcs.append(_Arc(_index(piece), start, length, bool(piece.get("ok"))))
        arcs.sort(key=lambda arc: (arc.length, arc.index))
        chosen = lanes([(arc.start, arc.length) for arc in arcs], apart=20 / RADIUS)
        return [_Arc(a.index, a.start, a.length, a.ok, lane) for a, lane in zip(arcs, chosen, strict=True)]

    def _reach(self, dots: Sequence[_Dot]) -> float:
        """Return how far a side with the labels of these nodes goes from the centre."""
        words = CHAR * max((len(_plain(_label(dot))) for dot in dots), default=0)
        return self._outer + MARGIN + (14 + words if words else 0)

    def _is_notable(self, dot: _Dot) -> bool:
        return dot.is_me or bool(dot.pieces) or dot.id in self._fingers

    # --- what is drawn

    def _headline(self) -> str:
        name = self._event.get("overlay")
        return f"{plural(len(self._dots), 'node')} on the ring" + (f" {name}" if name else "")

    def _heading(self) -> list[str]:
        seen = "" if self._me is None else f"as node {str(self._me.row.get('node'))[:NODE_CHARS]} sees it"
        parts = [text(MARGIN, 44, self._headline(), "head"), text(MARGIN, 66, seen, "say")]
        if self._found:
            good = {_index(piece) for piece in self._given if piece.get("ok")}
            nodes = {piece.get("node") for piece in self._given if piece.get("ok")}
            said = f"{self._found.get('aor', '')}: {plural(len(good), 'piece')} on {plural(len(nodes), 'node')}"
            needed, of = self._found.get("attackers_needed"), self._found.get("nodes")
            said += f"; {attack(needed, of)}" if needed and of else ""
            parts.append(text(MARGIN, 88, said, "say"))
        return parts

    def _circle(self) -> list[str]:
        x, y = self._centre
        parts = [f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}"/>']
        for quarter in range(4):
            (x1, y1), (x2, y2), (tx, ty) = (self._at(quarter * TURN / 4, RADIUS - inset) for inset in (0, 8, 24))
            parts.append(f'<line class="tick" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
            parts.append(text(tx, ty + 4, f"{4 * quarter:x}000…" if quarter else "0", "mark", "middle"))
        return parts

    def _known(self) -> list[str]:
        """Draw a bow from this node to each that it knows, fingers last, coloured by distance."""
        if self._me is None:
            return []
        faint, strong = [], []
        order = sorted(self._fingers, key=lambda one: self._fingers[one])
        for dot in self._dots:
            if dot.is_me or not dot.row.get("known", True):
                continue
            bow = self._bow(self._me.angle, dot.angle)
            if dot.id in self._fingers:
                colour = hue(order.index(dot.id), len(order))
                strong.append(f'<path class="finger" style="stroke: hsl({colour}, 65%, 48%)" d="{bow}"/>')
            else:
                faint.append(f'<path class="known" d="{bow}"/>')
        return faint + strong

    def _nodes(self) -> list[str]:
        parts = []
        small = len(self._dots) > FEW
        # what matters lies on top where nodes are crowded
        for dot in sorted(self._dots, key=lambda dot: (dot.is_me, bool(dot.pieces))):
            x, y = self._at(dot.angle, RADIUS)
            size = 8.0 if dot.is_me else 4.5 if small else 6.5
            at = f'cx="{x:.1f}" cy="{y:.1f}"'
            if dot.pieces:
                bad = "" if all(ok for _, ok in dot.pieces) else " bad"
                parts.append(f'<circle class="halo{bad}" {at} r="{size + 3:g}"/>')
            kind = "self" if dot.is_me else "node"
            parts.append(f'<circle class="{kind}" {at} r="{size:g}"><title>{safe(_story(dot))}</title></circle>')
        return parts

    def _labels(self) -> list[str]:
        parts = []
        cx, cy = self._centre
        for dots, sign in zip(self._sides, (1, -1), strict=True):
            ordered = sorted(dots, key=lambda dot: -math.cos(dot.angle))
            wanted = [cy - self._outer * math.cos(dot.angle) for dot in ordered]
            for dot, y in zip(ordered, self._within(spread(wanted, self._gap)), strict=True):
                reach = math.sqrt(max(0.0, self._outer**2 - (y - cy) ** 2))
                x = cx + sign * max(reach, 10.0)
                x0, y0 = self._at(dot.angle, RADIUS + 9)
                x1, y1 = self._at(dot.angle, RADIUS + 18)
                path = f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}L{x:.1f} {y:.1f}L{x + sign * 6:.1f} {y:.1f}"
                parts.append(f'<path class="lead" d="{path}"/>')
                words = _label(dot) if sign > 0 else _label(dot)[::-1]
                spans = " ".join(f'<tspan class="{kind}">{safe(word)}</tspan>' for word, kind in words)
                anchor = "start" if sign > 0 else "end"
                parts.append(f'<text x="{x + sign * 10:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{spans}</text>')
        return parts

    def _within(self, places: Sequence[float]) -> list[float]:
        """Return the places moved into the picture, as far apart as they are allowed to be near."""
        low, high = TITLE + MARGIN, self._height - LEGEND - MARGIN
        last = len(places) - 1
        return [
            min(max(place, low + i * self._gap), high - (last - i) * self._gap) if low < high else place
            for i, place in enumerate(places)
        ]

    def _pieces(self) -> list[str]:
        parts = []
        for arc in self._arcs:
            bad = "" if arc.ok else " bad"
            radius = RADIUS + 24 + LANE * arc.lane
            end = arc.start + arc.length
            (x1, y1), (x2, y2), (x3, y3) = (
                self._at(arc.start, radius),
                self._at(end, radius),
                self._at(end, RADIUS + 10),
            )
            large = int(arc.length > math.pi)
            path = f"M{x1:.1f} {y1:.1f}A{radius:g} {radius:g} 0 {large} 1 {x2:.1f} {y2:.1f}L{x3:.1f} {y3:.1f}"
            parts.append(f'<path class="arc{bad}" d="{path}"/>')
            parts.append(f'<circle class="badge{bad}" cx="{x1:.1f}" cy="{y1:.1f}" r="7.5"/>')
            parts.append(text(x1, y1 + 3.5, str(arc.index), "number"))
        return parts

    # --- how

    def _at(self, angle: float, radius: float) -> tuple[float, float]:
        return point(self._centre, angle, radius)

    def _bow(self, start: float, end: float) -> str:
        (x1, y1), (x2, y2) = self._at(start, RADIUS), self._at(end, RADIUS)
        chord = math.dist((x1, y1), (x2, y2))
        middle = (x1 + x2) / 2, (y1 + y2) / 2
        inside = math.dist(middle, self._centre)
        # neighbours are joined by a small bow, and no bow passes the centre
        pull = min(0.6, (12 + 0.45 * chord) / inside) if inside else 0.0
        bx, by = (at + (centre - at) * pull for at, centre in zip(middle, self._centre, strict=True))
        return f"M{x1:.1f} {y1:.1f}Q{bx:.1f} {by:.1f} {x2:.1f} {y2:.1f}"


def _label(dot: _Dot) -> list[tuple[str, str]]:
    """Return the words beside a node, each with its class, the one nearest to the circle first."""
    words = [(str(dot.row.get("node"))[:NODE_CHARS], "id me" if dot.is_me else "id")]
    words.append((str(dot.row.get("address", "")), "me" if dot.is_me else ""))
    rtt = dot.row.get("rtt_ms")
    if dot.is_me:
        words.append(("this node", "me"))
    elif isinstance(rtt, int | float):
        words.append((f"{rtt:.1f} ms", "quiet"))
    for good, kind in ((True, "hold"), (False, "bad")):
        indices = [str(index) for index, ok in dot.pieces if ok is good]
        if indices:
            noun = "piece" if len(indices) == 1 else "pieces"
            words.append((f"{'' if good else 'bad '}{noun} {','.join(indices)}", kind))
    return words


def _plain(words: Sequence[tuple[str, str]]) -> str:
    return " ".join(word for word, _ in words)


def _story(dot: _Dot) -> str:
    """Return what a viewer shows when the pointer rests on a node."""
    parts = [*(word for word, _ in _label(dot)[1:]), f"node {dot.row.get('node')}"]
    since = dot.row.get("since")
    if isinstance(since, int | float):
        parts.append(f"known since {datetime.fromtimestamp(since, tz=UTC):%Y-%m-%d %H:%M} UTC")
    return ", ".join(parts)


def _id(digits: object) -> RingId | None:
    if not isinstance(digits, str) or len(digits) != 2 * ID_BYTES:
        return None
    try:
        number = int(digits, 16)
    except ValueError:
        return None
    return RingId(number) if 0 <= number < 1 << RING_BITS else None


def _index(piece: Event) -> int:
    index = piece.get("index")
    return index if isinstance(index, int) else 0


def _rows(event: Event, key: str) -> list[Event]:
    rows = event.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []
