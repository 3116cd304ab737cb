"""``connect``: from an address to an open connection, on the running event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from types import TracebackType

from . import _aiowebsocket
from .exceptions import OpenTimeout

# A child process must not mask with the keys of its parent.
os.register_at_fork(after_in_child=_aiowebsocket._forget_keys)

#: Bytes of one read of the handshake. Heads of real servers have a few hundred.
_READ = 4096

HeadersLike = Mapping[str, "str | None"] | Iterable[tuple[str, "str | None"]]


@dataclass(frozen=True)
class Deflate:
    """Compression by permessage-deflate (RFC 7692), whose names its parameters have.

    Do not compress a secret in one message with text that somebody else chose: the length of what leaves tells them about it.
    ``send(message, plain=True)`` leaves one message uncompressed.
    """

    #: How hard our compressor tries, 1 (fastest) to 9 (smallest).
    level: int = 1
    #: Memory of our compressor, 1 to 9.
    memory_level: int = 5
    #: Messages of fewer bytes leave uncompressed.
    threshold: int = 64
    #: A demand: the server compresses each message for itself.
    server_no_context_takeover: bool = False
    #: A promise that the server may use: we compress each message for itself.
    client_no_context_takeover: bool = False
    #: A demand, where below 15: the most bits of the window of the server's compressor, 8 to 15.
    server_max_window_bits: int = 15
    #: The same for ours, which the server may lower; ``None`` where it may not.
    client_max_window_bits: int | None = 15


class WebSocket(_aiowebsocket.Connection):
    """An open connection, as ``connect`` gives it. Use it in the event loop that opened it."""

    __slots__ = ("response_headers",)

    #: The header lines of the server's response, as pairs.
    response_headers: list[tuple[str, str]]

    async def __aenter__(self) -> WebSocket:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not self.is_closed:
            _warn(f"unclosed connection {self!r}", ResourceWarning, source=self)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed" if self.is_closed else "closing"
        return f"<aiowebsocket.WebSocket {state} fd={self.fileno()} at {id(self):#x}>"


# CPython calls these without detours only for the class that they were made for.
_aiowebsocket._add_methods(WebSocket)


class connect:
    """Opens a connection: ``ws = await connect(uri)``, or ``async with connect(uri) as ws`` which closes it at the end.

    Nothing is dialled before it is awaited. Cancelling closes the socket and leaves nothing behind.

    ``headers``
        Header lines: a mapping or pairs, sent in this order and spelling. One of a default (``User-Agent``) replaces it in its
        place; ``None`` leaves it out. Header lines of the handshake itself are refused.
    ``subprotocols``
        Offered to the server, the best first; ``ws.subprotocol`` is the one it chose.
    ``compression``
        ``"deflate"`` offers permessage-deflate with the defaults of ``Deflate``, a ``Deflate`` with others, ``None`` offers none;
        ``ws.compression`` is what the server agreed to. Default ``"deflate"``.
    ``origin``, ``user_agent_header``
        The same as header lines ``Origin`` and ``User-Agent``.
    ``open_timeout``
        Seconds for resolving, dialling and the handshake together; ``None`` for no limit. Default 10.
    ``ping_interval``, ``ping_timeout``
        Seconds between pings, and after a ping within which some byte must come; ``None`` for no pings, and for no limit.
        Default 20 and 20: under the 30 to 60 after which proxies drop a silent connection.
    ``close_timeout``
        Seconds for the closing handshake. Default 10.
    ``max_size``
        The largest message that is received, in bytes; ``None`` for no limit. Default 64 MiB.
    ``receive_window``
        Bytes of messages that are kept while nobody receives; then reading pauses. Default 1 MiB.
    ``send_window``
        Bytes that may wait to be written before ``send_nowait`` refuses. Default 1 MiB.
    ``sock``
        A connected socket to be used instead of dialling; it belongs to the connection from then on.
    ``host``, ``port``
        Dialled instead of what the address names.
    ``local_addr``
        ``(host, port)`` that the socket is bound to.

    Raises ``InvalidURI``, ``OSError``, ``InvalidHandshake`` with ``InvalidStatus``, ``OpenTimeout``.
    """

    def __init__(
        self,
        uri: str,
        *,
        headers: HeadersLike | None = None,
        additional_headers: HeadersLike | None = None,
        subprotocols: Iterable[str] | None = None,
        compression: str | Deflate | None = "deflate",
        origin: str | None = None,
        user_agent_header: str | None = "",
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_size: int | None = 64 << 20,
        receive_window: int = 1 << 20,
        send_window: int = 1 << 20,
        sock: socket.socket | None = None,
        host: str | None = None,
        port: int | None = None,
        local_addr: tuple[str, int] | None = None,
    ) -> None:
        opening = _aiowebsocket.Opening(uri)
        if opening.is_secure:
            raise NotImplementedError("wss:// needs TLS, which this version cannot do: use ws://")
        for lines in (additional_headers, headers):
            _add_headers(opening, lines)
        if origin is not None:
            opening.header("Origin", origin)
        if user_agent_header is None:
            opening.remove("User-Agent")
        elif user_agent_header:
            opening.header("User-Agent", user_agent_header)
        if subprotocols is not None:
            opening.subprotocols(list(subprotocols))
        if compression is not None:
            opening.compression(**asdict(_deflate(compression)))
        self._opening = opening
        self._open_timeout = open_timeout
        self._sock = sock
        self._target = (host or opening.host, port or opening.port)
        self._local_addr = local_addr
        self._options = {
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_size": max_size,
            "receive_window": receive_window,
            "send_window": send_window,
        }
        self._ws: WebSocket | None = None

    def __await__(self) -> Generator[object, None, WebSocket]:
        return self._open().__await__()

    async def __aenter__(self) -> WebSocket:
        self._ws = await self._open()
        return self._ws

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._ws is not None, "it was entered"
        await self._ws.close()

    async def _open(self) -> WebSocket:
        loop = asyncio.get_running_loop()
        async with _within(loop, self._open_timeout):
            sock = self._sock if self._sock is not None else await self._dial(loop)
            try:
                sock.setblocking(False)
                if sock.family in (socket.AF_INET, socket.AF_INET6):
                    # Messages are written whole, so waiting for more to fill a packet only adds delay.
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened = await _shake_hands(loop, sock, self._opening)
            except BaseException:
                sock.close()
                raise
        ws = WebSocket(loop, sock.detach(), opened, **self._options)
        ws.response_headers = opened.response[1]
        ws._start()
        return ws

    async def _dial(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        """The first address that answers, in the resolver's order; the error names each with its cause."""
        host, port = self._target
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        causes: list[OSError] = []
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                if self._local_addr is not None:
                    sock.bind(self._local_addr)
                await loop.sock_connect(sock, address)
                return sock
            except OSError as error:
                sock.close()
                causes.append(error)
            except BaseException:
                sock.close()
                raise
        if len(causes) == 1:
            raise causes[0]
        told = "; ".join(f"{address[4][0]}: {cause}" for address, cause in zip(addresses, causes))
        raise OSError(causes[-1].errno if causes else None, f"no connection could be made: {told}")


