"""This library: `recv` and `send` awaited, all defaults."""

from aiowebsocket import connect

from harness import Awaited


class Client(Awaited):
    async def open(self, run):
        self.ws = await connect(run.uri)
        self.send, self.recv = self.ws.send, self.ws.recv
