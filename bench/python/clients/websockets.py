"""websockets: `recv` and `send` awaited. No limit on a message, and compression only where the server compresses, otherwise the
defaults."""

from websockets.asyncio.client import connect

from harness import Awaited


class Client(Awaited):
    async def open(self, run):
        compression = "deflate" if run.kind == "deflate" else None
        ws = await connect(run.uri, compression=compression, max_size=None, ssl=run.context)
        self.send, self.recv = ws.send, ws.recv