async def _shake_hands(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, opening: _aiowebsocket.Opening
) -> _aiowebsocket.Opened:
    broken = None
    try:
        await loop.sock_sendall(sock, opening.request())
    except OSError as error:
        # A server that refuses early may have closed its side: what it said is still there to be read.
        broken = error
    opened = None
    while opened is None:
        timeout = opening.timeout
        try:
            if timeout is None:
                data = await loop.sock_recv(sock, _READ)
            else:
                data = await asyncio.wait_for(loop.sock_recv(sock, _READ), timeout)
        except asyncio.TimeoutError:
            opened = opening.handle_timeout()
        except OSError as error:
            raise broken or error
        else:
            opened = opening.receive(data) if data else opening.receive_end()
    return opened


def _deflate(compression: str | Deflate) -> Deflate:
    if isinstance(compression, Deflate):
        return compression
    if compression != "deflate":
        raise ValueError(f"compression is 'deflate', a Deflate or None, and this is {compression!r}")
    return Deflate()


def _add_headers(opening: _aiowebsocket.Opening, lines: HeadersLike | None) -> None:
    if lines is None:
        return
    for name, value in lines.items() if isinstance(lines, Mapping) else lines:
        if value is None:
            opening.remove(name)
        else:
            opening.header(name, value)


@asynccontextmanager
async def _within(loop: asyncio.AbstractEventLoop, seconds: float | None) -> AsyncIterator[None]:
    """Ends the block after so many seconds with ``OpenTimeout``. (``asyncio.timeout`` is not there in 3.10.)"""
    if seconds is None:
        yield
        return
    task = asyncio.current_task()
    assert task is not None, "the caller is a coroutine of a task"
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    handle = loop.call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not expired:
            raise
        if hasattr(task, "uncancel") and task.uncancel() > 0:
            # Somebody else cancels too.
            raise
        raise OpenTimeout(f"the connection was not open within {seconds} seconds") from None
    finally:
        handle.cancel()
