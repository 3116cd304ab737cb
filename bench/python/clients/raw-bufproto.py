"""The floor: a bare `asyncio.BufferedProtocol` and callbacks, frames cut in C and looked at where they lie. TLS is that of the event
loop; what is compressed goes through Python's zlib."""

import asyncio
import functools
import zlib

from native import frame

from harness import connected, cutter, judge, request, upgraded

# What a sender leaves away at the end of each message (RFC 7692 7.2.1).
TAIL = b"\x00\x00\xff\xff"


class Protocol(asyncio.BufferedProtocol):
    def begin(self, run):
        self.cutter, self.outgoing, self.left = cutter(run), run.outgoing(), run.count
        self.see, self.see_all = run.see, run.see_all
        self.done = asyncio.get_running_loop().create_future()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport):
        self.transport, self.write = transport, transport.write
        # Every write leaves at once, or pauses: an event loop that joins the writes of a turn would be another workload.
        transport.set_write_buffer_limits(0)

    def get_buffer(self, hint):
        return self.cutter

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()


class Echoes(Protocol):
    def buffer_updated(self, n):
        if self.cutter.in_place(n):
            for message in self.outgoing:
                self.write(frame(message))
                return
            self.done.set_result(None)


class Receives(Protocol):
    def buffer_updated(self, n):
        self.left -= self.cutter.in_place(n)
        if not self.left:
            self.done.set_result(None)


class Inflates(Protocol):
    """An object a message, because zlib makes one."""

    def begin(self, run):
        super().begin(run)
        self.inflate = zlib.decompressobj(-zlib.MAX_WBITS).decompress

    def on_message(self, message):
        if self.see(str(self.inflate(message + TAIL), "ascii")):
            self.done.set_result(None)

    def buffer_updated(self, n):
        self.cutter.call(n, self.on_message)


class Line(Protocol):
    def buffer_updated(self, n):
        # The only frame that comes, short and unmasked.
        self.done.set_result(bytes(self.cutter)[2:n].decode())


@functools.cache
def sliceable(protocol):
    """The same with a buffer that asyncio's TLS can slice."""

    class Sliceable(protocol):
        def get_buffer(self, hint):
            return memoryview(self.cutter)

    return Sliceable


class Opens(asyncio.BufferedProtocol):
    """The opening handshake, where it goes through the event loop's TLS."""

    def connection_made(self, transport):
        self.room, self.head = memoryview(bytearray(4 << 10)), b""
        self.done = asyncio.get_running_loop().create_future()

    def get_buffer(self, hint):
        return self.room

    def buffer_updated(self, n):
        self.head += self.room[:n]
        if self.head.endswith(b"\r\n\r\n"):
            self.done.set_result(None)


class Client:
    protocols = {"burst-binary": Receives, "burst-text": Receives, "burst-deflate": Inflates, "send": Line}

    async def open(self, run):
        protocol = self.protocols.get(run.workload, Echoes)
        loop = asyncio.get_running_loop()
        if run.tls:
            transport, opens = await loop.create_connection(
                Opens, sock=connected(run), ssl=run.context, server_hostname="127.0.0.1"
            )
            transport.write(request(run))
            await opens.done
            judge(opens.head)
            self.protocol = sliceable(protocol)()
            transport.set_protocol(self.protocol)
            self.protocol.connection_made(transport)
        else:
            _, self.protocol = await loop.create_connection(protocol, sock=upgraded(run))

    async def echo(self, run):
        self.protocol.begin(run)
        self.protocol.write(frame(next(self.protocol.outgoing)))
        await self.protocol.done

    async def burst(self, run):
        self.protocol.begin(run)
        self.protocol.write(frame(b"go"))
        await self.protocol.done

    async def flood(self, run):
        self.protocol.begin(run)
        write, writable = self.protocol.write, self.protocol.writable
        for message in run.outgoing():
            write(frame(message))
            if not writable.is_set():
                await writable.wait()
        return await self.protocol.done
