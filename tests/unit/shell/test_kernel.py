"""The kernel settings under which an address proves nothing."""

import pytest

from adapter import kernel
from adapter.kernel import SpoofableHost, read_switches, require_own_addresses_own


@pytest.mark.parametrize("values", [{}, {"net.ipv4.conf.all.accept_local": "0", "net.ipv6.ip_nonlocal_bind": "0"}])
def test_a_host_as_usual_passes(values):
    require_own_addresses_own(lambda: values)


@pytest.mark.parametrize(
    "name", ["net.ipv4.conf.eth0.accept_local", "net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind"]
)
def test_one_switch_is_enough_to_refuse_and_the_cure_is_named(name):
    with pytest.raises(SpoofableHost) as refused:
        require_own_addresses_own(lambda: {"net.ipv4.conf.all.accept_local": "0", name: "1"})
    assert name in refused.value.text
    assert refused.value.hint == f"switch it off: sysctl -w {name}=0"


def test_the_kernel_is_read_and_where_it_shows_nothing_nothing_is_said(monkeypatch, tmp_path):
    assert set(read_switches().values()) <= {"0", "1"}
    monkeypatch.setattr(kernel, "NET", tmp_path)
    for folder in ("ipv4/conf/eth0.7", "ipv4/conf/lo", "ipv4/conf/default", "ipv4/conf/gone", "ipv6"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("eth0.7", "lo", "default"):
        (tmp_path / "ipv4" / "conf" / folder / "accept_local").write_text("1\n")
    (tmp_path / "ipv6" / "ip_nonlocal_bind").write_text("1\n")
    assert read_switches() == {"net.ipv4.conf.eth0/7.accept_local": "1", "net.ipv6.ip_nonlocal_bind": "1"}
    monkeypatch.setattr(kernel, "NET", tmp_path / "nowhere")
    assert read_switches() == {}
