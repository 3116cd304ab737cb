"""Every exception of the package: one tree, and each also derives from what a Python person catches already."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from .heads import Headers, Response


class WebSocketException(Exception):
    """What all exceptions of this package are."""


if TYPE_CHECKING or asyncio.TimeoutError is TimeoutError:

    class _Timeout(WebSocketException, TimeoutError):
        """A time limit ran out."""

else:  # Before Python 3.11 they are two, and people catch either.

    class _Timeout(WebSocketException, asyncio.TimeoutError, TimeoutError):
        """A time limit ran out."""


class InvalidURI(WebSocketException, ValueError):
    """The address is not one of a WebSocket server: your mistake, and nothing was dialled.

    ``uri`` is the address.
    """

    def __init__(self, uri: str, message: str) -> None:
        super().__init__(message)
        self.uri = uri

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.uri, self.args[0])


class HandShakeError(Exception):
    """The name that versions before 0.1 had for a handshake that failed."""


class FrameError(Exception):
    """The name that versions before 0.1 had for frames that break the protocol."""


class InvalidHandshake(WebSocketException, HandShakeError, ConnectionError):
    """The server, or something in front of it, did not open the connection as the protocol says."""


class InvalidStatus(InvalidHandshake):
    """The server answered with another status than 101.

    ``status`` is the number, ``headers`` the header lines as pairs, ``body`` the first 16 KiB of the body.
    """

    def __init__(self, message: str, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def response(self) -> Response:
        """The same, as ``ws.response`` has it."""
        return Response(self.status, Headers(self.headers), self.body)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.status, self.headers, self.body)


class InvalidProxy(WebSocketException, ValueError):
    """The proxy's address, or what the environment says about proxies, is wrong: nothing was dialled."""


class ProxyError(InvalidHandshake):
    """The proxy opened no tunnel to the server."""


class InvalidProxyStatus(ProxyError):
    """The proxy refused: ``status``, ``headers`` and ``body`` as those of ``InvalidStatus``."""

    def __init__(self, message: str, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def response(self) -> Response:
        """The same, as ``ws.response`` has it."""
        return Response(self.status, Headers(self.headers), self.body)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.status, self.headers, self.body)


class TLSError(WebSocketException, ssl.SSLError):
    """The connection could not be made secure, or is no more.

    ``fault`` says what is wrong in a word: ``"Expired"``, ``"WrongHost"``, ``"UnknownIssuer"``, ``"NotTls"``, ``"Truncated"``, …
    ``__cause__`` is what Python's own ``ssl`` raised, where that did TLS.
    """

    def __init__(self, message: str, fault: str) -> None:
        super().__init__(message)
        self.fault = fault

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.fault)


class CertificateError(TLSError, ssl.SSLCertVerificationError):
    """The server's certificate is not one that is trusted."""


class OpenTimeout(InvalidHandshake, _Timeout):
    """The connection was not open within ``open_timeout`` seconds."""


class ConnectionClosed(WebSocketException, ConnectionError, asyncio.IncompleteReadError):
    """The connection is closed.

    ``code`` is the close code: the peer's, 1005 where it gave none, 1006 where it ended without a Close frame, and ``None``
    where only our own Close frame went out so far. ``reason`` is the peer's text, empty without one.
    """

    partial = b""
    expected: int | None = None

    def __init__(self, message: str, code: int | None, reason: str) -> None:
        # Not IncompleteReadError's: what is missing is not a number of bytes.
        Exception.__init__(self, message)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.code, self.reason)


class ConnectionClosedOK(ConnectionClosed):
    """It was closed without complaint: code 1000 or 1001, or a Close frame without a code, by either side. Or our own ``close()``, with
    whatever code, waits for the peer's answer."""


class ConnectionClosedError(ConnectionClosed):
    """It was closed with any other code, by either side, broke, or was given up: ``__cause__`` has the error of the system if there was one."""


class ProtocolError(ConnectionClosedError, FrameError):
    """It was failed because the peer broke the protocol or a limit; ``code`` is what it was told."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks receive at the same time: your mistake, and no message was lost."""


class ReceiveTimeout(_Timeout):
    """``recv(timeout)`` had no message in time. The connection goes on, and nothing was lost."""


class ReadTimeout(ReceiveTimeout, ConnectionError):
    """``receive()`` of ``AioWebSocket`` had no byte within ``read_timeout`` seconds. The connection goes on, and nothing was lost."""


class SendQueueFull(WebSocketException, asyncio.QueueFull):
    """``send_nowait`` would have had to wait. Nothing was queued."""


def _closed(
    code: int | None, reason: str, what: str | None, kind: str, cause: BaseException | None
) -> ConnectionClosed:
    """The exception for an ending that the extension describes; ``kind`` is clean, fault (the peer's), timeout or error."""
    if what is not None:
        message = what
    elif cause is not None:
        message = f"the connection broke: {cause} ({code})"
    else:
        message = "the peer ended the connection without a Close frame (1006)"
    if kind == "clean" and cause is None:
        exception: type[ConnectionClosed] = ConnectionClosedOK
    else:
        exception = ProtocolError if kind == "fault" else ConnectionClosedError
    closed = exception(message, code, reason)
    if kind == "timeout":
        cause = TimeoutError(message)
    if cause is not None:
        closed.__cause__ = cause
    return closed
