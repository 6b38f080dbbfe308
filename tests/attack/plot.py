"""The rows as a picture: one panel per attack, calls that succeed and forged keys against the number of liars."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = dict[str, Any]

WIDTH, HEIGHT = 250, 130
"""Of a panel's axes, in pixels."""
GAP_X, GAP_Y, LEFT, TOP, HEADING = 62, 72, 60, 124, 46
COLUMNS = 4
TICK_ROOM = 14
"""Pixels that a number under an axis needs for itself."""
BLUE, RED, GREY = "#1f6feb", "#cf222e", "#57606a"
SUBTITLE = "share of calls against the number of evil nodes; the grey line is k, the fewest that the claim lets do harm"
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
DASHES = {"secp2psip": "", "paper": "6 4", "stock": "2 4"}
WHO = {"secp2psip": "this project", "paper": "the scheme as printed", "stock": "stock kademlia"}
COLOURS = {"ok": (BLUE, "calls that succeed"), "forged": (RED, "forged keys")}


def draw(rows: Sequence[Row]) -> str:
    """Return an SVG of all panels, a heading for each ring and threshold."""
    groups: dict[tuple[str, int, int], list[str]] = {}
    for row in rows:
        if row["level"] in {"holder", "ring"} and row["liars"]:
            attacks = groups.setdefault((row["level"], row["k"], row["n"]), [])
            attacks += [row["attack"]] if row["attack"] not in attacks else []
    parts, y = _legend(), TOP
    for (level, k, n), attacks in groups.items():
        here = [row for row in rows if (row["level"], row["k"], row["n"]) == (level, k, n)]
        parts.append(f'<text x="{LEFT}" y="{y}" font-size="15" font-weight="600">{_heading(level, k, here)}</text>')
        y += HEADING
        for number, attack in enumerate(attacks):
            at = LEFT + number % COLUMNS * (WIDTH + GAP_X), y + number // COLUMNS * (HEIGHT + GAP_Y)
            parts += [f'<g transform="translate({at[0]} {at[1]})">', *_panel(here, attack, k=k), "</g>"]
        y += -(-len(attacks) // COLUMNS) * (HEIGHT + GAP_Y)
    width = LEFT + COLUMNS * (WIDTH + GAP_X)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" {FONT}>',
            f'<rect width="{width}" height="{y}" fill="white"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _heading(level: str, k: int, here: Sequence[Row]) -> str:
    if level == "ring":
        return f"Evil nodes in a ring of {max(row['of'] for row in here)}"
    return f"Liars among the {here[0]['of']} holders of a key, of which {k} rebuild it"


def _legend() -> list[str]:
    parts = [
        f'<text x="{LEFT}" y="26" font-size="17" font-weight="600">What lying nodes achieve</text>',
        f'<text x="{LEFT}" y="46" fill="{GREY}">{SUBTITLE}</text>',
    ]
    for column, (variant, dash) in enumerate(DASHES.items()):
        x = LEFT + column * (WIDTH + GAP_X)
        for line, (colour, what) in enumerate(COLOURS.values()):
            y = 66 + 18 * line
            parts.append(_line(x, y, x + 30, y, colour, dash=dash, width=2))
            parts.append(f'<text x="{x + 38}" y="{y + 4}">{WHO[variant]}: {what}</text>')
    return parts


def _panel(here: Sequence[Row], attack: str, *, k: int) -> list[str]:
    """Draw one attack; `here` are all rows of its level and threshold."""
    hit = [row for row in here if row["attack"] == attack]
    most = max(row["liars"] for row in hit)
    most = max(most, hit[0]["of"]) if hit[0]["level"] == "holder" else most
    parts = [f'<text y="-12" font-weight="600">{escape(attack)}</text>']
    for percent in (0, 50, 100):
        y = _y(percent / 100)
        parts.append(_line(0, y, WIDTH, y, "#d8dee4"))
        parts.append(f'<text x="-8" y="{y + 4}" text-anchor="end" fill="{GREY}">{percent} %</text>')
    free = -TICK_ROOM
    for tick in sorted({row["liars"] for row in hit} | {0}):
        x = WIDTH * tick / most
        if x - free >= TICK_ROOM:
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT + 18}" text-anchor="middle" fill="{GREY}">{tick}</text>')
            free = x
    if hit[0]["level"] == "holder":
        parts.append(_line(WIDTH * k / most, 0, WIDTH * k / most, HEIGHT, GREY))
    for variant, dash in DASHES.items():
        own = [row for row in hit if row["variant"] == variant]
        # where nobody lies every attack is the same
        own += [row for row in here if own and row["variant"] == variant and row["liars"] == 0 and row not in own]
        for what, (colour, _) in COLOURS.items():
            places = [(row["liars"], row[what] / row["calls"]) for row in own]
            points = [(WIDTH * liars / most, _y(share)) for liars, share in sorted(places)]
            if points:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                style = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}" fill="none"'
                parts.append(f'<polyline points="{path}" {style}/>')
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in points]
    return parts


def _y(share: float) -> float:
    return HEIGHT * (1 - share)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: str = "", width: int = 1) -> str:
    ends = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>'
