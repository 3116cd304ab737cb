"""An asynchronous WebSocket client that follows the specification, for asyncio and uvloop.

    import aiowebsocket

    async with aiowebsocket.connect("ws://127.0.0.1:8765/feed") as ws:
        await ws.send("hello")          # str is text, bytes-like is binary
        async for message in ws:        # str or bytes
            print(message)
"""

from ._opening import TLS
from .client import Deflate, WebSocket, connect
from .converses import AioWebSocket
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

#: The other spelling that was in use.
AioWebsocket = AioWebSocket

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
