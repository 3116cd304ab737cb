"""``AioWebSocket`` and ``Converse``: the API of versions 1.0.0.dev to 1.0.0.dev2, on the machine that ``connect`` uses.

    async with AioWebSocket("ws://127.0.0.1:8765/") as aws:
        converse = aws.manipulator
        await converse.send("hello")
        print(await converse.receive())
"""

from __future__ import annotations

import asyncio
import ssl as tls
import warnings
from asyncio import Queue
from collections.abc import Mapping
from types import TracebackType
from typing import Any, overload

from ._opening import within
from .client import connect
from .enumerations import ControlFrames, DataFrames, SocketState
from .exceptions import InvalidStatus
from .freams import Frames
from .handshakes import Headers, HandShake
from .links import SocketLink
from .parts import parse_uri, remote_url

__all__ = [
    "AioWebSocket",
    "ControlFrames",
    "Converse",
    "DataFrames",
    "Frames",
    "HandShake",
    "Queue",
    "SocketState",
    "parse_uri",
    "remote_url",
]


class AioWebSocket:
    """A connection: ``async with AioWebSocket(uri) as aws``, or ``create_connection`` and ``close_connection``.

    ``headers``
        The header lines of the request in place of the default ones, sent in this order and spelling: a list of raw lines, with the
        request line or without, a dict, or pairs. What the handshake needs and is missing is added; its key is always our own.
    ``union_header``
        Header lines beside the others; one of the same name, in any case, is replaced in its place.
    ``timeout``
        Seconds for resolving, dialling and the handshake together; ``None`` for no limit. Default 30.
    ``read_timeout``
        Seconds without any byte after which ``receive`` raises ``ReadTimeout``; ``None`` for no limit. Default 120. A ping every
        20 seconds has a living server say something.
    ``ssl``
        ``None`` goes by the scheme; ``True`` does TLS on a ``ws://`` address too, an ``ssl.SSLContext`` does it in place of the package, and ``False``
        with ``wss://`` is refused.

    1.0.0.dev1 had another order, ``(uri, timeout, read_timeout, ssl, headers)``: a number in the place of ``headers`` is
    understood so, with a warning.
    """

    @overload
    def __init__(
        self,
        uri: str,
        headers: Headers | None = None,
        union_header: Mapping[str, object] | None = None,
        timeout: float | None = 30,
        read_timeout: float | None = 120,
        ssl: bool | tls.SSLContext | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        uri: str,
        timeout: float,
        read_timeout: float | None = 120,
        ssl: bool | tls.SSLContext | None = None,
        headers: Headers | None = None,
    ) -> None: ...

    def __init__(self, uri: str, *args: Any, **kwargs: Any) -> None:
        if args and isinstance(args[0], (int, float)):
            warnings.warn(
                "AioWebSocket(uri, timeout, read_timeout, ssl, headers) was the order of 1.0.0.dev1: name the arguments",
                stacklevel=2,
            )
            settings = _AioWebSocket_of_dev1(*args, **kwargs)
        else:
            settings = _AioWebSocket(*args, **kwargs)
        headers, union_header, timeout, read_timeout, ssl = settings
        if not (ssl is None or isinstance(ssl, (bool, tls.SSLContext))):
            raise TypeError(f"ssl is True, False or an SSLContext, and this is {type(ssl).__name__}")
        self.uri = uri
        self.headers: Headers = [] if headers is None else headers if isinstance(headers, (list, Mapping, str)) else list(headers)
        self.union_header: Mapping[str, object] = union_header if union_header is not None else {}
        self.timeout = timeout
        self.read_timeout = read_timeout
        self.ssl = ssl
        #: The handshake, once the connection is created.
        self.hands: HandShake | None = None
        #: Streams, where a subclass that creates its connection from streams sets them; ours has its socket to itself.
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.converse: Converse | None = None
        self._state: int = SocketState.zero.value
        self._is_connecting = False
        self._was_closed = False

    @property
    def manipulator(self) -> Converse | None:
        """What sends and receives; ``None`` before the connection is created."""
        return self.converse

    @property
    def state(self) -> int:
        """A value of ``SocketState``: 0 before the connection is created, 1 open, 2 closing, 3 closed."""
        return self._state if self.converse is None else self.converse.frame._link.state

    @state.setter
    def state(self, state: int) -> None:
        self._state = state

    async def create_connection(self) -> None:
        """Connects, within ``timeout``. Once only, unless it failed.

        Raises ``InvalidURI``, ``OSError``, ``InvalidHandshake`` with ``InvalidStatus``, ``OpenTimeout``.
        """
        if self.state != SocketState.zero or self._is_connecting:
            raise ConnectionError("Connection is already exists.")
        self._is_connecting = True
        try:
            remote = parse_uri(self.uri)
            uri = _secured(self.uri, remote.ssl, self.ssl)
            if uri != self.uri:
                remote = parse_uri(uri)
            self.hands = HandShake(remote, None, None, self.headers, self.union_header)
            # Pings keep a quiet server from looking dead; the verdict is `read_timeout`'s.
            context = self.ssl if isinstance(self.ssl, tls.SSLContext) else None
            opener = connect(uri, open_timeout=self.timeout, ping_timeout=None, ssl=context, redirects=0)
            opener._opening = self.hands.opening(uri)
            ws = await opener
        except InvalidStatus as error:
            message = f"Connection failed,status code:{error.status}: {error}"
            raise InvalidStatus(message, error.status, error.headers, error.body) from None
        finally:
            self._is_connecting = False
        self.converse = Converse._on(SocketLink(ws), self.read_timeout)

    async def close_connection(self) -> None:
        """Closes the connection: the closing handshake, within 10 seconds, then the socket.

        Raises ``ConnectionError`` where there is none, or it was closed already.
        """
        if self._was_closed:
            raise ConnectionError("SocketState is closed, can not close.")
        if self.converse is None:
            raise ConnectionError("there is no connection to close: create_connection() comes first")
        self._was_closed = True
        await self.converse.frame._link.close()

    async def __aenter__(self) -> AioWebSocket:
        async with within(asyncio.get_running_loop(), self.timeout):
            await self.create_connection()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.converse is None:
            return
        try:
            if not self._was_closed and self.state != SocketState.closed:
                await self.close_connection()
        finally:
            # A subclass may only have begun to close.
            await self.converse.frame._link.close()


