"""This library with a user's `SSLContext` in place of its own TLS. All other defaults."""

from aiowebsocket import connect

from harness import module_of


class Client(module_of("aiowebsocket").Client):
    async def open(self, run):
        self.ws = await connect(run.uri, ssl=run.context)
        self.send, self.recv = self.ws.send, self.ws.recv
