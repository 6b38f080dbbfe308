"""Messages to be damaged: half of a fuzzer's work is to get past the first check.  I/O: reads the RFC 4475 vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.sip_phone import spell

if TYPE_CHECKING:
    import random

VECTORS = tuple(path.read_bytes() for path in sorted((Path(__file__).parents[1] / "vectors" / "rfc4475").glob("*.dat")))
METHODS = ("REGISTER", "INVITE", "ACK", "CANCEL", "OPTIONS", "BYE", "MESSAGE", "SUBSCRIBE")
CONTACTS = (
    "Contact: <sip:alice@192.0.2.5:5062>",
    'Contact: "A" <sip:alice@127.0.0.1:40000;transport=tcp>;q=0.5;+sip.instance="<urn:uuid:0>"',
    "Contact: <sip:a@[2001:db8::1]:5062;transport=tls>;expires=0",
    "Contact: *",
)
ODD = (
    b'"', b"<", b">", b";", b",", b":", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"%00", b"\\", b"=",
    b"*", b"@", b"\xff", b"\xc3\xa0", b"?", b"[", b"]", b"/", b"tag=", b";rport", b"l: 7\r\n", b"Content-Length: 9\r\n",
    b"0", b"99999999999999999999999", b"SIP/2.0", b"Via: SIP/2.0/TCP x\r\n",
)  # fmt: skip


def well_formed(dice: random.Random) -> bytes:
    """Spell a request that reaches the registrar or the redirect server, now and then one that repeats another."""
    method = dice.choice(METHODS)
    user = dice.choice(("alice", "carol"))
    number = dice.randrange(500)
    headers = []
    if method == "REGISTER":
        headers = [dice.choice(CONTACTS), f"Expires: {dice.choice((0, 0, 30, 120, 3600, 4294967296))}"]
    callee = user if method == "REGISTER" else dice.choice(("bob", "dave", "no such", "%62ob", ""))
    return spell(
        method,
        uri=f"sip:{callee + '@' if method != 'REGISTER' else ''}192.0.2.1:5070",
        to=f"<sip:{callee}@192.0.2.1>",
        sender=f"<sip:{user}@192.0.2.1>;tag={dice.randrange(9)}",
        branch=f";branch=z9hG4bK-{number}",
        call_id=f"call-{number}",
        cseq=dice.randrange(1, 2**31),
        headers=tuple(headers),
        body=dice.choice(("", "v=0\r\n\r\no=- 1 1 IN IP4 192.0.2.5\r\n")),
    )


def damaged(dice: random.Random, data: bytes) -> bytes:
    """Cut, copy, insert or flip in a few places."""
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice((0, 0, 1, 1, 8, 40)))
        piece = dice.choice((dice.choice(ODD), b"", data[start:end] * 2, dice.randbytes(2)))
        data = data[:start] + piece + data[end:]
    return data


def datagram(dice: random.Random) -> bytes:
    """Return what one datagram might hold: half of all whole, a third damaged, the rest noise and vectors."""
    kind = dice.randrange(12)
    if kind < 6:
        return well_formed(dice)
    if kind < 9:
        return damaged(dice, well_formed(dice))
    if kind < 11:
        return damaged(dice, dice.choice(VECTORS))
    if dice.randrange(2):
        # STUN, whole and broken
        return b"\0\x01\0\x04\x21\x12\xa4\x42" + dice.randbytes(dice.choice((0, 12, 16, 20)))
    return dice.randbytes(dice.randrange(200))


def stream(dice: random.Random) -> list[bytes]:
    """Return one connection's bytes as they are cut on their way: a few messages, pings and noise between them."""
    data = b"".join(
        dice.choice((well_formed, well_formed, lambda dice: b"\r\n\r\n", datagram))(dice)
        for _ in range(dice.randrange(1, 5))
    )
    if dice.randrange(3) == 0:
        data = damaged(dice, data)
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
