"""The Via header: which transaction a request belongs to and where its answer goes.  I/O: none.

Parsed strictly, stamped in its raw text: the answer must carry the Via that the phone sent, with nothing changed but
`received` and `rport` [RFC 3261 §18.2.1, §20.42] [RFC 3581 §4].
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from adapter.sip.grammar import TOKEN, address_of, parse_parameters, split_host_port, without_parameters
from overlay.errors import RemoteError

MAGIC_COOKIE: Final = "z9hG4bK"
"""What a branch starts with when its sender follows RFC 3261 [RFC 3261 §8.1.1.7]."""
DEFAULT_PORTS: Final = {"UDP": 5060, "TCP": 5060, "TLS": 5061}
MAX_BRANCH_CHARS: Final = 512

_SENT: Final = re.compile(rf"SIP\s*/\s*({TOKEN})\s*/\s*({TOKEN})\s+([^;]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """One Via value."""

    version: str
    """"2.0" in every SIP that exists."""
    transport: str
    """Upper case."""
    host: str
    """sent-by host, lower case."""
    port: int
    """sent-by port, the transport's own when the value names none."""
    parameters: dict[str, str | None]

    @property
    def branch(self) -> str:
        """The branch as it came, empty when there is none."""
        return self.parameters.get("branch") or ""

    @property
    def has_cookie(self) -> bool:
        """Tell whether the branch alone identifies the transaction [RFC 3261 §17.2.3]."""
        return self.branch[: len(MAGIC_COOKIE)].lower() == MAGIC_COOKIE.lower()

    @property
    def is_bare_cookie(self) -> bool:
        """Tell whether the branch is the cookie and nothing else, which identifies nothing [RFC 4475 §3.2.1]."""
        return self.branch.lower() == MAGIC_COOKIE.lower()


def parse_via(text: str) -> Via:
    """Read one Via value; RemoteError when any part of it is malformed."""
    sent = _SENT.match(text.strip())
    if sent is None:
        raise RemoteError("a Via is malformed")
    version, transport, sent_by = sent.groups()
    host, port = split_host_port(sent_by.strip())
    parameters = parse_parameters(text.strip()[sent.end() :])
    branch = parameters.get("branch")
    if "branch" in parameters and (not branch or len(branch) > MAX_BRANCH_CHARS):
        raise RemoteError("a Via has an empty or overlong branch")
    transport = transport.upper()
    return Via(
        version=version,
        transport=transport,
        host=host,
        port=port if port is not None else DEFAULT_PORTS.get(transport, 5060),
        parameters=parameters,
    )


def stamp_via(text: str, *, host: str, port: int) -> str:
    """Write into the raw top Via where the request really came from, so that the phone learns it.

    `rport` is filled where the phone asked for it; a `received` that the phone wrote itself is dropped [RFC 3581 §4].
    """
    via = parse_via(text)
    stamped = without_parameters(text.strip(), frozenset({"received", "rport"}))
    # an IPv6 scope means something on this host alone
    host = host.partition("%")[0]
    if "rport" in via.parameters:
        return f"{stamped};received={host};rport={port}"
    return stamped if address_of(via.host) == address_of(host) else f"{stamped};received={host}"
