"""picows' copy of the interface of websockets. No compression and no limit on a message, otherwise the defaults."""

from picows.websockets.asyncio.client import connect

from harness import Awaited


class Client(Awaited):
    async def open(self, run):
        ws = await connect(run.uri, compression=None, max_size=None)
        self.send, self.recv = ws.send, ws.recv
