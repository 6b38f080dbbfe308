from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import RemoteError
from overlay.wire.payload import decode_base64, decode_json, encode_base64, encode_json

values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.binary(max_size=100))
def test_bytes_come_back_from_base64url(data):
    assert decode_base64(encode_base64(data)) == data


@given(st.text(max_size=40) | st.text("ABCDabcd0189-_=+/ ", max_size=12))
def test_one_text_means_some_bytes_or_nothing(text):
    try:
        data = decode_base64(text)
    except RemoteError:
        return
    assert encode_base64(data) == text


@pytest.mark.parametrize(
    "text", ["QQ==", "QR", "QQ=", "Q", "QUJ", "QUJD=", "Q Q", "QQ\n", "Q+", "Q/", "Qé", "QUJDRA==", None, b"QQ", 7]
)
def test_loose_bits_padding_and_foreign_characters_are_refused(text):
    with pytest.raises(RemoteError):
        decode_base64(text)


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
def test_objects_come_back_from_json(members):
    assert decode_json(encode_json(members)) == members


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[1]",
        b'"text"',
        b"7",
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1} ',
        b' {"a":1}',
        b'{"a":1}\n',
        b'{"a":01}',
        b'{"a":1e0}',
        b'{"a":1E2}',
        b'{"a":-0.}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\u0061"}',
        b'{"a":"\\/"}',
        '{"a":"ä"}'.encode(),
        b'\xef\xbb\xbf{"a":1}',
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_another_spelling_of_json_is_refused(data):
    with pytest.raises(RemoteError):
        decode_json(data)


@given(st.binary(max_size=60) | st.text('{}[]",:0123456789abentrfulsx\\.-+ ', max_size=30).map(str.encode))
def test_any_bytes_give_an_object_or_a_remote_error(data):
    try:
        members = decode_json(data)
    except RemoteError:
        return
    assert encode_json(members) == data
