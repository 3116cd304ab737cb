"""The other end of a connection, byte by byte: what it says is written out by hand, what it hears is taken apart by hand.

It shares no code with the package, and it says nothing by itself.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import struct
import subprocess
import sys
import textwrap
import zlib
from dataclasses import dataclass
from pathlib import Path

import aiowebsocket

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: Longer than anything here takes on a machine that is busy with something else.
PATIENCE = 20

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: What a compressed message leaves out (RFC 7692 7.2.1).
_TAIL = b"\x00\x00\xff\xff"

_links = []


def frame(opcode, payload=b"", *, fin=True, rsv=0):
    """An unmasked frame (RFC 6455 5.2), with the shortest length."""
    if isinstance(payload, str):
        payload = payload.encode()
    first = fin << 7 | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def text(payload):
    return frame(TEXT, payload)


def binary(payload):
    return frame(BINARY, payload)


def close(code=None, reason=""):
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


@dataclass
class Frame:
    """A frame that came, unmasked; `key` is what it was masked with."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    key: "bytes | None"

    @property
    def code(self):
        return struct.unpack("!H", self.payload[:2])[0]

    @property
    def reason(self):
        return self.payload[2:].decode()


def unmasked(payload, key):
    if not payload:
        return b""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def agreed(answer="permessage-deflate"):
    return f"Sec-WebSocket-Extensions: {answer}"


class Deflater:
    """The peer's compressor, of another zlib than ours."""

    def __init__(self, bits=15):
        self._stream = zlib.compressobj(6, zlib.DEFLATED, -bits)

    def __call__(self, data):
        data = data.encode() if isinstance(data, str) else data
        whole = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        assert whole.endswith(_TAIL)
        return whole[:-4]


class Inflater:
    """Its other half."""

    def __init__(self, bits=15):
        self._stream = zlib.decompressobj(-bits)

    def __call__(self, payload):
        return self._stream.decompress(payload + _TAIL)


class Peer:
    """The server's end of a TCP connection."""

    def __init__(self, sock):
        sock.setblocking(False)
        # What is said together leaves together, and what is said alone leaves at once.
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._heard = bytearray()

    # ---- saying

    def say(self, *pieces):
        """Bytes that the kernel takes at once: when this returns, the other end can read them."""
        data = b"".join(pieces)
        assert self.sock.send(data) == len(data), "too much to be said at once"

    async def tell(self, data):
        """Any number of bytes, as fast as they are read."""
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.sock, data), PATIENCE)

    async def answer(self, *lines, protocol=None, behind=b"", head=None):
        """Reads the request and opens the connection: the request head, as text.

        `lines` are more header lines, `behind` are bytes in one piece with the response, `head` is said instead of it.
        """
        request = await self.head()
        if head is None:
            head = [
                "HTTP/1.1 101 Switching Protocols",
                "Upgrade: websocket",
                "Connection: Upgrade",
                f"Sec-WebSocket-Accept: {accept_value(request)}",
            ]
            if protocol is not None:
                head.append(f"Sec-WebSocket-Protocol: {protocol}")
        self.say("\r\n".join([*head, *lines, "", ""]).encode(), behind)
        return request

    # ---- hearing

    async def more(self):
        """One read; False at the end of the stream."""
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 1 << 18), PATIENCE)
        self._heard += data
        return bool(data)

    async def exactly(self, size):
        while len(self._heard) < size:
            assert await self.more(), f"the stream ended {size - len(self._heard)} bytes early"
        data = bytes(self._heard[:size])
        del self._heard[:size]
        return data

    async def head(self):
        while b"\r\n\r\n" not in self._heard:
            assert await self.more(), "the stream ended in the request"
        head, _, rest = self._heard.partition(b"\r\n\r\n")
        self._heard = rest
        return head.decode()

    async def frame(self):
        first, second = await self.exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.exactly(8))
        key = await self.exactly(4) if second & 0x80 else None
        payload = await self.exactly(size)
        return Frame(first & 0x0F, unmasked(payload, key) if key else payload, bool(first & 0x80), first >> 4 & 7, key)

    async def frames(self, count):
        return [await self.frame() for _ in range(count)]

    async def end(self):
        """The rest until the end of the stream."""
        while await self.more():
            pass
        rest = bytes(self._heard)
        self._heard.clear()
        return rest

    # ---- leaving

    async def finish(self):
        """Answers a Close frame that comes next, and leaves: the clean end."""
        closing = await self.frame()
        assert closing.opcode == CLOSE, closing
        self.say(frame(CLOSE, closing.payload))
        self.sock.close()
        return closing

    def shut(self):
        """Ends the stream."""
        self.sock.close()

    def reset(self):
        """Breaks the connection (RST)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def accept_value(request):
    key = header(request, "Sec-WebSocket-Key")
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def header(head, name):
    """The value of a header line of a head, or None."""
    for line in head.split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name.lower():
            return value.strip()
    return None


@contextlib.contextmanager
def nobody():
    """A port where nobody listens, on any address of this machine, and that no other test gets meanwhile."""
    with socket.socket() as held:
        held.bind(("", 0))
        yield held.getsockname()[1]


class Server:
    """Listens; every connection is accepted by hand."""

    def __init__(self, listener):
        listener.setblocking(False)
        self.listener = listener
        self._peers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for peer in self._peers:
            peer.sock.close()
        self.listener.close()

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def uri(self):
        return f"ws://127.0.0.1:{self.port}/feed"

    async def accept(self):
        sock, _ = await asyncio.wait_for(
            asyncio.get_running_loop().sock_accept(self.listener), PATIENCE
        )
        peer = Peer(sock)
        self._peers.append(peer)
        return peer


@dataclass
class Link:
    """An open connection, and the server's end of it."""

    ws: aiowebsocket.WebSocket
    peer: Peer
    server: Server
    request: str

    @classmethod
    async def open(cls, server, *lines, protocol=None, behind=b"", **options):
        opening = asyncio.ensure_future(_opened(aiowebsocket.connect(server.uri, **options)))
        peer = await server.accept()
        request = await peer.answer(*lines, protocol=protocol, behind=behind)
        link = cls(await asyncio.wait_for(opening, PATIENCE), peer, server, request)
        _links.append(link)
        return link


