"""The kernel setting under which an address proves nothing."""

import pytest

from adapter import kernel
from adapter.kernel import SpoofableHost, read_accept_local, require_own_addresses_own


@pytest.mark.parametrize("values", [{}, {"all": "0", "eth0": "0"}, {"default": "1", "lo": "1", "all": "0"}])
def test_a_host_as_usual_passes(values):
    require_own_addresses_own(lambda: values)


@pytest.mark.parametrize("name", ["all", "eth0", "eth0.7"])
def test_one_interface_is_enough_to_refuse_and_the_cure_is_named(name):
    with pytest.raises(SpoofableHost) as refused:
        require_own_addresses_own(lambda: {"all": "0", "lo": "0", name: "1"})
    assert name in refused.value.text
    assert f"net.ipv4.conf.{name.replace('.', '/')}.accept_local=0" in refused.value.hint


def test_the_kernel_is_read_and_where_it_shows_nothing_nothing_is_said(monkeypatch, tmp_path):
    assert set(read_accept_local().values()) <= {"0", "1"}
    monkeypatch.setattr(kernel, "CONF", tmp_path)
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0" / "accept_local").write_text("1\n")
    assert read_accept_local() == {"eth0": "1"}
    monkeypatch.setattr(kernel, "CONF", tmp_path / "nowhere")
    assert read_accept_local() == {}
