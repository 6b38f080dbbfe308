"""Which announced bootstrap server is meant: one is taken, more are put before the user, a known key decides."""

import pytest

from adapter.choosing import MAX_SHOWN, choose, is_settled
from adapter.problems import ExitCode, Problem, describe
from overlay.wire.announcement import Announcement

A, B, C = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16


def server(key=A, overlay="office", host="10.0.0.1", port=5480):
    return Announcement(overlay=overlay, key=key, host=host, port=port)


def chosen(*found, overlay="", pins=()):
    return choose(found, overlay=overlay, pins=pins, draw=lambda candidates: candidates[0])


def refusal(*found, **wanted):
    with pytest.raises(Problem) as caught:
        chosen(*found, **wanted)
    return describe(caught.value)


def test_the_only_one_is_taken():
    assert chosen(server()) == server()


def test_none_says_what_to_do():
    trouble = refusal()
    assert trouble.error == "no bootstrap server announces itself on this network"
    assert "start secp2psip-bootstrap" in trouble.hint
    assert "--bootstrap HOST:PORT" in trouble.hint
    assert trouble.exit_code is ExitCode.UNREACHABLE


def test_several_overlays_are_told_apart_by_name():
    office, lab = server(), server(B, "lab", "10.0.0.2")
    trouble = refusal(office, lab)
    assert trouble.error.startswith("2 overlays announce themselves here: lab at 10.0.0.2:5480 with key 0202")
    assert trouble.hint == "choose one with --overlay NAME: lab, office"
    assert chosen(office, lab, overlay="lab") == lab


def test_a_name_that_nobody_announces_is_not_replaced_by_another():
    trouble = refusal(server(), overlay="lab")
    assert "no bootstrap server of overlay lab" in trouble.error
    assert "office at 10.0.0.1:5480" in trouble.error


def test_two_keys_for_one_name_stop_it_and_both_are_shown():
    trouble = refusal(server(A), server(B, host="10.0.0.66"))
    assert A.hex() in trouble.error
    assert B.hex() in trouble.error
    assert "nothing was sent" in trouble.error
    assert "--overlay-key HEX" in trouble.hint
    assert trouble.exit_code is ExitCode.UNVERIFIED


def test_the_impostor_cannot_hide_behind_the_same_address_or_another_overlay():
    refusal(server(A), server(B))
    trouble = refusal(server(A), server(B), server(C, "lab"), overlay="office")
    assert trouble.exit_code is ExitCode.UNVERIFIED


@pytest.mark.parametrize("pin", [A, B])
def test_a_known_key_decides_between_two(pin):
    assert chosen(server(A), server(B), pins={pin}).key == pin


def test_a_known_key_decides_between_overlays():
    assert chosen(server(A), server(B, "lab"), pins={B}).overlay == "lab"


def test_another_key_than_the_known_one_is_refused():
    trouble = refusal(server(B), pins={A})
    assert trouble.error == (
        f"no bootstrap server here has the known key {A.hex()}: there is office at 10.0.0.1:5480 with key {B.hex()}"
    )
    assert trouble.exit_code is ExitCode.UNVERIFIED


def test_one_server_with_two_addresses_is_one_server():
    both = (server(host="10.0.0.1"), server(host="10.0.0.2"))
    drawn = choose(both, overlay="", pins=(), draw=lambda candidates: candidates[-1])
    assert drawn in both


def test_a_crowd_is_counted_not_listed():
    trouble = refusal(*(server(bytes([n]) * 16, host=f"10.0.0.{n}") for n in range(1, 10)))
    assert trouble.error.count(" with key ") == MAX_SHOWN
    assert "and 5 more" in trouble.error


def test_only_a_known_key_settles_it_early():
    assert not is_settled({server()}, overlay="", pins=())
    assert not is_settled({server()}, overlay="", pins={B})
    assert is_settled({server(), server(B)}, overlay="", pins={B})
    assert not is_settled({server(B, "lab")}, overlay="office", pins={B})
