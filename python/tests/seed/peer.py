"""A server that does what a test says, byte by byte: RFC 6455 without a thought for rules."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Peer:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        #: The request, line by line.
        self.lines: list[str] = []

    def value(self, name: str) -> str | None:
        values = [line.partition(":")[2].strip() for line in self.lines if line.lower().startswith(name.lower() + ":")]
        return values[0] if values else None

    async def read_request(self) -> None:
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")

    def accept(self, *more: str, accept: str | None = None) -> None:
        key = self.value("Sec-WebSocket-Key") or ""
        right = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept or right.decode()}", *more, "", ""]
        self.writer.write("\r\n".join(lines).encode())

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True) -> None:
        length = len(payload)
        head = bytes([fin << 7 | opcode])
        if length < 126:
            head += bytes([length])
        elif length < 1 << 16:
            head += b"\x7e" + length.to_bytes(2, "big")
        else:
            head += b"\x7f" + length.to_bytes(8, "big")
        self.writer.write(head + payload)

    async def frame(self) -> tuple[bool, int, bytes]:
        """FIN, opcode and payload of the client's next frame, which must be masked."""
        first, second = await self.reader.readexactly(2)
        assert second & 0x80, "a client masks"
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        key = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(length)
        return bool(first & 0x80), first & 0x0F, bytes(b ^ key[i % 4] for i, b in enumerate(payload))

    async def answer_close(self) -> bytes:
        """Reads up to the Close frame, answers it and ends TCP; its payload."""
        while True:
            _, opcode, payload = await self.frame()
            if opcode == 8:
                self.send(8, payload)
                self.writer.close()
                return payload

    async def end(self) -> bytes:
        """What still comes until the client ends TCP."""
        return await self.reader.read()


@asynccontextmanager
async def serving(play: Callable[[Peer], Awaitable[object]], accepts: bool = True) -> AsyncIterator[str]:
    """A server for one connection; ``play`` begins after the handshake where ``accepts`` is true. What it raises, the block raises."""
    done: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        try:
            await peer.read_request()
            if accepts:
                peer.accept()
            await play(peer)
            if not done.done():
                done.set_result(None)
        except BaseException as error:
            if not done.done():
                done.set_exception(error)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(done, 10)
    finally:
        server.close()
