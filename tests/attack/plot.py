"""The rows as a picture: one panel per attack, calls that succeed and forged keys against the number of liars."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = dict[str, Any]

WIDTH, HEIGHT = 250, 150
"""Of a panel's axes, in pixels."""
GAP_X, GAP_Y, LEFT, TOP = 62, 84, 60, 96
COLUMNS = 4
BLUE, RED, GREY = "#1f6feb", "#cf222e", "#57606a"
SUBTITLE = "share of calls (y) against evil nodes (x); the grey line is k, the fewest that the claim lets do harm"
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
DASHES = {"secp2psip": "", "paper": "5 4", "stock": "1 4"}


def draw(rows: Sequence[Row]) -> str:
    """Return an SVG of all panels."""
    panels = [
        (level, k, n, attack)
        for level, k, n, attack in dict.fromkeys((r["level"], r["k"], r["n"], r["attack"]) for r in rows)
        if level in {"holder", "ring"} and any(r["attack"] == attack and r["liars"] for r in rows)
    ]
    lines = -(-len(panels) // COLUMNS)
    width = LEFT + COLUMNS * (WIDTH + GAP_X)
    height = TOP + lines * (HEIGHT + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT}>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_legend(),
    ]
    for number, panel in enumerate(panels):
        x = LEFT + number % COLUMNS * (WIDTH + GAP_X)
        y = TOP + number // COLUMNS * (HEIGHT + GAP_Y)
        parts += [f'<g transform="translate({x} {y})">', *_panel(rows, *panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts = [
        f'<text x="{LEFT}" y="26" font-size="17" font-weight="600">What lying nodes achieve</text>',
        f'<text x="{LEFT}" y="46" fill="{GREY}">{SUBTITLE}</text>',
    ]
    x = LEFT
    for variant, dash in DASHES.items():
        for colour, what in ((BLUE, "calls that succeed"), (RED, "forged keys")):
            text = f"{variant}: {what}"
            parts.append(_line(x, 66, x + 26, 66, colour, dash=dash, width=2))
            parts.append(f'<text x="{x + 32}" y="70">{text}</text>')
            x += 46 + 7 * len(text)
    return parts


def _panel(rows: Sequence[Row], level: str, k: int, n: int, attack: str) -> list[str]:
    def mine(variant: str) -> list[Row]:
        wanted = (level, k, n)
        own = [r for r in rows if (r["level"], r["k"], r["n"]) == wanted and r["variant"] == variant]
        hit = [r for r in own if r["attack"] == attack]
        # where nobody lies every attack is the same
        return sorted([*hit, *(r for r in own if r["liars"] == 0 and hit and r not in hit)], key=lambda r: r["liars"])

    here = [row for row in rows if row["level"] == level]
    most = n if level == "holder" else max(row["liars"] for row in here)
    where = f"k={k}, n={n}" if level == "holder" else f"ring of {here[0]['of']}"
    parts = [
        f'<text y="-22" font-weight="600">{escape(attack)}</text>',
        f'<text y="-8" fill="{GREY}">{level} level, {where}</text>',
    ]
    for percent in (0, 50, 100):
        y = _y(percent / 100)
        parts.append(_line(0, y, WIDTH, y, "#d8dee4"))
        parts.append(f'<text x="-8" y="{y + 4}" text-anchor="end" fill="{GREY}">{percent} %</text>')
    ticks = range(n + 1) if level == "holder" else sorted({r["liars"] for r in rows if r["level"] == level} | {0})
    for tick in ticks:
        x = WIDTH * tick / most
        parts.append(f'<text x="{x}" y="{HEIGHT + 18}" text-anchor="middle" fill="{GREY}">{tick}</text>')
    if level == "holder":
        parts.append(_line(WIDTH * k / most, 0, WIDTH * k / most, HEIGHT, GREY))
    for variant, dash in DASHES.items():
        own = mine(variant)
        for colour, what in ((BLUE, "ok"), (RED, "forged")):
            points = [(WIDTH * row["liars"] / most, _y(row[what] / row["calls"])) for row in own]
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
