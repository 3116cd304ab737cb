"""The floor: a bare `asyncio.BufferedProtocol` and callbacks, frames cut in C and looked at where they lie."""

import asyncio

from native import frame

from harness import cutter, upgraded


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


class Line(Protocol):
    def buffer_updated(self, n):
        # The only frame that comes, short and unmasked.
        self.done.set_result(bytes(self.cutter)[2:n].decode())


class Client:
    protocols = {"burst-binary": Receives, "burst-text": Receives, "send": Line}

    async def open(self, run):
        protocol = self.protocols.get(run.workload, Echoes)
        loop = asyncio.get_running_loop()
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
