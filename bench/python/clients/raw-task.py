"""A floor for whoever awaits: a task that a callback of `add_reader` steps, both in C, with no object for a message."""

import asyncio

from native import Link

from harness import cutter, upgraded


class Client:
    async def open(self, run):
        self.socket = upgraded(run)
        self.socket.setblocking(False)
        self.loop = asyncio.get_running_loop()
        finished = self.loop.create_future()
        finished.set_result(None)
        self.link = Link(cutter(run), self.socket.fileno(), self.loop.create_future(), finished)
        self.loop.add_reader(self.socket, self.link.on_readable)

    async def echo(self, run):
        link, send = self.link, self.link.send
        for message in run.outgoing():
            if rest := send(message):
                await self.loop.sock_sendall(self.socket, rest)
            await link
