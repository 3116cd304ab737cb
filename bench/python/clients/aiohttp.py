"""aiohttp's client: `receive` and `send_bytes` awaited. No limit on a message or on connections; compression is off by
default, and on where the server compresses."""

from aiohttp import ClientSession, TCPConnector


class Client:
    # One for all connections, as its documentation asks.
    session = None

    async def open(self, run):
        Client.session = Client.session or ClientSession(connector=TCPConnector(limit=0))
        compress = 15 if run.kind == "deflate" else 0
        self.ws = await self.session.ws_connect(run.uri, max_msg_size=0, compress=compress, ssl=run.context or True)

    async def echo(self, run):
        send, receive, see = self.ws.send_bytes, self.ws.receive, run.see
        for message in run.outgoing():
            await send(message)
            see((await receive()).data)

    async def burst(self, run):
        receive, see = self.ws.receive, run.see
        await self.ws.send_str("go")
        for _ in range(run.count):
            see((await receive()).data)

    async def flood(self, run):
        send = self.ws.send_bytes
        for message in run.outgoing():
            await send(message)
        return (await self.ws.receive()).data
