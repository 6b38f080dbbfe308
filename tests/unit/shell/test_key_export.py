"""A key under a passphrase: opened by that one alone, refused when damaged, one spelling, never larger than it says."""

from itertools import pairwise

import pytest

from adapter import key_export
from adapter.key_export import (
    HEADER,
    LINK_BYTES,
    MAX_EXPORT_BYTES,
    MAX_LINKS,
    ExportedKey,
    WrongPassphrase,
    check_export,
    check_passphrase,
    open_export,
    seal_export,
)
from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PrivateBundle
from overlay.trust.succession import Succession, encode_chain

PASSPHRASE = "four words are better"
KEYS = [PrivateBundle.from_bytes(bytes([number]) * 64) for number in range(1, 6)]


def chain(aor, keys):
    links = [
        Succession.issue(old, aor=aor, generation=number, new=new.public)
        for number, (old, new) in enumerate(pairwise(keys), start=2)
    ]
    return ExportedKey(aor=aor, keys=keys[-1], generation=len(keys), succession=encode_chain(links))


def seal(content, passphrase=PASSPHRASE, salt=b"s" * 16, nonce=b"n" * 12):
    return seal_export(content, passphrase, salt=salt, nonce=nonce)


FIRST = ExportedKey(aor="alice", keys=KEYS[0])
FILE = seal(FIRST)


@pytest.mark.parametrize(
    "content", [FIRST, chain("bob", KEYS[:2]), chain("x" * 32, KEYS)], ids=["first", "second", "fifth"]
)
def test_what_was_sealed_comes_out(content):
    data = seal(content)
    opened = open_export(data, PASSPHRASE)
    assert (opened.aor, opened.generation, opened.succession) == (content.aor, content.generation, content.succession)
    assert opened.keys.to_bytes() == content.keys.to_bytes()
    assert len(data) <= MAX_EXPORT_BYTES
    assert content.keys.to_bytes()[:16] not in data


def test_the_longest_content_is_as_long_as_the_bound():
    content = chain("x" * 32, KEYS)
    assert len(content.succession) == MAX_LINKS * LINK_BYTES
    assert len(seal(content)) == MAX_EXPORT_BYTES


def test_the_form_is_the_documented_one():
    """Computed once, by hand from docs/protocol.md §12: whoever changes the form breaks the files of others."""
    import base64
    import hashlib

    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    plain = b"\x05" + b"\0\0\0\x01" + b"\0" + b"alice" + b"\x01" * 64
    key = hashlib.scrypt(PASSPHRASE.encode(), salt=b"s" * 16, n=2**17, r=8, p=1, dklen=32, maxmem=2**28)
    body = b"s" * 16 + b"n" * 12 + ChaCha20Poly1305(key).encrypt(b"n" * 12, plain, b"secp2psip-key-export-1")
    checksum = hashlib.sha256(b"secp2psip-key-export-1\0" + body).digest()[:8]
    assert b"secp2psip-key-export-1 " + base64.b64encode(body + checksum) + b"\n" == FILE


def test_another_passphrase_is_named_as_such():
    with pytest.raises(WrongPassphrase, match="passphrase is wrong"):
        open_export(FILE, PASSPHRASE + "!")


def test_the_same_passphrase_in_another_composition_is_the_same():
    file = seal(FIRST, "pass w\u00f6rter")
    assert open_export(file, "pass wo\u0308rter").aor == "alice"


def test_every_damage_is_told_from_a_wrong_passphrase(monkeypatch):
    monkeypatch.setattr(key_export, "_cipher", lambda *_: pytest.fail("nothing is tried on a damaged file"))
    for at in range(len(FILE)):
        for bad in (FILE[:at], FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :]):
            with pytest.raises(RemoteError):
                open_export(bad, PASSPHRASE)


NO_EXPORTS = {
    "nothing": b"",
    "no text": b"\xff",
    "header alone": b"secp2psip-key-export-1",
    "a line more": FILE + b"\n",
    "a space before": b" " + FILE,
    "another line end": FILE.replace(b"\n", b"\r\n"),
    "twice": FILE * 2,
    "another version": FILE.replace(b"export-1", b"export-2"),
    "ten megabytes": HEADER.encode() + b" " + b"A" * 10_000_000 + b"\n",
}


@pytest.mark.parametrize("data", NO_EXPORTS.values(), ids=NO_EXPORTS)
def test_what_is_no_such_file_is_refused(data):
    with pytest.raises(RemoteError):
        check_export(data)


def test_links_that_do_not_verify_are_not_taken():
    good = chain("alice", KEYS[:2])
    with pytest.raises(RemoteError):
        ExportedKey(aor="alice", keys=KEYS[2], generation=2, succession=good.succession)


@pytest.mark.parametrize("passphrase", ["", "1234567", "\u00f6" * 600])
def test_a_passphrase_has_bounds(passphrase):
    with pytest.raises(LocalError):
        check_passphrase(passphrase)
