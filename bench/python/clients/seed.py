"""aiowebsocket 1.0.0.dev2, the release that this project began from. Gives text as bytes and sends everything as text."""

from aiowebsocket.converses import AioWebSocket


class Client:
    async def open(self, run):
        self.ws = AioWebSocket(run.uri)
        await self.ws.create_connection()

    async def echo(self, run):
        send, receive, see = self.ws.converse.send, self.ws.converse.receive, run.see
        for message in run.outgoing():
            await send(message)
            see(await receive())

    async def burst(self, run):
        receive, see = self.ws.converse.receive, run.see
        await self.ws.converse.send("go")
        if run.text:
            for _ in range(run.count):
                see((await receive()).decode())
        else:
            for _ in range(run.count):
                see(await receive())
