"""docs/protocol.md quotes the vectors, and says the numbers that the code has."""

from __future__ import annotations

import json
import re

import pytest

from overlay.trust.pieces import KeyPiece
from overlay.trust.records import DealingCertificate, LookupRecord, NodeCredential, Release, Succession
from overlay.trust.seals import Seals
from overlay.trust.share_list import ShareList
from overlay.trust.tombstone import Tombstone
from overlay.wire.codec import METHODS
from overlay.wire.messages import ERROR_CODES, Challenge, Error, Invite, Redirect, Register, Registered
from tests.support.make_vectors import FOLDER

PAGE = (FOLDER.parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
SQUEEZED = re.sub(r"\s+", "", PAGE)


def _load(name: str):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii"))


KEYS, SHAMIR, RECORDS, MESSAGES = (_load(name) for name in ("keys", "shamir", "records", "messages"))


@pytest.mark.parametrize(
    "vector",
    [
        KEYS["users"]["alice"]["bundle"],
        KEYS["users"]["alice"]["thumbprint"],
        KEYS["signature"]["signature"],
        RECORDS["key_piece"][0],
        RECORDS["release"],
        RECORDS["node_id"],
        SHAMIR["split"][0]["shares"][0],
        SHAMIR["split"][0]["shares"][6],
        MESSAGES["INVITE"]["payload"],
        MESSAGES["INVITE"]["jws"],
        MESSAGES["INVITE"]["jws_sha256"],
        MESSAGES["INVITE"]["line"],
        MESSAGES["REDIRECT"]["payload"],
        MESSAGES["ERROR"]["unsigned_line"],
    ],
)
def test_the_page_quotes_the_vector(vector):
    assert re.sub(r"\s+", "", vector) in SQUEEZED


@pytest.mark.parametrize("message", [Challenge, Register, Registered, Invite, Redirect, Error])
def test_the_page_has_every_member_of_every_message_in_order(message):
    section = PAGE.split(f"### {message.METHOD}", 1)[1].split("\n#", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == [member.name for member in message.MEMBERS]


@pytest.mark.parametrize(
    "kind",
    [KeyPiece, LookupRecord, NodeCredential, DealingCertificate, Release, ShareList, Succession, Tombstone, Seals],
)
def test_the_page_has_every_field_of_every_record_in_order(kind):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind.KIND} | `{kind.NAME}`"))
    assert re.findall(r"[a-z_]+", re.sub(r"\(\d+\)|ascending", "", row.split("|")[3])) == kind._names()


def test_the_page_has_every_method_and_every_code():
    for method in METHODS:
        assert f'"{method}"' in PAGE
    for code in ERROR_CODES:
        assert f"`{code}`" in PAGE
