"""websocket-rs: `recv` awaited, `send` not. A message is a view of bytes; as text it is made into a str. Compression
only where the server compresses."""

import asyncio

from websocket_rs import connect


class Client:
    async def open(self, run):
        self.ws = await connect(run.uri, ssl_context=run.context, compression=run.kind == "deflate")

    async def echo(self, run):
        send, recv, see = self.ws.send, self.ws.recv, run.see
        for message in run.outgoing():
            send(message)
            see(await recv())

    async def burst(self, run):
        recv, see = self.ws.recv, run.see
        self.ws.send("go")
        if run.text:
            for _ in range(run.count):
                see(str(await recv(), "utf-8"))
        else:
            for _ in range(run.count):
                see(await recv())

    async def flood(self, run):
        send = self.ws.send
        # `send` queues without an end and there is nothing to wait for: the loop gets its turn after each 64.
        for batch in run.batches():
            for message in batch:
                send(message)
            await asyncio.sleep(0)
        return str(await self.ws.recv(), "utf-8")
