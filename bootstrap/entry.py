"""`secp2psip-bootstrap` from its first moment: Ctrl-C while the command line is still being imported.  I/O: none."""

from __future__ import annotations

from typing import Final

INTERRUPTED: Final = 130
"""The exit code, as a shell counts it. Written here: its own table is among what is imported."""


def main() -> int:
    """Run the command line of this process and return the exit code."""
    try:
        from bootstrap.cli import main as run  # noqa: PLC0415 -- what takes the time

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED
