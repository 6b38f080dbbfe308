"""The one family of errors: "our caller is wrong" apart from "the other side is wrong".  I/O: none.

Hostile bytes raise RemoteError and nothing else; the shell catches it once, counts it and answers or drops. Texts are
one sentence in lower case without a period and never hold a secret.
"""

from __future__ import annotations


class Secp2psipError(Exception):
    """The root of every error of this project; only its two children are raised."""

    def __init__(self, reason: str) -> None:
        if type(self) is Secp2psipError:
            raise TypeError("raise LocalError or RemoteError, not their root")
        super().__init__(reason)
        self.reason = reason


class LocalError(Secp2psipError):
    """Our own caller asked for something that cannot be: a bug or a bad option on this side."""


class RemoteError(Secp2psipError):
    """A peer, a phone or a file gave something that is malformed, forged or out of date."""
