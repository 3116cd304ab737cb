"""``connect``: from an address to an open connection, on the running event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import warnings
from codecs import getincrementaldecoder
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from . import _aiowebsocket
from .enumerations import State
from .exceptions import OpenTimeout
from .fallback import Watcher, can_watch
from .heads import Request, Response, read_lines, read_request

# A child process must not mask with the keys of its parent.
os.register_at_fork(after_in_child=_aiowebsocket._forget_keys)

#: Where opening and closing are told, at the level of debugging.
_LOGGER = logging.getLogger("aiowebsocket")

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


_Logger = logging.Logger | logging.LoggerAdapter[Any]


class WebSocket(_aiowebsocket.Connection):
    """An open connection, as ``connect`` gives it. Use it in the event loop that opened it."""

    __slots__ = ("_request", "_response", "_logger")

    _request: bytes
    _response: tuple[int, str]
    _logger: _Logger

    @property
    def state(self) -> State:
        """``State.OPEN``, ``CLOSING`` from the first Close frame of either side on, ``CLOSED`` at the end."""
        return State.OPEN if self.is_open else State.CLOSED if self.is_closed else State.CLOSING

    @property
    def request(self) -> Request:
        """What the server was asked for: ``path`` and ``headers``."""
        return read_request(self._request)

    @property
    def response(self) -> Response:
        """What it answered: ``status_code`` and ``headers``."""
        return Response(self._response[0], read_lines(self._response[1]))

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[str | bytes]:
        """The next message in parts, as they arrive: ``async for part in ws.recv_streaming()``.

        The parts of a text are ``str``; ``decode`` says otherwise, as for ``recv``. Neither ``max_size`` nor memory bounds the message.
        Until its last part was taken, ``recv`` raises ``ConcurrencyError``; whoever stopped in the middle may go on with another call.
        """
        decoder = None
        while True:
            is_text, part, last = await self._recv_part()
            as_text = is_text if decode is None else decode
            if isinstance(part, str):
                # It was kept, and is whole.
                yield part if as_text else part.encode()
            elif as_text:
                decoder = decoder or getincrementaldecoder("utf-8")()
                text = decoder.decode(part, last)
                if text or last:
                    yield text
            elif part or last:
                yield part
            if last:
                return

    async def _send_parts(self, parts: Any, text: bool | None, plain: bool) -> None:
        """``send`` of something that is no message by itself, see methods.rs."""
        if isinstance(parts, Mapping) or not isinstance(parts, (Iterable, AsyncIterable)):
            kind = type(parts).__name__
            raise TypeError(f"a message is str or bytes-like, or an iterable of them, and this is {kind}")
        while (waiting := self._enter_parts()) is not None:
            await waiting
        begun = False
        is_str = None
        try:
            if isinstance(parts, AsyncIterable):
                async for part in parts:
                    is_str = _kind_of(part, is_str)
                    await self._send_one(part, begun, False, is_str if text is None else text, plain)
                    begun = True
                if begun:
                    # Nobody knew that the one before was the last.
                    await self._send_one(b"", True, True, False, plain)
            else:
                for part, last in _with_last(parts):
                    is_str = _kind_of(part, is_str)
                    await self._send_one(part, begun, last, is_str if text is None else text, plain)
                    begun = True
            begun = False
        finally:
            if begun and self.is_open:
                # It was not completed, and nothing else can be sent before it is.
                self._fail(1011, "a message could not be completed")
            self._leave_parts()

    async def _send_one(self, part: Any, begun: bool, last: bool, text: bool, plain: bool) -> None:
        waiting = self._send_part(part, 0 if begun else 1 if text else 2, last, plain)
        if waiting is not None:
            await waiting

    def _fail(self, code: int, reason: str) -> None:
        closing = self.close(code, reason)
        closing.send(None)
        closing.close()

    def _on_end(self) -> None:
        self._logger.debug("%s ended: %s %s", repr(self), self.close_code, self.close_reason)

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


def _kind_of(part: object, others: bool | None) -> bool:
    """Whether a part is ``str``, as the others are or not."""
    is_str = isinstance(part, str)
    if others is not None and is_str is not others:
        raise TypeError("the parts of a message are all str or all bytes-like")
    return is_str


def _with_last(parts: Iterable[Any]) -> Generator[tuple[Any, bool], None, None]:
    """Each part, and whether it is the last one."""
    parts = iter(parts)
    for part in parts:
        for behind in parts:
            yield part, False
            part = behind
        yield part, True


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
    ``on_message``
        ``on_message(ws, message)`` is called with each message from within the callback that read it, in place of ``recv`` and the
        others: the fastest way, and no task. What it raises goes to the event loop's exception handler, and the connection goes on.
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
    ``logger``
        Is told of opening and end, at the level of debugging. Default ``logging.getLogger("aiowebsocket")``.

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
        on_message: Callable[[WebSocket, str | bytes], object] | None = None,
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
        logger: _Logger | None = None,
    ) -> None:
        if on_message is not None and _is_coroutine_function(on_message):
            raise TypeError("on_message is called, not awaited: give a plain function, which may create a task")
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
        self._uri = uri
        self._logger = _LOGGER if logger is None else logger
        self._on_message = on_message
        self._settings = _aiowebsocket.Settings(
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            receive_window=receive_window,
            send_window=send_window,
        )
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
                request = self._opening.request()
                opened = await _shake_hands(loop, sock, self._opening, request)
                fd, watcher = sock.fileno(), None
                if not can_watch(loop, sock):
                    # The caller's object does not have the socket any more, as below.
                    sock = socket.socket(fileno=sock.detach())
                    watcher = await _watcher(loop, sock)
            except BaseException:
                sock.close()
                raise
        tells_end = self._logger.isEnabledFor(logging.DEBUG)
        if watcher is None:
            sock.detach()
        ws = WebSocket(
            loop,
            fd,
            opened,
            self._settings,
            watcher=watcher,
            on_message=self._on_message,
            tells_end=tells_end,
        )
        status, lines = opened.response
        ws._request = request
        ws._response = status, "\n".join(f"{name}:{value}" for name, value in lines)
        ws._logger = self._logger
        if tells_end:
            self._logger.debug("%s is open: %s", repr(ws), self._uri)
        if watcher is not None:
            watcher.attach(ws)
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
    loop: asyncio.AbstractEventLoop, sock: socket.socket, opening: _aiowebsocket.Opening, request: bytes
) -> _aiowebsocket.Opened:
    broken = None
    try:
        await loop.sock_sendall(sock, request)
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


async def _watcher(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Watcher:
    _, watcher = await loop.create_connection(lambda: Watcher(loop), sock=sock)
    return watcher


def _is_coroutine_function(function: object) -> bool:
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__func__", None), "__code__", None)
    return code is not None and bool(code.co_flags & 0x180)  # CO_COROUTINE, CO_ITERABLE_COROUTINE


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
