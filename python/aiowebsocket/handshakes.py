"""The opening handshake as ``AioWebSocket`` has it: which header lines are sent, and the dialogue on streams of asyncio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Union, cast

from . import _aiowebsocket
from .exceptions import HandShakeError, InvalidStatus
from .parts import REMOTE

__all__ = ["HandShake"]

#: Raw lines with or without the request line, a mapping, or pairs.
Headers = Union[Iterable[str], Mapping[str, object], Iterable["tuple[str, object]"]]

_Lines = list["tuple[str, str | None]"]

#: In this order; ``None`` is the default value. ``Origin`` stands behind them in its place.
_DEFAULT = ("Host", "Connection", "Upgrade", "User-Agent", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version")


class HandShake:
    """What is asked of the server, and its answer.

    ``remote`` is what ``parse_uri`` gave, ``reader`` and ``writer`` are streams of asyncio. ``headers`` replaces the default header
    lines, ``union_header`` adds to them: a line of the same name, in any case, is replaced in its place.
    """

    def __init__(
        self,
        remote: REMOTE,
        reader: asyncio.StreamReader | None,
        writer: asyncio.StreamWriter | None,
        headers: Headers | None = None,
        union_header: Mapping[str, object] | None = None,
    ) -> None:
        self.remote = remote
        self.reader = reader
        self.write = writer
        self.headers = headers
        self.union_header = union_header
        self._opening: _aiowebsocket.Opening | None = None

    def opening(self, uri: str) -> _aiowebsocket.Opening:
        """The machine of the handshake with this address, its header lines set."""
        opening = _aiowebsocket.Opening(uri)
        request_line, lines = _in_pairs(self.headers)
        if request_line is not None:
            opening.request_line(request_line)
        if not lines:
            lines = [(name, opening.origin if name == "Origin" else None) for name in _DEFAULT]
        for name, value in (self.union_header or {}).items():
            _unite(lines, name, _text(value))
        opening.lines([line for line in lines if _is_ours_to_send(line[0])])
        return opening

    def shake_headers(self, host: str, port: int, resource: str = "/", version: int = 13) -> str:
        """The request, as it is going to be sent. ``version`` can only be 13."""
        if version != 13:
            raise ValueError(f"the version of the protocol is 13, and {version} was asked for")
        host = f"[{host}]" if ":" in host else host
        self._opening = self.opening(f"{self.remote[0]}://{host}:{port}{resource}")
        return self._opening.request().decode("latin-1")

    async def shake_(self) -> None:
        """Sends the request."""
        assert self.write is not None, "a HandShake with streams"
        _, host, port, resource, _ = self.remote
        self.write.write(self.shake_headers(host, port, resource).encode("latin-1"))
        await self.write.drain()

    async def shake_result(self) -> int:
        """The status of the answer: 101 where the connection is open, and then everything that the protocol asks of it was checked.
        With any other outcome the streams are closed: nothing more can come of them.

        Raises ``HandShakeError`` for an answer that is none.
        """
        assert self.reader is not None and self.write is not None and self._opening is not None, "shake_() comes first"
        try:
            opened = await self._answer(self.reader, self._opening)
        except InvalidStatus as error:
            self.write.close()
            return error.status
        except BaseException:
            self.write.close()
            raise
        return opened.response[0]

    async def _answer(
        self, reader: asyncio.StreamReader, opening: _aiowebsocket.Opening
    ) -> _aiowebsocket.Opened:
        opened = None
        while opened is None:
            timeout = opening.timeout
            try:
                # Line by line, so that what comes behind the head stays in the reader. The body of a refusal comes without lines.
                if timeout is None:
                    data = await reader.readline()
                else:
                    data = await asyncio.wait_for(reader.read(4096), timeout)
            except asyncio.TimeoutError:
                opened = opening.handle_timeout()
            except ValueError as error:
                raise HandShakeError(f"a line of the answer is too long: {error}") from None
            else:
                opened = opening.receive(data) if data else opening.receive_end()
        return opened


def _in_pairs(headers: Headers | None) -> tuple[str | None, _Lines]:
    """The request line, where there is one, and the header lines as names and values."""
    if not headers:
        return None, []
    if isinstance(headers, str):
        raise TypeError("headers is one str: give a list of lines, a dict or pairs")
    if isinstance(headers, Mapping):
        return None, [(name, _text(value)) for name, value in headers.items()]
    given = list(headers)
    lines = [line for line in given if isinstance(line, str)]
    if len(lines) < len(given):
        return None, [(name, _text(value)) for name, value in cast("list[tuple[str, object]]", given)]
    # Lists were known to work with the blank line that ends the request, in this spelling or that.
    lines[-1] = lines[-1].removesuffix("\r\n")
    while lines and not lines[-1]:
        lines.pop()
    request_line = None
    # The name of a header line has no blank before its colon.
    if lines and " " in lines[0].partition(":")[0]:
        request_line = lines.pop(0)
    pairs: _Lines = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"the header line {line[:64]!r} has no colon")
        pairs.append((name, value.strip(" \t")))
    return request_line, pairs


def _unite(lines: _Lines, name: str, value: str | None) -> None:
    at = next((i for i, line in enumerate(lines) if line[0].lower() == name.lower()), len(lines))
    lines[at : at + 1] = [(name, value)]


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _is_ours_to_send(name: str) -> bool:
    """Lines copied from a browser offer compression, which would then come."""
    if name.lower() != "sec-websocket-extensions":
        return True
    logging.getLogger(__name__).warning("Sec-WebSocket-Extensions is left out: AioWebSocket knows no extension")
    return False
