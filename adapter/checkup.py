"""What the doctor makes of what it found: one finding for each thing that has to be right.  I/O: none.

A finding is good, doubtful (calls may fail, or sound may) or bad (calls do fail), and says what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from adapter.config import format_address
from overlay.ring.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.config import Address

Level = Literal["good", "doubtful", "bad"]
MAX_SKEW_S: Final = 240
"""Lookup records live 10 minutes by the wall clock: a clock further ahead than half of that sees people as away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at, in a word or two."""
    level: Level
    text: str
    """What was found, in one clause."""
    hint: str = ""
    """What to do about it; empty where nothing is to be done."""

    def event(self) -> dict[str, Any]:
        """Return it as the event that is shown."""
        return {"event": "finding", "check": self.check, "level": self.level, "text": self.text, "hint": self.hint}


def address(host: str, port: int, *, warning: str = "") -> Finding:
    """Judge the address that is typed into phones."""
    shown = format_address((host, port))
    if is_loopback(host):
        return Finding(
            check="address",
            level="doubtful",
            text=f"phones reach the adapter at {shown}, which only this machine knows: callers elsewhere hear nothing",
            hint="connect to a network, or choose the address with --sip HOST:PORT",
        )
    if warning:
        hint = f"another one can be chosen with --sip HOST:{port}"
        return Finding(check="address", level="doubtful", text=f"type {shown} into the phone; {warning}", hint=hint)
    return Finding(check="address", level="good", text=f"type {shown} into the phone, as its registrar or domain")


def port(where: Address, taken: Mapping[str, str]) -> Finding:
    """Judge whether an adapter could listen there; `taken` says why not, by transport."""
    shown = format_address(where)
    if not taken:
        return Finding(check="port", level="good", text=f"{shown} is free for an adapter, over UDP and TCP")
    why = ", ".join(f"{transport}: {reason}" for transport, reason in taken.items())
    return Finding(
        check="port",
        level="bad" if "UDP" in taken else "doubtful",
        text=f"an adapter cannot listen on {shown} ({why})",
        hint=f"end the program that has it (ss -lunpt 'sport = {where[1]}'), or choose another with --sip HOST:PORT",
    )


def clock(skew_s: float | None, *, is_synchronised: bool | None) -> Finding:
    """Judge this clock: `skew_s` is how far it is ahead of the bootstrap server's, None where nobody was asked."""
    hint = "set it from the network: timedatectl set-ntp true"
    if skew_s is not None and abs(skew_s) > MAX_SKEW_S:
        side = "ahead of" if skew_s > 0 else "behind"
        text = f"this clock is {abs(skew_s):.0f} s {side} the bootstrap server's: people look away who are there"
        return Finding(check="clock", level="bad", text=text, hint=hint)
    if skew_s is not None:
        text = f"{abs(skew_s):.0f} s from the bootstrap server's"
        return Finding(check="clock", level="good", text=text)
    if is_synchronised is False:
        text = "nothing keeps this clock right, and there is none to compare it with"
        return Finding(check="clock", level="doubtful", text=text, hint=hint)
    return Finding(
        check="clock", level="good", text="kept right by this machine" if is_synchronised else "not compared"
    )


def adapter(status: Mapping[str, Any] | None, state: str) -> Finding:
    """Judge whether an adapter runs."""
    if status is None:
        hint = "secp2psip adapter --user NAME serves phones of your own; call and listen bring one along"
        return Finding(check="adapter", level="doubtful", text=f"none runs on {state}", hint=hint)
    return Finding(
        check="adapter", level="good", text=f"runs (pid {status.get('pid', '?')}), phones at {status['sip']}"
    )


def ring(status: Mapping[str, Any], *, pieces: int) -> Finding:
    """Judge the ring as the running adapter sees it; `pieces` is n, how many nodes a key is spread over."""
    nodes = int(status.get("nodes", 0))
    if not status.get("ring"):
        text, hint = "the adapter is not on the ring yet", "it joins when the first phone registers"
        return Finding(check="ring", level="doubtful", text=text, hint=hint)
    if nodes < 2:  # noqa: PLR2004 -- oneself and somebody
        text = "this node sees no other: nobody can be called"
        hint = "is the bootstrap server running, and UDP let through by the firewall?"
        return Finding(check="ring", level="bad", text=text, hint=hint)
    if nodes < pieces:
        text = f"{nodes} nodes for {pieces} pieces: several pieces lie with one node, keys rest on signatures"
        return Finding(check="ring", level="doubtful", text=text, hint="more adapters make it stronger")
    return Finding(check="ring", level="good", text=f"{nodes} nodes seen, on it at {status['ring']}")


def phones(status: Mapping[str, Any]) -> list[Finding]:
    """Judge each user's registration and phones as the running adapter has them."""
    found = []
    for row in status.get("users", ()):
        user, where = str(row.get("user", "")), [str(phone) for phone in row.get("phones", ())]
        if not row.get("registered"):
            text, hint = "not registered on the ring", "register a phone, or see what the adapter said"
            found.append(Finding(check=user, level="bad", text=text, hint=hint))
        elif not where:
            text = "registered on the ring, and no phone is: callers are told 480"
            hint = f"type {status['sip']} into the phone, or run: secp2psip listen --user {user}"
            found.append(Finding(check=user, level="doubtful", text=text, hint=hint))
        else:
            text = f"registered, {row.get('placed') or 'no'} pieces placed, phone at {', '.join(where)}"
            found.append(Finding(check=user, level="good", text=text))
    for warning in status.get("warnings", ()):
        text, _, hint = str(warning).rpartition(". ")
        found.append(Finding(check="phone", level="bad", text=text or hint, hint=hint if text else ""))
    return found


def enrolled(users: Sequence[str]) -> Finding:
    """Say who needs no bootstrap server any more."""
    text = f"not needed: {', '.join(users)} {'is' if len(users) == 1 else 'are'} registered, and renewed by it in time"
    return Finding(check="bootstrap", level="good", text=text)
