"""One tree of exceptions: each is of this package, and of what a Python person catches already."""

import asyncio
import copy
import inspect
import pickle
import ssl

import pytest

import aiowebsocket
from aiowebsocket import exceptions

#: Each with what else it is caught as.
TREE = {
    "WebSocketException": [Exception],
    "InvalidURI": [ValueError],
    "InvalidHandshake": [ConnectionError, OSError],
    "InvalidStatus": ["InvalidHandshake", ConnectionError],
    "InvalidProxy": [ValueError],
    "ProxyError": ["InvalidHandshake", ConnectionError],
    "InvalidProxyStatus": ["ProxyError"],
    "TLSError": [ssl.SSLError, OSError],
    "CertificateError": ["TLSError", ssl.SSLCertVerificationError],
    "OpenTimeout": ["InvalidHandshake", TimeoutError, asyncio.TimeoutError],
    "ConnectionClosed": [ConnectionError, asyncio.IncompleteReadError, EOFError],
    "ConnectionClosedOK": ["ConnectionClosed", ConnectionError],
    "ConnectionClosedError": ["ConnectionClosed", ConnectionError],
    "ProtocolError": ["ConnectionClosedError"],
    "ConcurrencyError": [RuntimeError],
    "ReceiveTimeout": [TimeoutError, asyncio.TimeoutError],
    "ReadTimeout": ["ReceiveTimeout", ConnectionError],
    "SendQueueFull": [asyncio.QueueFull],
}

#: How each is made.
ARGUMENTS = {
    "InvalidURI": ("ftp://", "no"),
    **dict.fromkeys(["InvalidStatus", "InvalidProxyStatus"], ("no", 403, [("a", "b")], b"body")),
    **dict.fromkeys(["TLSError", "CertificateError"], ("no", "Expired")),
    **dict.fromkeys(["ConnectionClosed", "ConnectionClosedOK", "ConnectionClosedError", "ProtocolError"], ("no", 1001, "why")),
}


@pytest.mark.parametrize("name", TREE)
def test_the_tree(name):
    exception = getattr(aiowebsocket, name)
    assert issubclass(exception, aiowebsocket.WebSocketException)
    for base in TREE[name]:
        assert issubclass(exception, getattr(aiowebsocket, base) if isinstance(base, str) else base)
    assert inspect.getdoc(exception)


def test_all_of_them_are_in_the_tree():
    ours = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, aiowebsocket.WebSocketException) and not name.startswith("_")
    }
    assert ours == set(TREE)
    assert ours <= set(aiowebsocket.__all__)


@pytest.mark.parametrize("way", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("name", TREE)
def test_they_travel(name, way):
    """Between processes, say: whole, and of the same type."""
    error = getattr(aiowebsocket, name)(*ARGUMENTS.get(name, ("no",)))
    again = way(error)
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert str(error) == "no"
