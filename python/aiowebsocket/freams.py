"""Frames as ``Converse`` sends and receives them. (The name of the module is as old as the API.)"""

from __future__ import annotations

import asyncio

from . import _aiowebsocket
from .enumerations import ControlFrames
from .exceptions import ConnectionClosed, FrameError
from .links import Link, StreamLink

__all__ = ["Frames"]


class Frames:
    """Whole messages in, messages and control frames out, on streams of asyncio."""

    #: Seconds without any byte after which ``read`` gives up; ``None`` for no limit.
    read_timeout: float | None = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader: asyncio.StreamReader | None = reader
        self.writer: asyncio.StreamWriter | None = writer
        self._link: Link = StreamLink(reader, writer)
        self._is_over = False

    @classmethod
    def _on(cls, link: Link) -> Frames:
        """On something else than streams."""
        frames = cls.__new__(cls)
        frames.reader = frames.writer = None
        frames._link = link
        frames._is_over = False
        return frames

    async def read(self, text: bool = False, mask: bool = False, maxsize: int | None = None) -> str | bytes:
        """The next message: bytes, or ``str`` where ``text`` asks for it. ``mask`` and ``maxsize`` change nothing."""
        try:
            message = await self._link.receive(self.read_timeout)
        except ConnectionClosed:
            if not self._is_over:
                self._is_over = True
                await self.receive_close()
            raise
        if isinstance(message, str):
            return message if text else message.encode()
        return message.decode() if text else message

    async def write(
        self,
        fin: bool,
        code: int | None,
        message: object,
        mask: bool = True,
        rsv1: int = 0,
        rsv2: int = 0,
        rsv3: int = 0,
    ) -> None:
        """Sends a message, a part of one where ``fin`` is false, or a control frame.

        ``code`` is the opcode; ``None`` is text for ``str`` and binary for bytes. A client always masks, whatever ``mask`` says.
        """
        if rsv1 or rsv2 or rsv3:
            raise FrameError("the reserved bits belong to extensions, and there is none")
        if code == ControlFrames.close:
            await self._link.begin_close(*_aiowebsocket._read_close(_bytes(message)))
        elif code == ControlFrames.ping:
            if _bytes(message):
                raise FrameError("the payload of a ping is the library's own, so that its pong is known: send it empty")
            await self._link.ping()
        elif code == ControlFrames.pong:
            raise FrameError("pongs are sent by the library, as soon as a ping comes")
        else:
            await self._link.send(message, code, bool(fin))

    async def receive_close(self) -> None:
        """Called once when the connection has ended, before ``read`` raises. To be overridden."""


def _bytes(message: object) -> bytes:
    return message.encode() if isinstance(message, str) else bytes(message)  # type: ignore[call-overload]
