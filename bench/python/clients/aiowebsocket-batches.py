"""This library in lists: `batches()` to receive, `send_many` to send. All defaults."""

from harness import module_of


class Client(module_of("aiowebsocket").Client):
    async def burst(self, run):
        see_all = run.see_all
        await self.send("go")
        async for batch in self.ws.batches():
            if see_all(batch):
                break

    async def flood(self, run):
        send_many = self.ws.send_many
        for batch in run.batches():
            await send_many(batch)
        return await self.recv()
