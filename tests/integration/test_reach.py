"""Which addresses this host's phones can send to, by the kernel's own routes."""

from __future__ import annotations

import pytest

from adapter.reach import reach_of
from overlay.ring.addresses import is_own_address


@pytest.mark.parametrize("phone", ["", "127.0.0.1"])
def test_a_phone_of_this_host_goes_where_the_kernel_goes(phone):
    reaches = reach_of(phone)
    assert reaches("127.0.0.1")
    assert reaches("::1") == is_own_address("::1")
    assert not reaches("255.255.255.255")  # the kernel lets nobody send there who has not asked to broadcast


def test_of_a_phone_on_another_host_nothing_is_known():
    assert reach_of("192.0.2.1")("2001:db8::1")
