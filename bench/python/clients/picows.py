"""picows' own interface: a callback a frame, `send` not awaited. Callbacks see frames, and join no fragments."""

import asyncio

from picows import WSListener, WSMsgType, ws_connect

BINARY, TEXT = WSMsgType.BINARY, WSMsgType.TEXT


class Listener(WSListener):
    def begin(self, run):
        self.see, self.outgoing = run.see, run.outgoing()
        self.done = asyncio.get_running_loop().create_future()
        self.writable = asyncio.Event()
        self.writable.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()


class Bytes(Listener):
    def on_ws_frame(self, transport, frame):
        if self.see(frame.get_payload_as_bytes()):
            self.done.set_result(None)


class Text(Listener):
    def on_ws_frame(self, transport, frame):
        if self.see(frame.get_payload_as_utf8_text()):
            self.done.set_result(None)


class Echoes(Listener):
    def on_ws_frame(self, transport, frame):
        if self.see(frame.get_payload_as_bytes()):
            self.done.set_result(None)
        else:
            transport.send(BINARY, next(self.outgoing))


class Line(Listener):
    def on_ws_frame(self, transport, frame):
        self.done.set_result(frame.get_payload_as_ascii_text())


class Client:
    async def open(self, run):
        listener = {"burst-text": Text, "burst-binary": Bytes, "send": Line}.get(run.workload, Echoes)
        self.transport, self.listener = await ws_connect(listener, run.uri, max_frame_size=1 << 30, ssl_context=run.context)

    async def echo(self, run):
        self.listener.begin(run)
        self.transport.send(BINARY, next(self.listener.outgoing))
        await self.listener.done

    async def burst(self, run):
        self.listener.begin(run)
        self.transport.send(TEXT, b"go")
        await self.listener.done

    async def flood(self, run):
        self.listener.begin(run)
        send, writable = self.transport.send, self.listener.writable
        for message in self.listener.outgoing:
            send(BINARY, message)
            if not writable.is_set():
                await writable.wait()
        return await self.listener.done
