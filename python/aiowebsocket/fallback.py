"""For event loops that cannot watch a socket of somebody else's (``add_reader`` raises ``NotImplementedError``): a transport of
asyncio reads and writes in its place. Slower, and the same in everything else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from . import _aiowebsocket


class Watcher(asyncio.Protocol):
    """Calls a connection as a loop that watches its socket would: as long as there is something to read, or room to write."""

    _transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connection: _aiowebsocket.Connection | None = None
        #: What came before there was a connection.
        self._early: list[Callable[[_aiowebsocket.Connection], None]] = []
        self._on_readable: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None
        self._is_blocked = False
        self._is_over = False
        self._is_called = False
        #: The transport brings nothing before what it brought was read.
        self._is_held = False

    def attach(self, connection: _aiowebsocket.Connection) -> None:
        """From now on this connection is called."""
        self._connection = connection
        for tell in self._early:
            tell(connection)
        self._early.clear()

    # ---- what a connection asks of a loop

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self._on_readable = callback
        self._is_held = False
        if not self._is_over:
            self._transport.resume_reading()
        self._call_again()

    def remove_reader(self, fd: int) -> bool:
        was_there = self._on_readable is not None
        self._on_readable = None
        if not self._is_over:
            self._transport.pause_reading()
        return was_there

    def add_writer(self, fd: int, callback: Callable[[], None]) -> None:
        self._on_writable = callback

    def remove_writer(self, fd: int) -> bool:
        was_there = self._on_writable is not None
        self._on_writable = None
        return was_there

    def write(self, data: bytes, shuts: bool) -> None:
        """Bytes of the connection; what the transport cannot write at once it tells by ``pause_writing``."""
        if self._is_over:
            return
        if data:
            self._transport.write(data)
        if shuts and self._transport.can_write_eof():
            # What fails here has ended already: the peer had gone when it was told why.
            with suppress(OSError):
                self._transport.write_eof()

    def close(self) -> None:
        """The connection is over. What is still to be written then is not waited for."""
        if self._is_over:
            return
        self._is_over = True
        if self._is_blocked:
            self._transport.abort()
        else:
            self._transport.close()

    # ---- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Told as soon as anything waits, and again when nothing does.
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        self._tell(lambda connection: connection._feed(data))

    def eof_received(self) -> bool:
        self._tell(lambda connection: connection._feed_end())
        return True  # Our side stays open: what is queued still leaves.

    def connection_lost(self, error: Exception | None) -> None:
        was_over, self._is_over = self._is_over, True
        if not was_over:
            errno = error.errno if isinstance(error, OSError) else None
            self._tell(lambda connection: connection._feed_end(lost=error is not None, errno=errno))
            self._call_writable()

    def pause_writing(self) -> None:
        self._is_blocked = True
        if self._connection is not None:
            self._connection._block(True)

    def resume_writing(self) -> None:
        self._is_blocked = False
        if self._connection is not None:
            self._connection._block(False)
        self._call_writable()

    # ---- calls

    def _tell(self, tell: Callable[[_aiowebsocket.Connection], None]) -> None:
        if self._connection is None:
            self._early.append(tell)
            return
        tell(self._connection)
        self._call_readable()

    def _call_readable(self) -> None:
        if self._on_readable is not None:
            try:
                self._on_readable()
            finally:
                self._call_again()

    def _call_again(self) -> None:
        """A loop calls in each turn while there is something to read. Meanwhile the transport brings no more: in each turn it would bring more
        than a slow program takes in one, without bound."""
        if self._connection is None or self._is_called or self._on_readable is None:
            return
        is_unread = self._connection._has_unread
        if is_unread is not self._is_held and not self._is_over:
            self._is_held = is_unread
            if is_unread:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if is_unread:
            self._is_called = True
            self._loop.call_soon(self._in_next_turn)

    def _in_next_turn(self) -> None:
        self._is_called = False
        self._call_readable()

    def _call_writable(self) -> None:
        if self._on_writable is not None:
            self._on_writable()
