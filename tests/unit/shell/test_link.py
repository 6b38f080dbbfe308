"""Who acts, from which address, and whether there is a way onto the ring at all."""

import errno
import socket
from dataclasses import replace

import pytest

from adapter.config import Settings
from adapter.control_client import NoAdapter
from adapter.keystore import load_or_create
from adapter.link import RunningAdapter, choose_user, explain_bind, own_host, service_config
from adapter.problems import Problem
from adapter.registering import ask_bootstrap
from adapter.softphone.phone import PhoneError, Softphone
from adapter.state import StateDir
from overlay.ring.addresses import is_own_address

from .enrolments import enrol


@pytest.fixture
def state(tmp_path):
    return StateDir(tmp_path)


@pytest.fixture
def settings(tmp_path):
    return Settings(state_dir=tmp_path)


def test_the_named_user_acts(tmp_path):
    load_or_create(tmp_path, "bob")
    assert choose_user(Settings(state_dir=tmp_path, users=("alice",)), environment="carol") == "alice"


def test_the_only_user_known_acts(settings):
    load_or_create(settings.state_dir, "bob")
    assert choose_user(settings, environment="carol") == "bob"


def test_several_known_users_have_to_be_chosen_from(settings):
    for user in ("bob", "alice"):
        load_or_create(settings.state_dir, user)
    with pytest.raises(Problem) as caught:
        choose_user(settings, environment="bob")
    assert caught.value.hint == "choose one with --user: alice, bob"


def test_a_name_that_was_refused_is_not_chosen_from(settings, state):
    with state:
        state.save_enrolment("alice", enrol("alice", load_or_create(state.path, "alice")))
    load_or_create(settings.state_dir, "bob")  # what a registration leaves that ended with "taken"
    assert choose_user(settings, environment="carol") == "alice"


def test_on_a_new_device_the_login_name_acts(settings):
    assert choose_user(settings, environment="Carol") == "carol"


def test_on_a_ring_of_ipv6_phones_keep_ipv4(settings):
    if not is_own_address("::1"):
        pytest.skip("this host has no IPv6")
    config = service_config(replace(settings, bootstrap=("::1", 5480)), ("alice",), sip_port=5070)
    assert (config.ring, config.sip) == (("::1", 0), ("127.0.0.1", 5070))


async def test_the_softphone_says_what_it_needs():
    with pytest.raises(PhoneError, match=r"IPv4 alone.*--sip"):
        await Softphone().start(host="::1", user="alice")


@pytest.mark.parametrize("name", ["", "DOMAIN\\carol", "x" * 33])
def test_a_login_name_that_is_no_name_is_not_used(settings, name):
    with pytest.raises(Problem, match="no user is named"):
        choose_user(settings, environment=name)


def test_a_trial_on_one_machine_stays_on_loopback(tmp_path, state):
    settings = Settings(state_dir=tmp_path, bootstrap=("127.0.0.1", 5480))
    config = service_config(settings, ("alice",), sip_port=0)
    assert (config.sip, config.ring) == (("127.0.0.1", 0), ("127.0.0.1", 0))


def test_the_address_of_the_command_line_is_taken(tmp_path, state):
    settings = Settings(state_dir=tmp_path, sip=("127.0.0.2", 5070), ring=("127.0.0.3", 4000))
    config = service_config(settings, ("alice",), sip_port=0)
    assert (config.sip, config.ring) == (("127.0.0.2", 5070), ("127.0.0.3", 4000))
    assert own_host(settings, state, ("alice",)) == "127.0.0.2"


def test_without_a_bootstrap_server_the_remembered_nodes_show_the_way(settings, state):
    with state:
        enrolment = enrol("alice", load_or_create(state.path, "alice"), host="127.0.0.1")
        state.save_enrolment("alice", enrolment)
    assert own_host(settings, state, ("alice",)) == "127.0.0.1"


@pytest.mark.parametrize("option", ["sip", "ring"])
def test_a_taken_port_is_named_with_its_option(tmp_path, option):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()
        addresses = {"sip": ("127.0.0.1", 0), "ring": ("127.0.0.1", 0)} | {option: taken}
        config = service_config(Settings(state_dir=tmp_path, **addresses), ("alice",), sip_port=0)
        error = explain_bind(config, OSError(errno.EADDRINUSE, "Address already in use"))
    assert str(error) == f"cannot listen on 127.0.0.1:{taken[1]}: address already in use"
    assert f"--{option} HOST:PORT" in error.hint


async def test_a_ring_address_that_went_away_since_the_start_is_told_to_who_registers(settings, state):
    config = replace(service_config(settings, ("alice",), sip_port=0), ring=("192.0.2.1", 0))  # nobody's (RFC 5737)
    keys = load_or_create(state.path, "alice")
    with pytest.raises(Problem, match=r"cannot listen on 192\.0\.2\.1:0: cannot assign") as caught:
        await ask_bootstrap(config, "alice", keys, servers=None, ring=None, pin=None, step=lambda _step, _detail: None)
    assert "--ring HOST:PORT" in caught.value.hint


def test_another_os_error_is_left_as_it_is(settings):
    error = OSError(errno.ENOSPC, "No space left on device")
    assert explain_bind(service_config(settings, ("alice",), sip_port=0), error) is error


def test_a_file_that_may_not_be_written_is_no_taken_port(settings):
    error = PermissionError(errno.EACCES, "Permission denied", "/nowhere/lock")
    assert explain_bind(service_config(settings, ("alice",), sip_port=0), error) is error


async def test_no_running_adapter_is_said_so(state):
    with pytest.raises(NoAdapter):
        await RunningAdapter.connect(state)
