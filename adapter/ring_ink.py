"""Colours, words and legend of the picture of the ring.  I/O: none."""

from typing import Final
from xml.sax.saxutils import escape

from adapter.problems import one_line

_HUE_NEAR: Final = 190
_HUE_FAR: Final = 320
_STRIPES: Final = 4

STYLE: Final = """
text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #33415c }
.head { font: 600 20px system-ui, 'DejaVu Sans', sans-serif; fill: #16213a }
.say { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #5b6b85 }
.id { font-weight: 700 } .me { fill: #0b5fc0 } .quiet { fill: #7d8ba1 } .hold { fill: #b85c00; font-weight: 700 }
.bad { fill: #c2202f; font-weight: 700 }
.ring { fill: none; stroke: #c9d2df; stroke-width: 2 } .tick { stroke: #c9d2df; stroke-width: 2 }
.mark { font-size: 10px; fill: #a3afc0 }
.node { fill: #51627a; stroke: #fff; stroke-width: 1.5 } .self { fill: #0b5fc0; stroke: #fff; stroke-width: 2 }
.halo { fill: none; stroke: #e07b1a; stroke-width: 2 } .halo.bad { stroke: #c2202f }
.known { fill: none; stroke: #7d8ba1; stroke-width: 1; opacity: .3 } .finger { fill: none; stroke-width: 2 }
.lead { fill: none; stroke: #c9d2df; stroke-width: 1 }
.arc { fill: none; stroke: #e07b1a; stroke-width: 2 } .arc.bad { stroke: #c2202f; stroke-dasharray: 4 3 }
.badge { fill: #e07b1a } .badge.bad { fill: #c2202f }
.number { font: 700 10px system-ui, 'DejaVu Sans', sans-serif; fill: #fff; text-anchor: middle }
"""


def _stripes(y: float) -> str:
    return "".join(
        f'<path class="finger" style="stroke: hsl({hue(i, _STRIPES)}, 65%, 48%)" d="M{6 * i} {y:.1f}h6"/>'
        for i in range(_STRIPES)
    )


def hue(step: int, of: int) -> int:
    """Return the hue of a finger in degrees: the nearest of `of` is step 0."""
    return _HUE_NEAR + (_HUE_FAR - _HUE_NEAR) * step // max(1, of - 1)


def text(x: float, y: float, words: str, kind: str, anchor: str = "") -> str:
    """Return a text element of a class of STYLE."""
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{where}>{safe(words)}</text>'


def safe(words: str) -> str:
    """Return a text as XML may hold it: no control characters, nothing that could be markup."""
    return escape(one_line(words), {'"': "&quot;"})


def legend(*, x: float, y: float, with_pieces: bool) -> list[str]:
    """Return the legend, beginning at x on the line y."""
    left = x
    entries = [
        (f'<circle class="self" cx="12" cy="{y - 4:.1f}" r="8"/>', "this node"),
        (f'<circle class="node" cx="12" cy="{y - 4:.1f}" r="6"/>', "a node"),
        (_stripes(y - 4), "fingers, near to far"),
        (f'<path class="known" style="opacity: .6" d="M0 {y - 4:.1f}h24"/>', "other nodes it knows"),
    ]
    if with_pieces:
        piece = f'<path class="arc" d="M4 {y - 4:.1f}h22"/><circle class="badge" cx="4" cy="{y - 4:.1f}" r="6"/>'
        entries.append((piece, "a piece: from its place to its holder"))
    parts = []
    for drawing, words in entries:
        parts.append(f'<g transform="translate({x:.1f} 0)">{drawing}{text(32, y, words, "say")}</g>')
        x += 32 + 7.4 * len(words) + 22
    says = "Ids grow clockwise from the top. Finger i is the first node known at or after this one's id + 2^i."
    return [*parts, text(left, y + 24, says, "say")]