class Converse:
    """Sends and receives messages. On streams of asyncio it is made as ``Converse(reader, writer)``, after a ``HandShake``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, maxsize: int = 2**16) -> None:
        self.reader: asyncio.StreamReader | None = reader
        self.writer: asyncio.StreamWriter | None = writer
        self.frame: Frames = Frames(reader, writer)

    @classmethod
    def _on(cls, link: SocketLink, read_timeout: float | None) -> Converse:
        converse = cls.__new__(cls)
        converse.reader = converse.writer = None
        converse.frame = Frames._on(link)
        converse.frame.read_timeout = read_timeout
        return converse

    async def send(
        self, message: object, fin: bool = True, mask: bool | int = True, *, code: int | None = None
    ) -> None:
        """Sends a message: ``str`` as text, bytes-like objects as binary, or what ``code`` says: ``DataFrames.text``.

        ``fin=False`` begins or continues a message in parts, which ends with the next ``fin=True``. ``mask`` changes nothing: a client
        always masks. (1.0.0.dev had ``code`` in its place; a number there is understood so.)
        """
        if code is None and not isinstance(mask, bool):
            code = mask
        await self.frame.write(fin, code, message)

    async def receive(self, text: bool = False, mask: bool = False) -> str | bytes | None:
        """The next message, whole: bytes, or ``str`` where ``text`` asks for it; ``None`` for an empty one.

        Raises ``ConnectionClosed``, and ``ReadTimeout`` after ``read_timeout`` seconds without any byte. Cancelling loses nothing.
        """
        return await self.frame.read(text, mask) or None

    @property
    def get_queue_size(self) -> int:
        """How many messages came and wait to be received."""
        return self.frame._link.pending

    @property
    def message_queue(self) -> _Waiting:
        """The messages that wait, to be counted."""
        return _Waiting(self)


class _Waiting:
    def __init__(self, converse: Converse) -> None:
        self._converse = converse

    def qsize(self) -> int:
        return self._converse.get_queue_size

    def empty(self) -> bool:
        return self.qsize() == 0


# Python itself binds what was given by position and by name to these; their names are in what it says of a mistake.


def _AioWebSocket(
    headers: Any = None, union_header: Any = None, timeout: Any = 30, read_timeout: Any = 120, ssl: Any = None
) -> tuple[Any, Any, Any, Any, Any]:
    return headers, union_header, timeout, read_timeout, ssl


def _AioWebSocket_of_dev1(
    timeout: Any, read_timeout: Any = 120, ssl: Any = None, headers: Any = None
) -> tuple[Any, Any, Any, Any, Any]:
    return headers, None, timeout, read_timeout, ssl


def _secured(uri: str, is_secure: bool, ssl: bool | tls.SSLContext | None) -> str:
    """The address that the argument ``ssl`` makes of one: ``ssl=True`` does TLS on a ``ws://`` address too."""
    if is_secure and ssl is False:
        raise ValueError("ssl=False with wss://, which is TLS: use ws://, or leave ssl out")
    if is_secure or not ssl:
        return uri
    return "wss" + uri.strip()[2:]
