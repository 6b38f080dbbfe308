"""A QR code as lines of text for a terminal: two modules a character, one above the other.  I/O: none.

Drawn dark on light by its printer, whatever the terminal's colours are: cameras are not sure to read the reverse.
"""

from typing import Final

MAX_TEXT_CHARS: Final = 256
"""More than this makes a code that is larger than a terminal."""
QUIET_MODULES: Final = 4
"""Light modules around the code, as every reader expects them."""
_HALVES: Final = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}


def qr_lines(text: str) -> list[str]:
    """Return the code of `text`, at most MAX_TEXT_CHARS; ValueError for a longer one."""
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"a code of more than {MAX_TEXT_CHARS} characters does not fit a terminal")
    import segno  # noqa: PLC0415 -- four commands in five draw no code

    code = segno.make_qr(text, error="m")
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET_MODULES)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]
