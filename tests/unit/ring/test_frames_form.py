"""Every frame has one spelling; everything else is refused with RemoteError and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.ring.frames import (
    ANSWER_BYTES,
    HELLO_BYTES,
    MAX_COUNTER,
    MAX_CREDENTIAL_BYTES,
    MAX_DATAGRAM_BYTES,
    MIN_DATA_BYTES,
    NO_ID,
    RESET_BYTES,
    Answer,
    Hello,
    data_header,
    decode_answer,
    decode_data_header,
    decode_hello,
    decode_reset,
    encode_reset,
)

SIGNATURE = bytes(64)
indices = st.integers(1, 2**64 - 1)
times = st.integers(0, 2**64 - 1)
keys = st.binary(min_size=32, max_size=32)
credentials = st.binary(min_size=1, max_size=MAX_CREDENTIAL_BYTES).filter(lambda data: data[-1] != 0)
addresses = st.tuples(st.ip_addresses(v=4).map(str), st.integers(1, 65535))

hellos = st.builds(
    Hello,
    index=indices,
    ephemeral=keys,
    time_ms=times,
    expected=st.binary(min_size=20, max_size=20),
    origin=st.none() | addresses,
    target=addresses,
    credential=credentials,
)
answers = st.builds(
    Answer,
    to_index=indices,
    index=indices,
    ephemeral=keys,
    time_ms=times,
    origin=st.none() | addresses,
    credential=credentials,
)

HELLO = Hello(
    index=1,
    ephemeral=bytes(range(32)),
    time_ms=2,
    expected=NO_ID,
    origin=None,
    target=("10.0.0.1", 7000),
    credential=b"credential",
)
ANSWER = Answer(
    to_index=1, index=2, ephemeral=bytes(range(32)), time_ms=3, origin=("10.0.0.1", 7000), credential=b"credential"
)


@given(hellos)
def test_hello_round_trip(hello):
    frame = hello.body() + SIGNATURE
    assert len(frame) == HELLO_BYTES
    assert decode_hello(frame) == hello


@given(answers)
def test_answer_round_trip(answer):
    frame = answer.body() + SIGNATURE
    assert len(frame) == ANSWER_BYTES
    assert decode_answer(frame) == answer


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "2001:db8::7", "fe80::1"])
def test_addresses_of_both_families_survive(host):
    hello = Hello(
        index=1, ephemeral=bytes(32), time_ms=2, expected=NO_ID, origin=(host, 1), target=(host, 2), credential=b"c"
    )
    assert decode_hello(hello.body() + SIGNATURE) == hello


def test_answer_is_smaller_than_hello_and_reset_smaller_than_any_data():
    assert ANSWER_BYTES < HELLO_BYTES
    assert RESET_BYTES < MIN_DATA_BYTES


def test_hello_is_pinned():
    body = HELLO.body()
    assert body[:1].hex() == "11"
    assert body[1:9] == (1).to_bytes(8, "big")
    assert body[9:41] == bytes(range(32))
    assert body[41:49] == (2).to_bytes(8, "big")
    assert body[49:69] == NO_ID
    assert body[69:87] == bytes(18)
    assert body[87:105].hex() == "00000000000000000000ffff0a0000011b58"
    assert body[105:117] == b"\x00\x0acredential"
    assert not any(body[117:])


def test_answer_is_pinned():
    body = ANSWER.body()
    assert body[:1].hex() == "12"
    assert body[1:17] == (1).to_bytes(8, "big") + (2).to_bytes(8, "big")
    assert body[17:49] == bytes(range(32))
    assert body[49:57] == (3).to_bytes(8, "big")
    assert body[57:75].hex() == "00000000000000000000ffff0a0000011b58"
    assert body[75:87] == b"\x00\x0acredential"
    assert not any(body[87:])


@pytest.mark.parametrize("size", [0, 1, 100, HELLO_BYTES - 1, HELLO_BYTES + 1, 9000])
def test_hello_of_another_size_is_refused(size):
    with pytest.raises(RemoteError):
        decode_hello((HELLO.body() + SIGNATURE + bytes(9000))[:size])


@pytest.mark.parametrize("size", [0, 1, 100, ANSWER_BYTES - 1, ANSWER_BYTES + 1, 9000])
def test_answer_of_another_size_is_refused(size):
    with pytest.raises(RemoteError):
        decode_answer((ANSWER.body() + SIGNATURE + bytes(9000))[:size])


def changed(frame, place, value):
    return frame[:place] + bytes([value]) + frame[place + 1 :]


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 0x12), (0, 0x21), (8, 0), (104, 0), (105, 0xFF), (106, 0), (106, 9), (117, 1), (447, 1)],
    ids=["kind", "version", "index", "target", "length", "none", "short", "padding", "last padding"],
)
def test_hello_in_another_spelling_is_refused(place, value):
    frame = HELLO.body() + SIGNATURE
    frame = changed(frame, 103, 0) if place == 104 else frame
    with pytest.raises(RemoteError):
        decode_hello(changed(frame, place, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 0x11), (8, 0), (16, 0), (75, 0xFF), (76, 0), (76, 9), (87, 1), (417, 1)],
    ids=["kind", "to index", "index", "length", "none", "short", "padding", "last padding"],
)
def test_answer_in_another_spelling_is_refused(place, value):
    with pytest.raises(RemoteError):
        decode_answer(changed(ANSWER.body() + SIGNATURE, place, value))


def test_hello_without_a_target_is_refused():
    body = bytearray(HELLO.body())
    body[87:105] = bytes(18)
    with pytest.raises(RemoteError):
        decode_hello(bytes(body) + SIGNATURE)


@pytest.mark.parametrize("credential", [b"", b"x" * (MAX_CREDENTIAL_BYTES + 1)])
def test_credential_that_does_not_fit_is_our_own_mistake(credential):
    hello = Hello(
        index=1,
        ephemeral=bytes(32),
        time_ms=2,
        expected=NO_ID,
        origin=None,
        target=("10.0.0.1", 1),
        credential=credential,
    )
    with pytest.raises(LocalError):
        hello.body()


@given(st.integers(0, 2**64 - 1), st.integers(0, MAX_COUNTER), st.binary(min_size=16, max_size=64))
def test_data_header_round_trip(index, counter, sealed):
    assert decode_data_header(data_header(index, counter) + sealed) == (index, counter)


@pytest.mark.parametrize("size", [0, 1, 16, MIN_DATA_BYTES - 1, MAX_DATAGRAM_BYTES + 1])
def test_data_of_an_impossible_size_is_refused(size):
    with pytest.raises(RemoteError):
        decode_data_header((data_header(1, 1) + bytes(9000))[:size])


def test_data_number_beyond_the_last_is_refused():
    with pytest.raises(RemoteError):
        decode_data_header(data_header(1, MAX_COUNTER + 1) + bytes(16))


def test_reset_round_trip():
    assert decode_reset(encode_reset(77)) == 77
    for flawed in (b"", encode_reset(77) + b"\0", encode_reset(77)[:-1], b"\x13" + encode_reset(77)[1:]):
        with pytest.raises(RemoteError):
            decode_reset(flawed)


@given(st.binary(max_size=600) | st.binary(min_size=HELLO_BYTES, max_size=HELLO_BYTES))
def test_any_bytes_give_a_frame_or_remote_error(data):
    for kind, decode in ((0x11, decode_hello), (0x12, decode_answer), (0x13, decode_data_header), (0x14, decode_reset)):
        for frame in (data, bytes([kind]) + data[1:]):
            with contextlib.suppress(RemoteError):
                decode(frame)
