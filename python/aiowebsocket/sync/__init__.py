"""The same client for programs with threads: ``connect`` gives a connection whose calls block the thread that makes them.

    from aiowebsocket.sync import connect

    with connect("ws://127.0.0.1:8765/feed") as ws:
        ws.send("hello")            # str is text, bytes-like is binary
        for message in ws:          # str or bytes
            print(message)
"""

from __future__ import annotations

import logging
import socket
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import _aiowebsocket
from .._opening import TLS
from .._options import Asked, Deflate, HeadersLike, check, check_close, engine_of, reach_at
from ..client import _LOGGER, INCOMPLETE, _characters, _kind_of, _with_last
from ..enumerations import State
from ..heads import Request, Response, read_lines, read_request

if TYPE_CHECKING:
    _Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["WebSocket", "connect"]


class WebSocket(_aiowebsocket.Blocking):
    """An open connection, as ``connect`` gives it. Every thread may call it at any time.

    It moves while a call waits: then messages are read, pings answered, the keep-alive is judged and the peer's Close noticed, whatever
    that call waits for. The interpreter's lock is free meanwhile, and Ctrl-C ends the wait of the main thread; no message is lost by that.
    """

    __slots__ = ("_logger", "_secrets", "_parts", "_parts_of", "_half")

    _logger: _Logger
    _secrets: frozenset[str]
    #: Held by the thread that sends a message in parts.
    _parts: threading.Lock
    #: Which one that is.
    _parts_of: int | None
    #: The beginning of a character, of a text that is received in parts.
    _half: bytes

    def __new__(cls, opening: _aiowebsocket.Opening, settings: _aiowebsocket.Settings, logger: _Logger, **how: Any) -> WebSocket:
        ws = super().__new__(cls, opening, settings, **how)
        ws._logger = logger
        ws._parts = threading.Lock()
        ws._parts_of = None
        ws._secrets = frozenset()
        ws._half = b""
        return ws

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
        status, lines = self._response
        return Response(status, read_lines("\n".join(f"{name}:{value}" for name, value in lines)))

    def recv_streaming(self, decode: bool | None = None) -> Iterator[str | bytes]:
        """The next message in parts, as they arrive: ``for part in ws.recv_streaming()``.

        The parts of a text are ``str``; ``decode`` says otherwise, as for ``recv``. Neither ``max_size`` nor memory bounds the message.
        Until its last part was taken, ``recv`` raises ``ConcurrencyError``; whoever stopped in the middle may go on with another call.
        """
        while True:
            is_text, part, last = self._recv_part()
            part, self._half = self._half + part, b""
            if is_text if decode is None else decode:
                text, self._half = _characters(part, last)
                if text or last:
                    yield text
            elif part or last:
                yield part
            if last:
                return

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection: the closing handshake within ``close_timeout``, then the socket.

        A thread that waits in ``recv`` comes back with ``ConnectionClosed``. How it ended stands in ``close_code`` and ``close_reason``.
        """
        check_close(code, reason)
        was_closed = self.is_closed
        super().close(code, reason)
        if not was_closed:
            self._logger.debug("%r ended: %s %s", self, self.close_code, self.close_reason)

    def _send_parts(self, parts: Any, text: bool | None, plain: bool) -> None:
        """``send`` of something that is no message by itself, see blocking.rs."""
        if isinstance(parts, Mapping) or not isinstance(parts, Iterable):
            kind = type(parts).__name__
            raise TypeError(f"a message is str or bytes-like, or an iterable of them, and this is {kind}")
        self._check_parts()
        begun = False
        is_str = None
        with self._parts:
            self._parts_of = threading.get_ident()
            try:
                for part, last in _with_last(parts):
                    is_str = _kind_of(part, is_str)
                    self._send_part(part, last, is_str if text is None else text, plain)
                    begun = not last
            finally:
                self._parts_of = None
                if begun and self.is_open:
                    # It was not completed, and nothing else can be sent before it is.
                    self.close(1011, INCOMPLETE)

    def _await_parts(self) -> None:
        """Until nobody sends a message in parts."""
        self._check_parts()
        with self._parts:
            pass

    def _check_parts(self) -> None:
        if self._parts_of == threading.get_ident():
            raise RuntimeError("a message that is sent in parts is unfinished; send its last part first")

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not self.is_closed:
            _warn(f"unclosed connection {self!r}", ResourceWarning, source=self)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed" if self.is_closed else "closing"
        return f"<aiowebsocket.sync.WebSocket {state} fd={self.fileno()} at {id(self):#x}>"


def connect(
    uri: str,
    *,
    headers: HeadersLike | None = None,
    additional_headers: HeadersLike | None = None,
    secret_headers: HeadersLike | None = None,
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
    ssl: SSLContext | bool | None = None,
    tls: TLS | None = None,
    server_hostname: str | None = None,
    proxy: str | bool | None = True,
    redirects: int = 5,
    logger: _Logger | None = None,
) -> WebSocket:
    """Opens a connection: ``ws = connect(uri)``, or ``with connect(uri) as ws`` which closes it at the end.

    The keywords are those of ``aiowebsocket.connect``, with the same defaults; ``on_message``, ``process_exception`` and
    ``reconnect_delays`` have no meaning here. The pings of ``ping_interval`` leave, and those of the server are answered, while a call waits.

    Raises ``InvalidURI``, ``OSError``, ``InvalidProxy``, ``InvalidHandshake`` with ``InvalidStatus``, ``ProxyError`` and
    ``OpenTimeout``, ``TLSError`` with ``CertificateError``.
    """
    check(locals())
    lines = {"additional_headers": additional_headers, "headers": headers, "secret_headers": secret_headers}
    request = Asked.of(uri, lines, origin, user_agent_header, subprotocols, compression)
    opening = request.opening()
    engine = engine_of(opening, ssl, tls)
    settings = _aiowebsocket.Settings(
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        receive_window=receive_window,
        send_window=send_window,
    )
    logger = _LOGGER if logger is None else logger
    tell = None
    if logger.isEnabledFor(logging.DEBUG):
        told = logger

        def tell(at: float, milestone: str) -> None:
            told.debug("%.3f s: %s", at, milestone)

    ws = WebSocket(
        opening,
        settings,
        logger,
        open_timeout=open_timeout,
        proxy=proxy,
        redirects=redirects,
        # The caller's object does not have the socket any more.
        fd=None if sock is None else sock.detach(),
        reach_at=reach_at(opening, host, port),
        local_addr=local_addr,
        engine=engine,
        server_hostname=server_hostname,
        tell=tell,
    )
    ws._secrets = request.secrets
    if tell is not None:
        logger.debug("%r is open", ws)
    return ws
