"""What frames go through: an open connection of ours, or streams of asyncio with the same machine between them."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Protocol, cast

from . import _aiowebsocket
from .client import WebSocket
from .enumerations import DataFrames, SocketState
from .exceptions import ConcurrencyError, ReadTimeout, ReceiveTimeout

#: Bytes of one read.
_READ = 64 << 10


class Link(Protocol):
    """What ``Frames`` asks of either."""

    @property
    def state(self) -> int: ...

    @property
    def pending(self) -> int: ...

    async def send(self, message: object, opcode: int | None, last: bool) -> None: ...

    async def receive(self, read_timeout: float | None) -> str | bytes: ...

    async def ping(self) -> None: ...

    async def begin_close(self, code: int, reason: str) -> None: ...

    async def close(self) -> None: ...


class SocketLink:
    """An open connection of ours, which reads, answers pings and keeps time by itself."""

    def __init__(self, ws: WebSocket) -> None:
        self._ws = ws
        self._in_parts = False

    @property
    def state(self) -> int:
        if self._ws.is_open:
            return SocketState.opened.value
        return SocketState.closed.value if self._ws.is_closed else SocketState.closing.value

    @property
    def pending(self) -> int:
        return self._ws.pending

    async def send(self, message: object, opcode: int | None, last: bool) -> None:
        if last and not self._in_parts and (opcode is None or opcode in (DataFrames.text, DataFrames.binary)):
            await self._ws.send(cast(str, message), text=None if opcode is None else opcode == DataFrames.text)
            return
        waits = self._ws._send_part(message, opcode, last)
        self._in_parts = not last
        if waits is not None:
            await waits

    async def receive(self, read_timeout: float | None) -> str | bytes:
        timeout = read_timeout
        while True:
            try:
                return await self._ws.recv(timeout)
            except ReceiveTimeout:
                # Bytes without a message are life: a pong, or a part of something large.
                assert read_timeout is not None, "only a limit runs out"
                silence = self._ws.silence
                if silence >= read_timeout:
                    raise _silent(read_timeout) from None
                timeout = read_timeout - silence

    async def ping(self) -> None:
        await self._ws.ping()

    async def begin_close(self, code: int, reason: str) -> None:
        await self._ws.close(code, reason)

    async def close(self) -> None:
        await self._ws.close()


class StreamLink:
    """Streams of asyncio. They are read while somebody receives or closes, so only then are pings answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._machine = _aiowebsocket.Machine()
        self._messages: deque[str | bytes] = deque()
        self._is_reading = False
        #: Not everything left that was written.
        self._is_given_up = False
        self._ended = asyncio.Event()

    @property
    def state(self) -> int:
        if self._machine.is_open:
            return SocketState.opened.value
        return SocketState.closed.value if self._machine.is_closed else SocketState.closing.value

    @property
    def pending(self) -> int:
        return len(self._messages)

    async def send(self, message: object, opcode: int | None, last: bool) -> None:
        self._machine.send(message, opcode, last)
        await self._flush()

    async def receive(self, read_timeout: float | None) -> str | bytes:
        if self._is_reading:
            raise ConcurrencyError("another task waits in receive() already: a message goes to one receiver")
        self._is_reading = True
        try:
            while not self._messages:
                if self._machine.is_closed:
                    raise self._machine.closed_error()
                await self._read(read_timeout)
        finally:
            self._is_reading = False
        return self._messages.popleft()

    async def ping(self) -> None:
        self._machine.ping()
        await self._flush()

    async def begin_close(self, code: int, reason: str) -> None:
        self._machine.close(code, reason)
        await self._flush_in_time()

    async def close(self) -> None:
        try:
            if not self._machine.is_closed:
                await self.begin_close(1000, "")
            if self._is_reading:
                # Whoever receives reads the peer's Close frame, unless the time runs out before.
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), self._machine.timeout)
                self._handle_timeout()
                return
            self._is_reading = True
            try:
                while not self._machine.is_closed:
                    await self._read(None)
            finally:
                self._is_reading = False
                self._messages.clear()
        finally:
            self._writer.close()

    async def _read(self, read_timeout: float | None) -> None:
        """Reads once, and answers what wants an answer."""
        due = self._machine.timeout
        limits = [limit for limit in (due, read_timeout) if limit is not None]
        try:
            if limits:
                data = await asyncio.wait_for(self._reader.read(_READ), min(limits))
            else:
                data = await self._reader.read(_READ)
        except asyncio.TimeoutError:
            if due is None or due > min(limits):
                assert read_timeout is not None, "it is the other limit"
                raise _silent(read_timeout) from None
            self._handle_timeout()
        except OSError:
            self._machine.receive_end()
        else:
            if data:
                self._messages.extend(self._machine.receive(data))
            else:
                self._machine.receive_end()
        await self._flush_in_time()
        if self._machine.is_closed:
            self._ended.set()
            self._writer.close()

    def _handle_timeout(self) -> None:
        was_closed = self._machine.is_closed
        self._machine.handle_timeout()
        if self._machine.is_closed and not was_closed:
            # What the peer has not taken it never will, and who sends it would wait for ever.
            self._is_given_up = True
            self._writer.transport.abort()

    async def _flush_in_time(self) -> None:
        """Where the peer takes nothing, the limit on closing counts for writing too. Where nothing can be written any more, reading comes to
        its end."""
        try:
            await asyncio.wait_for(self._flush(), self._machine.timeout)
        except asyncio.TimeoutError:
            self._handle_timeout()
        except ConnectionError:
            pass

    async def _flush(self) -> None:
        data = self._machine.output()
        if data:
            self._writer.write(data)
        if self._machine.shuts_first and self._writer.can_write_eof():
            with suppress(OSError):
                self._writer.write_eof()
        if not self._machine.is_closed:
            await self._writer.drain()
            if self._is_given_up:
                raise self._machine.closed_error()


def _silent(seconds: float) -> ReadTimeout:
    return ReadTimeout(f"no byte came within read_timeout, {seconds} seconds")
