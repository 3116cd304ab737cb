"""``connect``: from an address to an open connection, on the running event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import warnings
from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _aiowebsocket
from ._alarm import clock_of
from ._opening import TLS, Means, run
from ._options import Asked, Deflate, HeadersLike, check, check_close, engine_of, reach_at
from .enumerations import State
from .heads import Request, Response, read_lines, read_request

# A child process must not mask with the keys of its parent.
os.register_at_fork(after_in_child=_aiowebsocket._forget_keys)

#: Where opening and closing are told, at the level of debugging.
_LOGGER = logging.getLogger("aiowebsocket")

#: Seconds until the next attempt where ``process_exception`` wants one and the policy does not: the most of RFC 6455 7.2.3.
_FIRST_DELAY = 5.0

#: What a connection is closed with where a message in parts fails. By these words the extension knows that nobody called ``close``.
INCOMPLETE = _aiowebsocket._INCOMPLETE

if TYPE_CHECKING:
    from .fallback import Watcher

    _Logger = logging.Logger | logging.LoggerAdapter[Any]


class WebSocket(_aiowebsocket.Connection):
    """An open connection, as ``connect`` gives it. Use it in the event loop that opened it."""

    __slots__ = ("_request", "_secrets", "_response", "_logger", "_half")

    _request: bytes
    _secrets: frozenset[str]
    _response: tuple[int, str]
    _logger: _Logger
    #: The beginning of a character, of a text that is received in parts.
    _half: bytes

    @property
    def state(self) -> State:
        """``State.OPEN``, ``CLOSING`` from the first Close frame of either side on, ``CLOSED`` at the end."""
        return State.OPEN if self.is_open else State.CLOSED if self.is_closed else State.CLOSING

    @property
    def request(self) -> Request:
        """What the server was asked for: ``path`` and ``headers``."""
        return read_request(self._request, self._secrets)

    @property
    def response(self) -> Response:
        """What it answered: ``status_code`` and ``headers``."""
        return Response(self._response[0], read_lines(self._response[1]))

    def close(self, code: int = 1000, reason: str = "") -> Coroutine[Any, Any, None]:
        """Closes the connection: the closing handshake, then the socket, within ``close_timeout``. How it ended stands in ``close_code``."""
        check_close(code, reason)
        return super().close(code, reason)

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[str | bytes]:
        """The next message in parts, as they arrive: ``async for part in ws.recv_streaming()``.

        The parts of a text are ``str``; ``decode`` says otherwise, as for ``recv``. Neither ``max_size`` nor memory bounds the message.
        Until its last part was taken, ``recv`` raises ``ConcurrencyError``; whoever stopped in the middle may go on with another call.
        """
        while True:
            is_text, part, last = await self._recv_part()
            as_text = is_text if decode is None else decode
            if isinstance(part, str):
                # It was kept, and is whole.
                yield part if as_text else part.encode()
            else:
                part, self._half = self._half + part, b""
                if as_text:
                    text, self._half = _characters(part, last)
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
                closing = self.close(1011, INCOMPLETE)
                closing.send(None)
                closing.close()
            self._leave_parts()

    async def _send_one(self, part: Any, begun: bool, last: bool, text: bool, plain: bool) -> None:
        waiting = self._send_part(part, 0 if begun else 1 if text else 2, last, plain)
        if waiting is not None:
            await waiting

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


def _characters(part: bytes, last: bool) -> tuple[str, bytes]:
    """The text of a part, and half a character at its end, which waits for its other half: another call may take that."""
    decoder = getincrementaldecoder("utf-8")()
    return decoder.decode(part, last), decoder.getstate()[0]


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

    ``async for ws in connect(uri)`` connects again when an attempt failed or a connection ended. An exception of its block ends it, so have
    ``try: ... except ConnectionClosed: pass`` there.

    ``headers``
        Header lines: a mapping or pairs, sent in this order and spelling. One of a default (``User-Agent``) replaces it in its
        place; ``None`` leaves it out. Header lines of the handshake itself are refused.
    ``additional_headers``
        The same, in the word of ``websockets``. Where both are given, these go before those of ``headers``.
    ``secret_headers``
        The same, such as ``X-Api-Key``: no redirect takes them to another scheme, host or port. ``Authorization`` and ``Cookie`` are
        kept so in either.
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
        A connected socket to be used instead of dialling; it belongs to the connection from then on, so ``async for`` has one
        connection alone.
    ``host``, ``port``
        Dialled instead of what the address names.
    ``local_addr``
        ``(host, port)`` that the socket is bound to.
    ``tls``
        A ``TLS`` that says whom ``wss://`` trusts. Default: the trust store of the operating system.
    ``ssl``
        An ``ssl.SSLContext`` does TLS in place of the package; ``True`` and ``None`` leave it to the package.
    ``server_hostname``
        The name that the server's certificate must be for, where it is not that of the address.
    ``proxy``
        The address of a proxy (``http://``, ``https://``, ``socks5://``, ``socks5h://``), ``True`` for the one that the environment
        names (``http_proxy``, ``https_proxy``, ``all_proxy``, ``no_proxy``), or ``None`` for none. Default ``True``.
    ``redirects``
        How many redirects are followed. Default 5. ``headers`` go along, ``secret_headers`` and credentials to the same scheme, host and
        port only, and ``wss://`` never becomes ``ws://``.
    ``process_exception``
        In ``async for``, ``process_exception(error)`` decides what becomes of a failed attempt or a connection that ended: ``None`` connects
        again, an exception is raised. By default what would fail in the same way again is raised: a refusal (4xx but for 408, 425 and
        429), a certificate that is not trusted, a close code that complains of us, and as ``ProtocolError`` a server that broke the
        protocol (1002, 1007) or sent a message over ``max_size`` (1009).
    ``reconnect_delays``
        In ``async for``, ``reconnect_delays()`` gives the seconds before the first, second, ... attempt after each connection, as
        ``lambda: itertools.repeat(2)`` does. Where they end, the last error is raised; a server that asks for more gets it. Default: 0 to 5,
        then 5, 10, 20, 40 and 60, each with a random half left out.
    ``logger``
        Is told of opening and end at the level of debugging; in ``async for`` also why it connects again, at the level of information.
        Default ``logging.getLogger("aiowebsocket")``.

    Raises ``InvalidURI``, ``OSError``, ``InvalidProxy``, ``InvalidHandshake`` with ``InvalidStatus``, ``ProxyError`` and
    ``OpenTimeout``, ``TLSError`` with ``CertificateError``.
    """

    def __init__(
        self,
        uri: str,
        *,
        headers: HeadersLike | None = None,
        additional_headers: HeadersLike | None = None,
        secret_headers: HeadersLike | None = None,
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
        ssl: SSLContext | bool | None = None,
        tls: TLS | None = None,
        server_hostname: str | None = None,
        proxy: str | bool | None = True,
        redirects: int = 5,
        process_exception: Callable[[Exception], Exception | None] | None = None,
        reconnect_delays: Callable[[], Iterable[float]] | None = None,
        logger: _Logger | None = None,
    ) -> None:
        check(locals())
        if on_message is not None and _is_coroutine_function(on_message):
            raise TypeError("on_message is called, not awaited: give a plain function, which may create a task")
        lines = {"additional_headers": additional_headers, "headers": headers, "secret_headers": secret_headers}
        self._request = Asked.of(uri, lines, origin, user_agent_header, subprotocols, compression)
        self._secrets = self._request.secrets
        # Mistakes are told at once.
        opening = self._request.opening()
        self._opening: _aiowebsocket.Opening | None = opening
        # Without userinfo and query.
        self._address = str(opening)
        self._open_timeout = open_timeout
        self._sock = sock
        self._target = reach_at(opening, host, port)
        self._engine = engine_of(opening, ssl, tls)
        self._server_hostname = server_hostname
        self._proxy = proxy
        self._redirects = redirects
        self._process_exception = process_exception
        self._reconnect_delays = reconnect_delays
        self._local_addr = local_addr
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

    async def __aiter__(self) -> AsyncGenerator[WebSocket, None]:
        retries = _aiowebsocket.Retries(own_delays=self._reconnect_delays is not None)
        delays: Iterator[float] | None = None
        while True:
            connecting = self._connecting()
            try:
                ws = await self._open(connecting)
            except Exception as error:
                if delays is None:
                    delays = self._delays()
                delay = self._judge(error, retries.failed(connecting, None), delays)
                told = str(error)
            else:
                retries.opened()
                try:
                    yield ws
                finally:
                    await ws.close()
                ended = ws._closed_error()
                delays = self._delays()
                delay = self._judge(ended, retries.failed(None, ws.close_code), delays)
                # It has the code.
                told = f"ended: {ended}"
            # What a peer gave as its reason makes no second line.
            self._logger.info("%s: %s: again in %.1f s", self._address, _on_one_line(told), delay)
            await asyncio.sleep(delay)

    def _delays(self) -> Iterator[float] | None:
        """Those of the program, from their beginning."""
        return None if self._reconnect_delays is None else iter(self._reconnect_delays())

    def _judge(self, error: Exception, delay: float | None, delays: Iterator[float] | None) -> float:
        """Seconds until the next attempt; raises where there is none."""
        if self._sock is not None:
            # It was given for one connection.
            raise error
        if self._process_exception is not None:
            raised = self._process_exception(error)
            if raised is not None:
                raise raised from (None if raised is error else error)
            if delay is None:
                delay = _FIRST_DELAY if delays is None else 0.0
        if delay is None:
            raise error
        if delays is not None:
            own = next(delays, None)
            if own is None:
                # No more attempts are wanted.
                raise error
            delay = max(delay, own)
        return delay

    async def _open(self, connecting: _aiowebsocket.Connecting | None = None) -> WebSocket:
        loop = asyncio.get_running_loop()
        connecting = connecting or self._connecting()
        tells = self._logger.isEnabledFor(logging.DEBUG)
        means = Means(loop, self._sock, self._local_addr, self._engine, self._server_hostname, self._tell if tells else None)
        sock, opened = await run(connecting, means)
        try:
            fd, watcher = sock.fileno(), None
            if not _can_watch(loop, sock):
                # The caller's object does not have the socket any more, as below.
                sock = socket.socket(fileno=sock.detach())
                watcher = await _watcher(loop, sock)
        except BaseException:
            sock.close()
            raise
        if watcher is None:
            sock.detach()
        ws = WebSocket(
            loop,
            fd,
            opened,
            self._settings,
            watcher=watcher,
            # A loop that cannot watch a socket cannot watch a timer.
            clock=clock_of(loop) if watcher is None else None,
            on_message=self._on_message,
            tells_end=tells,
        )
        status, lines = opened.response
        ws._request = connecting.request
        ws._secrets = self._secrets
        ws._response = status, "\n".join(f"{name}:{value}" for name, value in lines)
        ws._logger = self._logger
        ws._half = b""
        if tells:
            self._logger.debug("%s is open", repr(ws))
        if watcher is not None:
            watcher.attach(ws)
        ws._start()
        return ws

    def _connecting(self) -> _aiowebsocket.Connecting:
        # Each attempt has a request of its own: its key is used once.
        opening, self._opening = self._opening or self._request.opening(), None
        return _aiowebsocket.Connecting(
            opening,
            proxy=self._proxy,
            redirects=self._redirects,
            open_timeout=self._open_timeout,
            over=self._sock is not None,
            reach_at=self._target,
        )

    def _tell(self, at: float, milestone: str) -> None:
        self._logger.debug("%.3f s: %s", at, milestone)


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _can_watch(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bool:
    """Whether the loop calls for a socket."""
    try:
        # What is not watched is not watched afterwards either: this only asks.
        loop.remove_reader(sock)
    except NotImplementedError:
        return False
    return True


async def _watcher(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Watcher:
    # Few loops need it.
    from .fallback import Watcher

    _, watcher = await loop.create_connection(lambda: Watcher(loop), sock=sock)
    return watcher


def _is_coroutine_function(function: object) -> bool:
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__func__", None), "__code__", None)
    return code is not None and bool(code.co_flags & 0x180)  # CO_COROUTINE, CO_ITERABLE_COROUTINE
