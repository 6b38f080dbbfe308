"""The QR code of one's digits: drawn as segno draws it, and refused where it would not fit."""

import pytest
import segno

from adapter.qr import MAX_TEXT_CHARS, QUIET_MODULES, qr_lines

TEXT = "alice 12345 67890 12345 67890 12345 67890"


def modules(lines):
    """Read the drawn code back into rows of dark (1) and light (0)."""
    rows = []
    for line in lines:
        rows.append([int(half in "\u2580\u2588") for half in line])
        rows.append([int(half in "\u2584\u2588") for half in line])
    return rows


def test_what_is_drawn_is_the_code():
    drawn = modules(qr_lines(TEXT))
    wanted = [list(row) for row in segno.make_qr(TEXT, error="m").matrix]
    size = len(wanted)
    inner = [row[QUIET_MODULES : QUIET_MODULES + size] for row in drawn[QUIET_MODULES : QUIET_MODULES + size]]
    assert inner == wanted
    assert sum(map(sum, drawn)) == sum(map(sum, wanted))  # and nothing in the quiet zone


def test_it_fits_a_terminal():
    lines = qr_lines("x" * 32 + TEXT[5:])
    assert max(map(len, lines)) < 80
    assert len(lines) < 24
    with pytest.raises(ValueError, match="does not fit"):
        qr_lines("x" * (MAX_TEXT_CHARS + 1))
