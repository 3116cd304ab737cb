"""A server of asyncio's own, over TLS."""

import asyncio
import base64
import hashlib
import ssl
import threading

from support import PATIENCE, frame, unmasked

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def server_context(authority, *names, **options):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or ("127.0.0.1", "localhost")), **options).configure_cert(context)
    return context


async def _read_frame(reader):
    first, second = await reader.readexactly(2)
    size = second & 127
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    key = await reader.readexactly(4)
    return first & 15, unmasked(await reader.readexactly(size), key)


async def answer(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")).split(b":")[1].strip()
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    writer.write(b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept, b"", b""]))
    await writer.drain()


async def _echo(reader, writer):
    await answer(reader, writer)
    while True:
        opcode, payload = await _read_frame(reader)
        if opcode == 8:
            writer.write(frame(8, payload))
            # The end of TLS comes behind the Close frame, and TCP stays open until the server ends it.
            assert await reader.read() == b""
            break
        writer.write(frame(opcode, payload))
        await writer.drain()
    writer.close()


class Server:
    """Serves on a thread and an event loop of its own until the test is over; remembers what went wrong in it."""

    def __init__(self, context, serve=_echo):
        self._context = context
        self._serve = serve
        self.errors = []
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        self._loop = asyncio.new_event_loop()
        # Handshakes that fail are what is tested, and asyncio reports them.
        self._loop.set_exception_handler(lambda *_: None)
        listening = asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self._context)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end_tasks())
        self._loop.close()

    async def _end_tasks(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports end in a turn after.
        await asyncio.sleep(0.01)

    @property
    def uri(self):
        return f"wss://127.0.0.1:{self.port}/"

    async def __aenter__(self):
        self._thread.start()
        assert self._is_ready.wait(PATIENCE)
        return self

    async def __aexit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _handle(self, reader, writer):
        try:
            await asyncio.wait_for(self._serve(reader, writer), PATIENCE)
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.close()
