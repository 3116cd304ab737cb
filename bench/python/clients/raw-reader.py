"""A floor without the loop's transports: a socket of its own, `add_reader`, `recv_into` and `send`."""

import asyncio

from native import frame

from harness import cutter, upgraded


class Client:
    async def open(self, run):
        self.socket = upgraded(run)
        self.socket.setblocking(False)
        self.loop = asyncio.get_running_loop()
        on_readable = {"echo": self.on_echo, "memory": self.on_echo, "send": self.on_line}.get(run.workload, self.on_burst)
        self.loop.add_reader(self.socket, on_readable)

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
        except BlockingIOError:
            sent = 0
        if sent < len(out):
            return asyncio.ensure_future(self.loop.sock_sendall(self.socket, memoryview(out)[sent:]))

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
