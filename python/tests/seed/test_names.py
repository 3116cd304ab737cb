"""Names, arguments and numbers that programs use."""

from __future__ import annotations

import asyncio
import ssl

import pytest

import aiowebsocket
from aiowebsocket import AioWebSocket, CloseCode
from aiowebsocket import converses, enumerations, exceptions, freams, handshakes, parts


def test_modules_and_names() -> None:
    assert aiowebsocket.AioWebsocket is aiowebsocket.AioWebSocket is converses.AioWebSocket
    for module, names in {
        converses: "AioWebSocket Converse SocketState ControlFrames DataFrames HandShake Frames parse_uri remote_url Queue",
        handshakes: "HandShake",
        freams: "Frames",
        enumerations: "SocketState DataFrames ControlFrames StatusCodes",
        exceptions: "FrameError HandShakeError",
        parts: "REMOTE parse_uri remote_url",
    }.items():
        for name in names.split():
            assert name in getattr(module, "__all__", dir(module)), name
            assert hasattr(module, name), name
    assert isinstance(aiowebsocket.__version__, str)


def test_numbers() -> None:
    states = enumerations.SocketState
    assert (states.zero, states.connecting, states.opened, states.closing, states.closed) == (0, 0, 1, 2, 3)
    assert states.zero.value is states.connecting.value
    data, control = enumerations.DataFrames, enumerations.ControlFrames
    assert (data.cont, data.text, data.binary) == (0, 1, 2)
    assert (control.close, control.ping, control.pong) == (8, 9, 10)
    assert {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011} <= set(enumerations.StatusCodes)
    assert not {1004, 1005, 1006, 1015} & set(enumerations.StatusCodes)


def test_every_close_code_is_explained_in_two_languages() -> None:
    assert [int(code) for code in CloseCode][:16] == list(range(1000, 1016))
    assert CloseCode.GOING_AWAY == 1001
    assert CloseCode.GOING_AWAY.title == "Going Away"
    assert CloseCode.GOING_AWAY.explain() == "the endpoint goes away: a server stops, or a page is left"
    assert CloseCode.GOING_AWAY.explain_zh().startswith("终端离开")
    for code in CloseCode:
        assert code.explain().isascii()
        assert not code.explain_zh().isascii()
    for number, meaning in {
        0: "not used",
        2999: "reserved",
        3999: "registered",
        4999: "private",
        5000: "outside every range",
    }.items():
        assert CloseCode(number) == number
        assert meaning in CloseCode(number).explain()
        assert not CloseCode(number).explain_zh().isascii()
        assert CloseCode(number).title is None
    assert [code for code in CloseCode if not code.may_be_sent] == [1004, 1005, 1006, 1015]
    for number in (-1, 65536, "1000"):
        with pytest.raises(ValueError):
            CloseCode(number)


def test_an_address_in_its_parts() -> None:
    assert parts.parse_uri("ws://example.com") == ("ws", "example.com", 80, "/", False)
    remote = parts.parse_uri("wss://example.com/a/b?c=d&e=f")
    assert remote == ("wss", "example.com", 443, "/a/b?c=d&e=f", True)
    assert (remote.scheme, remote.host, remote.port, remote.resource, remote.ssl) == tuple(remote)
    assert parts.parse_uri("ws://[::1]:8080").host == "::1"
    for address in ("http://example.com", "https://example.com", "example.com", ""):
        with pytest.raises(ValueError):
            parts.parse_uri(address)


def settings(aws: AioWebSocket) -> tuple:
    return aws.uri, aws.headers, aws.union_header, aws.timeout, aws.read_timeout, aws.ssl


def test_the_order_of_arguments() -> None:
    uri = "ws://example.com"
    assert settings(AioWebSocket(uri)) == (uri, [], {}, 30, 120, None)
    assert settings(AioWebSocket(uri, ["A: 1"], {"B": "2"}, 3, 4)) == (uri, ["A: 1"], {"B": "2"}, 3, 4, None)
    assert settings(AioWebSocket(uri, union_header={"B": "2"}, timeout=None, ssl=True)) == (
        uri, [], {"B": "2"}, None, 120, True,
    )  # fmt: skip
    # Each has its own.
    assert AioWebSocket(uri).headers is not AioWebSocket(uri).headers
    assert AioWebSocket(uri).union_header is not AioWebSocket(uri).union_header


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((20,), {}, ([], {}, 20, 120, None)),
        ((20, 60), {}, ([], {}, 20, 60, None)),
        ((20.5, 60, False, ["A: 1"]), {}, (["A: 1"], {}, 20.5, 60, False)),
        ((20,), {"headers": ["A: 1"], "ssl": True}, (["A: 1"], {}, 20, 120, True)),
    ],
)
def test_the_order_of_dev1_is_understood_with_a_warning(args: tuple, kwargs: dict, expected: tuple) -> None:
    with pytest.warns(UserWarning, match="order of 1.0.0.dev1") as warned:
        aws = AioWebSocket("ws://example.com", *args, **kwargs)
    assert warned[0].filename == __file__
    assert settings(aws)[1:] == expected


def test_arguments_that_are_none() -> None:
    with pytest.raises(TypeError, match="ssl is True, False or an SSLContext"):
        AioWebSocket("ws://example.com", ssl="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'header'"):
        AioWebSocket("ws://example.com", header=[])  # type: ignore[call-overload]


def test_before_a_connection(run) -> None:
    aws = AioWebSocket("ws://example.com")
    assert (aws.manipulator, aws.converse, aws.hands, aws.reader, aws.writer, aws.state) == (None,) * 5 + (0,)
    with pytest.raises(ConnectionError, match="no connection to close"):
        run(aws.close_connection())


@pytest.mark.parametrize(
    ("uri", "ssl_", "error", "says"),
    [
        ("wss://127.0.0.1:1", None, ConnectionRefusedError, "1"),
        ("wss://127.0.0.1:1", True, ConnectionRefusedError, "1"),
        ("ws://127.0.0.1:1", True, ConnectionRefusedError, "1"),
        ("ws://127.0.0.1:1", ssl.create_default_context(), ConnectionRefusedError, "1"),
        ("wss://127.0.0.1:1", False, ValueError, "ssl=False with wss://"),
        ("http://127.0.0.1:1", None, ValueError, "http"),
        ("ws://127.0.0.1:1", False, ConnectionRefusedError, "1"),
    ],
)
def test_tls_by_scheme_and_argument(run, uri: str, ssl_: object, error: type[Exception], says: str) -> None:
    aws = AioWebSocket(uri, ssl=ssl_)  # type: ignore[arg-type]

    async def connect() -> None:
        async with aws:
            pass

    with pytest.raises(error, match=says):
        run(connect())
    assert aws.state == 0


def test_what_exceptions_are() -> None:
    assert exceptions.FrameError.__mro__[1] is exceptions.HandShakeError.__mro__[1] is Exception
    closed = exceptions.ConnectionClosedError("gone", 1006, "")
    assert isinstance(closed, ConnectionError) and isinstance(closed, asyncio.IncompleteReadError)
    assert (closed.partial, closed.expected) == (b"", None)
    assert issubclass(exceptions.ReadTimeout, asyncio.TimeoutError)
    assert issubclass(exceptions.ReadTimeout, ConnectionError)
    assert issubclass(exceptions.InvalidHandshake, exceptions.HandShakeError)
    assert issubclass(exceptions.InvalidStatus, ConnectionError)
    assert issubclass(exceptions.ProtocolError, exceptions.FrameError)
