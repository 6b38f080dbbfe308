"""The torture messages of RFC 4475: what the server makes of each one.

"asked" means that it was understood and reached the service; a status is what it is answered with.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.sip.message import parse_request
from adapter.sip.refusal import as_refusal
from adapter.sip.validate import check_extensions, validate
from overlay.errors import RemoteError
from tests.unit.sip.servers import FLOW, make_server, statuses

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"
GOOD, DROPPED = "good", "dropped"

# file -> (section, what the parser and the validator say, what the sender hears)
# an INVITE that is good hears 403: its phone is registered nowhere, which is decided after all that is tested here
TABLE = {
    "wsinv": ("3.1.1.1", GOOD, 403),
    "intmeth": ("3.1.1.2", GOOD, 405),
    "esc01": ("3.1.1.3", GOOD, 403),
    "escnull": ("3.1.1.4", GOOD, 404),  # a user name with a NUL is a SIP user, but no name here
    "esc02": ("3.1.1.5", GOOD, 405),  # RE%47IST%45R is not REGISTER
    "lwsdisp": ("3.1.1.6", GOOD, 200),
    "longreq": ("3.1.1.7", GOOD, 403),
    "dblreq": ("3.1.1.8", GOOD, 200),  # what follows in the datagram is ignored
    "semiuri": ("3.1.1.9", GOOD, 200),
    "transports": ("3.1.1.10", GOOD, 200),
    "mpart01": ("3.1.1.11", GOOD, 405),
    "unreason": ("3.1.1.12", DROPPED, None),  # responses: this server never asks anything
    "noreason": ("3.1.1.13", DROPPED, None),
    "badinv01": ("3.1.2.1", 400, 400),
    "clerr": ("3.1.2.2", 400, 400),
    "ncl": ("3.1.2.3", 400, 400),
    "scalar02": ("3.1.2.4", 400, 400),
    "scalarlg": ("3.1.2.5", DROPPED, None),
    "quotbal": ("3.1.2.6", 400, 400),
    "ltgtruri": ("3.1.2.7", 400, 400),
    "lwsruri": ("3.1.2.8", 400, 400),
    "lwsstart": ("3.1.2.9", 400, 400),
    "trws": ("3.1.2.10", 400, 400),
    "escruri": ("3.1.2.11", 400, 400),
    "baddate": ("3.1.2.12", GOOD, 403),  # nobody here reads a Date: the RFC lets it be ignored
    "regbadct": ("3.1.2.13", GOOD, 400),  # its Contact is read by the registrar
    "badaspec": ("3.1.2.14", 400, 400),
    "baddn": ("3.1.2.15", 400, 400),
    "badvers": ("3.1.2.16", 505, 505),
    "mismatch01": ("3.1.2.17", 400, 400),
    "mismatch02": ("3.1.2.18", 400, 400),
    "bigcode": ("3.1.2.19", DROPPED, None),
    "badbranch": ("3.2.1", 400, 400),
    "insuf": ("3.3.1", 400, 400),
    "unkscm": ("3.3.2", 416, 416),
    "novelsc": ("3.3.3", 416, 416),
    "unksm2": ("3.3.4", GOOD, 400),  # To is no SIP URI, which a registrar needs
    "bext01": ("3.3.5", 420, 420),
    "invut": ("3.3.6", GOOD, 403),  # a redirect server reads no body
    "regaut01": ("3.3.7", GOOD, 200),
    "multi01": ("3.3.8", 400, 400),
    "mcl01": ("3.3.9", 400, 400),
    "bcast": ("3.3.10", DROPPED, None),
    "zeromf": ("3.3.11", GOOD, 200),  # it has arrived: no hop is left and none is needed
    "cparam01": ("3.3.12", GOOD, 200),
    "cparam02": ("3.3.13", GOOD, 200),
    "regescrt": ("3.3.14", GOOD, 200),
    "sdp01": ("3.3.15", GOOD, 403),  # no session description is made here, so none can be unacceptable
    "inv2543": ("3.4.1", GOOD, 403),
}


def message(name: str) -> bytes:
    return (VECTORS / f"{name}.dat").read_bytes()


def test_every_message_of_the_rfc_is_in_the_table():
    assert {path.stem for path in VECTORS.glob("*.dat")} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_the_parser_and_the_validator_judge_as_the_rfc_does(name):
    try:
        raw = parse_request(message(name))
    except RemoteError:
        assert TABLE[name][1] == DROPPED
        return
    try:
        request = validate(raw, transport="UDP")
        check_extensions(request)
        verdict = GOOD
    except RemoteError as error:
        verdict = as_refusal(error).status
    assert verdict == TABLE[name][1]


@pytest.mark.parametrize("name", TABLE)
def test_the_sender_hears_what_the_rfc_recommends(name):
    server = make_server(everywhere=True)
    server.receive(message(name), FLOW, 0.0)
    expected = TABLE[name][2]
    assert statuses(server) == ([] if expected is None else [expected])


def test_extensions_that_are_not_served_are_named():
    server = make_server(everywhere=True)
    server.receive(message("bext01"), FLOW, 0.0)
    ((data, _),) = server.datagrams_to_send()
    assert b"\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n" in data


def test_a_folded_and_spaced_request_is_understood():
    request = validate(parse_request(message("wsinv")), transport="UDP")
    assert (request.cseq, request.hops_left, request.call_id) == (9, 68, "wsinv.ndaksdj@192.0.2.1")
    assert (request.callee.tag, request.caller.tag, request.via.branch) == ("1918181833n", "98asjd8", "390skdjuw")
    assert [request.uri.user, request.uri.parameters] == ["vivekg", {"unknownparam": None}]
