"""This library: `recv` and `send` awaited, all defaults: compression is offered, and TLS is its own."""

import functools

from aiowebsocket import TLS, connect

from harness import Awaited, certificate


@functools.cache
def trusted():
    """The server's certificate and no other, as everybody has it here."""
    return TLS(ca_file=certificate(), only_ca_file=True)


class Client(Awaited):
    async def open(self, run):
        self.ws = await connect(run.uri, tls=trusted() if run.tls else None)
        self.send, self.recv = self.ws.send, self.ws.recv