async def _opened(connecting):
    return await connecting


async def close_links():
    """Ends what a test left open."""
    while _links:
        link = _links.pop()
        link.peer.sock.close()
        await asyncio.wait_for(link.ws.close(), PATIENCE)


class Calls:
    """What an event loop was asked for: how often, and with which functions."""

    def __init__(self, loop):
        self.readers = {}
        self.names = []
        for name in ("add_reader", "remove_reader", "add_writer", "remove_writer", "call_soon", "call_later", "create_future"):
            self._record(loop, name)

    def _record(self, loop, name):
        function = getattr(loop, name)

        def recorded(*arguments, **keywords):
            self.names.append(name)
            if name == "add_reader":
                self.readers[arguments[0]] = arguments[1]
            return function(*arguments, **keywords)

        setattr(loop, name, recorded)


async def turn():
    """Lets the event loop have its turn."""
    await asyncio.sleep(0)


async def outside(function):
    """Calls a function as the event loop does, with no task around it: its result."""
    loop = asyncio.get_running_loop()
    result = loop.create_future()
    loop.call_soon(lambda: result.set_result(function()))
    return await result


async def arrived():
    """Lets the event loop see what was said, and call who wants to read it."""
    for _ in range(3):
        await turn()


async def parked(task):
    """Lets a task run until it waits for something."""
    while getattr(task, "_fut_waiter", None) is None and not task.done():
        await turn()
    assert not task.done(), f"it did not wait: {task!r}"


async def choke(ws, waits):
    """Sends messages of 10,000 bytes until some wait, and still do after another write a while later: how many it sent.

    A kernel that takes no more may take more a moment later, when what it has is on its way, and calls nobody for that little room.
    """
    sent = 0
    while True:
        while not waits():
            ws.send_nowait(bytes(10_000))
            sent += 1
        before = ws.queued
        await asyncio.sleep(0.05)
        ws._on_writable()
        if ws.queued == before:
            return sent


def descriptors():
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def timers():
    """How many of them are timers of the kernel."""
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    # That of the listing itself is gone.
    return sum("timerfd" in os.readlink(link) for link in links if os.path.lexists(link))


def run_python(code, *options, **environment):
    """Runs a program in a Python of its own, which has this module: its exit code, what it said, and its complaints."""
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr
