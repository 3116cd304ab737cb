"""The floor of sending in batches: 64 messages a write, each appended by a call."""

from native import append_frame

from harness import module_of

raw = module_of("raw-bufproto")


class Client(raw.Client):
    async def flood(self, run):
        self.protocol.begin(run)
        write, writable = self.protocol.write, self.protocol.writable
        for batch in run.batches():
            out = bytearray()
            for message in batch:
                append_frame(out, message)
            write(out)
            if not writable.is_set():
                await writable.wait()
        return await self.protocol.done
