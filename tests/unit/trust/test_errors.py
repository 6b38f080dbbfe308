from __future__ import annotations

import pytest

from overlay.errors import LocalError, RemoteError, Secp2psipError


def test_the_root_is_not_raised_itself():
    with pytest.raises(TypeError):
        Secp2psipError("anything")


@pytest.mark.parametrize("kind", [LocalError, RemoteError])
def test_an_error_carries_its_sentence(kind):
    error = kind("the piece expired")
    assert isinstance(error, Secp2psipError)
    assert error.reason == str(error) == "the piece expired"


def test_our_mistakes_and_theirs_are_apart():
    assert not issubclass(LocalError, RemoteError)
    assert not issubclass(RemoteError, LocalError)
