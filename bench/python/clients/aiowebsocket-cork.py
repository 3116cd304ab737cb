"""This library with `cork()`: what is sent within leaves in one write. All defaults."""

from harness import module_of


class Client(module_of("aiowebsocket").Client):
    async def flood(self, run):
        send, cork = self.send, self.ws.cork
        for batch in run.batches():
            with cork():
                for message in batch:
                    await send(message)
        return await self.recv()
