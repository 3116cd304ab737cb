"""A floor without the loop's transports: a socket of its own, `add_reader`, `recv_into` and `send`. Over TLS it is Python's `SSLSocket`,
which reads one record at a time."""

import asyncio
import ssl

from native import frame

from harness import cutter, upgraded

BLOCKED = BlockingIOError, ssl.SSLWantWriteError


class Client:
    async def open(self, run):
        self.socket = upgraded(run)
        self.socket.setblocking(False)
        self.loop = asyncio.get_running_loop()
        on_readable = {"echo": self.on_echo, "memory": self.on_echo, "send": self.on_line}.get(run.workload, self.on_burst)
        self.loop.add_reader(self.socket, self.by_records(on_readable) if run.tls else on_readable)

    @staticmethod
    def by_records(on_readable):
        def on_record():
            # What the kernel still has makes the event loop call again.
            try:
                on_readable()
            except ssl.SSLWantReadError:
                pass

        return on_record

    def begin(self, run):
        self.cutter, self.outgoing, self.left = cutter(run), run.outgoing(), run.count
        self.done = self.loop.create_future()

    def on_echo(self):
        if self.cutter.in_place(self.socket.recv_into(self.cutter)):
            for message in self.outgoing:
                self.write(frame(message))
                return
            self.done.set_result(None)

    def on_burst(self):
        self.left -= self.cutter.in_place(self.socket.recv_into(self.cutter))
        if not self.left:
            self.done.set_result(None)

    def on_line(self):
        self.done.set_result(self.socket.recv(100)[2:].decode())

    def write(self, out):
        """All of it now, or a future that is done when the rest has left."""
        try:
            sent = self.socket.send(out)
        except BLOCKED:
            sent = 0
        if sent < len(out):
            return asyncio.ensure_future(self.write_rest(memoryview(out)[sent:]))

    async def write_rest(self, out):
        while out:
            writable = asyncio.Event()
            self.loop.add_writer(self.socket, writable.set)
            await writable.wait()
            self.loop.remove_writer(self.socket)
            try:
                out = out[self.socket.send(out) :]
            except BLOCKED:
                pass

    async def echo(self, run):
        self.begin(run)
        self.write(frame(next(self.outgoing)))
        await self.done

    async def burst(self, run):
        self.begin(run)
        self.write(frame(b"go"))
        await self.done

    async def flood(self, run):
        self.begin(run)
        write = self.write
        for message in run.outgoing():
            if rest := write(frame(message)):
                await rest
        return await self.done
