"""What is logged while a command runs reads like any other warning."""

import io
import json
import logging

from adapter.logged import logged
from adapter.screen import Screen

LOG = logging.getLogger("adapter.somewhere")


def screen(*, json=False):
    out = io.StringIO()
    return Screen(json=json, stdout=out, stderr=out), out


def test_a_logged_warning_is_shown_as_one():
    told, out = screen()
    with logged(told):
        LOG.warning("the contact %s could not be kept", "bob\x1b[2J")
        LOG.info("nobody wants to know")
    LOG.warning("the command is over")
    assert out.getvalue() == "warning: the contact bob [2J could not be kept\n"


def test_a_program_gets_it_as_a_line_of_json():
    told, out = screen(json=True)
    with logged(told):
        LOG.warning("it went wrong")
    assert json.loads(out.getvalue()) == {"event": "warning", "text": "it went wrong", "hint": ""}


def test_the_traceback_of_a_fault_goes_to_standard_error(capsys):
    told, out = screen()
    with logged(told):
        try:
            1 / 0  # noqa: B018 -- a fault like any other
        except ZeroDivisionError:
            LOG.exception("a round failed")
    assert out.getvalue() == "warning: a round failed\n"
    assert "ZeroDivisionError" in capsys.readouterr().err
