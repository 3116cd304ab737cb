"""An asynchronous WebSocket client that follows the specification, for asyncio and uvloop.

    import aiowebsocket

    async with aiowebsocket.connect("ws://127.0.0.1:8765/feed") as ws:
        await ws.send("hello")          # str is text, bytes-like is binary
        async for message in ws:        # str or bytes
            print(message)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._opening import TLS
from ._options import Deflate
from .client import WebSocket, connect
from .enumerations import CloseCode, State
from .exceptions import (
    CertificateError,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    OpenTimeout,
    ProtocolError,
    ProxyError,
    ReadTimeout,
    ReceiveTimeout,
    SendQueueFull,
    TLSError,
    WebSocketException,
)
from .heads import Headers, Request, Response

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .converses import AioWebSocket, AioWebSocket as AioWebsocket


def __getattr__(name: str) -> object:
    """``AioWebSocket``, and its other spelling that was in use: loaded where a program wants it."""
    if name not in ("AioWebSocket", "AioWebsocket"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .converses import AioWebSocket

    globals()["AioWebSocket"] = globals()["AioWebsocket"] = AioWebSocket
    return AioWebSocket


__all__ = [
    "AioWebSocket",
    "AioWebsocket",
    "CertificateError",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Deflate",
    "Headers",
    "InvalidHandshake",
    "InvalidProxy",
    "InvalidProxyStatus",
    "InvalidStatus",
    "InvalidURI",
    "OpenTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadTimeout",
    "ReceiveTimeout",
    "Request",
    "Response",
    "SendQueueFull",
    "State",
    "TLS",
    "TLSError",
    "WebSocket",
    "WebSocketException",
    "connect",
]
