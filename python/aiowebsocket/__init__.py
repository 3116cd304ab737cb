"""An asynchronous WebSocket client that follows the specification, for asyncio and uvloop.

    import aiowebsocket

    async with aiowebsocket.connect("ws://127.0.0.1:8765/feed") as ws:
        await ws.send("hello")          # str is text, bytes-like is binary
        async for message in ws:        # str or bytes
            print(message)
"""

from .client import Deflate, WebSocket, connect
from .converses import AioWebSocket
from .enumerations import CloseCode, State
from .exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    OpenTimeout,
    ProtocolError,
    ReadTimeout,
    ReceiveTimeout,
    SendQueueFull,
    WebSocketException,
)
from .heads import Headers, Request, Response

__version__ = "0.1.0"

#: The other spelling that was in use.
AioWebsocket = AioWebSocket

__all__ = [
    "AioWebSocket",
    "AioWebsocket",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Deflate",
    "Headers",
    "InvalidHandshake",
    "InvalidStatus",
    "InvalidURI",
    "OpenTimeout",
    "ProtocolError",
    "ReadTimeout",
    "ReceiveTimeout",
    "Request",
    "Response",
    "SendQueueFull",
    "State",
    "WebSocket",
    "WebSocketException",
    "connect",
]
