"""Every function of overlay.trust and overlay.wire that reads what a stranger sent, with something true to begin."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import overlay.trust
import overlay.wire
from overlay.errors import RemoteError
from overlay.trust import shamir, signed
from overlay.trust.acceptance import Claim, accept
from overlay.trust.identity import KeyBundle, PrivateBundle, SigningKey, parse_aor
from overlay.trust.polynomial import PRIME
from overlay.trust.succession import decode_chain, encode_chain
from overlay.wire import codec, envelope, jose, payload
from overlay.wire.announcement import Announcement
from overlay.wire.fields import Contact, Message
from tests.support import people

if TYPE_CHECKING:
    from collections.abc import Callable

ALICE, BOB, BOOTSTRAP = people.ALICE, people.BOB, people.BOOTSTRAP


class Decoder(NamedTuple):
    """One decoder: bytes in; a value out, or RemoteError and nothing else."""

    read: Callable[[bytes], Any]
    true: tuple[bytes, ...]
    """What it takes."""


def every_decoder() -> dict[str, Decoder]:
    """Return all of them by name; a new record or message is among them without a word here, if `people` has one."""
    for package in (overlay.trust, overlay.wire):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    found = {
        f"{where}: {kind.__name__}": Decoder(kind.decode, _examples(kind))
        for where, root in (("trust", signed.Signed), ("wire", Message))
        for kind in root.__subclasses__()
        # a dataclass with slots leaves the class that it was made from behind
        if getattr(sys.modules[kind.__module__], kind.__name__) is kind
    }
    return found | _trust() | _wire()


def _examples(kind: type) -> tuple[bytes, ...]:
    """Return what the fixed people have of a kind, encoded."""
    made = []
    for name in vars(people):
        maker = getattr(people, name)
        if getattr(maker, "__module__", "") != people.__name__ or name in {"private_bundle", "party"}:
            continue
        value = maker()
        made.extend(one.encode() for one in (value if isinstance(value, tuple) else (value,)) if type(one) is kind)
    assert made, f"tests.support.people has no {kind.__name__}"
    return tuple(made)


def _trust() -> dict[str, Decoder]:
    bundle = ALICE.public.encode()
    shares = b"".join(bytes([piece.index]) + piece.share for piece in people.pieces())
    return {
        "trust: KeyBundle": Decoder(KeyBundle.decode, (bundle,)),
        "trust: PrivateBundle": Decoder(PrivateBundle.from_bytes, (ALICE.to_bytes(),)),
        "trust: SigningKey": Decoder(SigningKey.from_bytes, (people.NODE.to_bytes(),)),
        "trust: a name": Decoder(lambda data: parse_aor(_text(data)), (b"alice", b"%61lice.b-c")),
        "trust: kind_of": Decoder(signed.kind_of, (people.tombstone().encode(),)),
        "trust: chain of successions": Decoder(
            lambda data: decode_chain(data, aor="alice", generation=9, bundle=people.EVE.public.encode()),
            (b"", encode_chain([people.succession()])),
        ),
        "trust: a share": Decoder(shamir.decode_share, (people.pieces()[0].share,)),
        "trust: decode": Decoder(lambda data: shamir.decode(_points(data), k=3), (shares,)),
        "trust: combine": Decoder(lambda data: shamir.combine(_points(data), k=3), (shares,)),
        "trust: accept": Decoder(_accept, (shares,)),
    }


def _wire() -> dict[str, Decoder]:
    invite = envelope.seal_invite(people.invite(), ALICE, BOB.public).line
    redirect = envelope.seal_redirect(people.redirect(), BOB, ALICE.public).line
    challenge = envelope.seal_challenge(people.challenge(), BOOTSTRAP)
    register = envelope.seal_register(people.register(), ALICE, BOOTSTRAP.public)
    registered = envelope.seal_registered(people.registered(), BOOTSTRAP, ALICE.public)
    hint, error = (envelope.seal_error(people.error(), signer) for signer in (None, ALICE))
    lines = (invite, redirect, challenge, register, registered, hint, error)
    compact = jose.sign("INVITE", people.invite().encode(), ALICE).encode()
    named = jose.sign("ERROR", people.error().encode(), ALICE, key_id=ALICE.public.thumbprint()).encode()
    announced = b"\n".join((b"192.0.2.1", b"5480", b"v=1", b"overlay=lab", b"key=" + b"0" * 32))
    return {
        "wire: line": Decoder(codec.decode_line, lines),
        "wire: open_challenge": Decoder(envelope.open_challenge, (challenge,)),
        "wire: open_register": Decoder(lambda line: envelope.open_register(line, BOOTSTRAP), (register,)),
        "wire: open_registered": Decoder(
            lambda line: envelope.open_registered(line, ALICE, BOOTSTRAP.public), (registered,)
        ),
        "wire: unseal": Decoder(lambda line: envelope.unseal(line, BOB), (invite,)),
        "wire: open_error": Decoder(envelope.open_error, (hint, error)),
        "wire: verify_error": Decoder(lambda line: envelope.verify_error(line, ALICE.public), (error,)),
        "wire: signed token": Decoder(lambda data: jose.parse_jws(_text(data), "INVITE"), (compact,)),
        "wire: signed token with a key's name": Decoder(
            lambda data: jose.parse_jws(_text(data), "ERROR", names_key=True), (named,)
        ),
        "wire: encrypted token": Decoder(
            lambda data: jose.decrypt(_text(data), BOB), (codec.decode_line(invite).token.encode(),)
        ),
        "wire: base64url": Decoder(lambda data: payload.decode_base64(_text(data)), (b"AAECAw", b"_-8")),
        "wire: json": Decoder(payload.decode_json, (people.invite().encode(), b'{"a":[1,"b",{}]}')),
        "wire: Contact": Decoder(lambda data: Contact.parse(_text(data)), (b"192.0.2.1:5062;udp", b"[::1]:5061;tls")),
        "wire: Announcement": Decoder(_announcement, (announced,)),
    }


def _text(data: bytes) -> str:
    # every byte is a character: what is not ascii gets through to the decoder too
    return data.decode("latin-1")


def _points(data: bytes) -> dict[int, bytes]:
    """Take bytes for points: an index, then a share that may be too short at the end."""
    size = 1 + shamir.SHARE_BYTES
    return {data[at]: data[at + 1 : at + size] for at in range(0, min(len(data), 24 * size), size)}


def _accept(data: bytes) -> Any:
    """Take bytes for claims of nodes that answered what they liked; a holder's claims are decoded before they count."""
    claims = []
    size = 2 + shamir.SHARE_BYTES
    for at in range(0, min(len(data), 24 * size) - size + 1, size):
        share = (int.from_bytes(data[at + 2 : at + size], "big") % PRIME).to_bytes(shamir.SHARE_BYTES, "big")
        claims.append(Claim(node=bytes([data[at] % 8]) * 20, index=1 + data[at + 1] % shamir.MAX_PIECES, share=share))
    return accept(claims, k=3, n=7)


def _announcement(data: bytes) -> Announcement:
    """Take lines for an address, a port and a TXT record."""
    host, _, rest = data.partition(b"\n")
    port, _, rest = rest.partition(b"\n")
    pairs = (line.partition(b"=") for line in rest.split(b"\n"))
    properties = {key: value if equals else None for key, equals, value in pairs}
    return Announcement.decode([_text(host)], int(port) if port[:6] == port and port.isdigit() else None, properties)


def feed(decoder: Decoder, data: bytes) -> bool:
    """Give it some bytes; return whether it took them. Whatever else it raises than RemoteError comes out."""
    try:
        decoder.read(data)
    except RemoteError:
        return False
    return True
