"""picows' copy of the interface of websockets. No limit on a message, and compression only where the server compresses, otherwise the
defaults. Over TLS its queue has no limit: with one, reading is paused in a burst and what TLS holds then is never given out, so that
it waits for ever."""

from picows.websockets.asyncio.client import connect

from harness import Awaited


class Client(Awaited):
    async def open(self, run):
        options = {"ssl": run.context, "max_queue": None} if run.tls else {}
        compression = "deflate" if run.kind == "deflate" else None
        ws = await connect(run.uri, compression=compression, max_size=None, **options)
        self.send, self.recv = ws.send, ws.recv
