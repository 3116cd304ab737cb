"""The defaults of `connect` and `Deflate` are the library's: they stand in the signatures, where people read them, and are compared here."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import aiowebsocket
from aiowebsocket import _aiowebsocket

CONNECT = inspect.signature(aiowebsocket.connect).parameters


@pytest.mark.parametrize(
    "name", ["open_timeout", "ping_interval", "ping_timeout", "close_timeout", "max_size", "receive_window", "send_window"]
)
def test_connect(name):
    assert CONNECT[name].default == _aiowebsocket._defaults()[name]


def test_deflate():
    def shown(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    ours = {field.name: shown(field.default) for field in fields(aiowebsocket.Deflate)}
    # In the library it may be absent, and so may ours be.
    ours["client_max_window_bits"] = f"Some({ours['client_max_window_bits']})"
    shown_by_rust = _aiowebsocket._defaults()["deflate"]
    assert shown_by_rust == "Deflate { " + ", ".join(f"{name}: {value}" for name, value in ours.items()) + " }"


def test_the_documentation_has_every_option():
    told = re.findall(r"^``(.*)``$", inspect.getdoc(aiowebsocket.connect), re.MULTILINE)
    assert {name for line in told for name in line.split("``, ``")} == CONNECT.keys() - {"uri"}


@pytest.mark.parametrize("options", [aiowebsocket.TLS, aiowebsocket.Deflate])
def test_help_and_the_page_have_the_options_of(options):
    shown = {name: parameter.default for name, parameter in inspect.signature(options).parameters.items()}
    told = re.findall(r"^``(.*)``$", inspect.getdoc(options), re.MULTILINE)
    assert [name for line in told for name in line.split("``, ``")] == list(shown)
    page = (Path(__file__).parents[2] / "docs/python.md").read_text()
    _, _, table = page.partition(f"| `{options.__name__}(…)` | default | |\n|---|---|---|\n")
    rows = [row.split(" | ") for row in table.partition("\n\n")[0].splitlines()]
    told = {name: default.strip("`") for names, default, _ in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {name: str(default) for name, default in shown.items()}


def test_the_documentation_names_them():
    doc = inspect.getdoc(aiowebsocket.connect)
    for name in ("open_timeout", "close_timeout", "max_size", "receive_window", "send_window"):
        (told,) = re.findall(rf"^``{name}``\n(?:    .*\n)*?.*Default ([\d]+(?: MiB)?)\.", doc, re.MULTILINE)
        number, _, unit = told.partition(" ")
        assert int(number) << (20 if unit else 0) == CONNECT[name].default
    assert "Default 20 and 20" in doc
