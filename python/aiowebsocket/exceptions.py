"""Every exception of the package: one tree, and each also derives from what a Python person catches already."""

from __future__ import annotations

import asyncio


class WebSocketException(Exception):
    """What all exceptions of this package are."""


if asyncio.TimeoutError is TimeoutError:

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


class InvalidHandshake(WebSocketException, ConnectionError):
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


class OpenTimeout(InvalidHandshake, _Timeout):
    """The connection was not open within ``open_timeout`` seconds."""


class ConnectionClosed(WebSocketException, ConnectionError, asyncio.IncompleteReadError):
    """The connection is closed.

    ``code`` is the close code: the peer's, 1005 where it gave none, 1006 where it ended without a Close frame, and ``None``
    where only our own Close frame went out so far. ``reason`` is the peer's text, empty without one.
    """

    partial = b""
    expected = None

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
    """It was closed without complaint: code 1000 or 1001, or a Close frame without a code, or by our own ``close()``."""


class ConnectionClosedError(ConnectionClosed):
    """It was closed with any other code, broke, or was given up: ``__cause__`` has the error of the system where there was one."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks receive at the same time: your mistake, and no message was lost."""


class ReceiveTimeout(_Timeout):
    """``recv(timeout)`` had no message in time. The connection goes on, and nothing was lost."""


class SendQueueFull(WebSocketException, asyncio.QueueFull):
    """``send_nowait`` would have had to wait. Nothing was queued."""


#: What a close code means where no reason was given.
_MEANINGS = {
    1000: "done",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code",
    1006: "ended without a Close frame",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "missing extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}


def _closed(
    code: int | None, reason: str, what: str | None, is_timeout: bool, cause: BaseException | None
) -> ConnectionClosed:
    """The exception for an ending that the extension describes."""
    if what is not None:
        message = f"{what} ({code})" if code is not None else what
    elif cause is not None:
        message = f"the connection broke: {cause} ({code})"
    elif reason:
        message = f"the peer closed the connection: {code}: {reason}"
    elif code == 1006:
        message = "the peer ended the connection without a Close frame (1006)"
    else:
        message = f"the peer closed the connection: {code} {_MEANINGS.get(code or 0, '')}".rstrip()
    is_clean = cause is None and (code is None or (what is None and code in (1000, 1001, 1005)))
    closed = (ConnectionClosedOK if is_clean else ConnectionClosedError)(message, code, reason)
    if is_timeout:
        cause = TimeoutError(message)
    if cause is not None:
        closed.__cause__ = cause
    return closed
