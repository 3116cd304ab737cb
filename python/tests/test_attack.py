"""Peers that mean harm, over real sockets: what each can make a program hold. Each attack runs in a Python of its own, with a thread that
attacks; what the process holds is the most that the kernel ever saw (VmHWM) above what it had before."""

from textwrap import dedent

import pytest

from support import run_python

MIB = 1 << 20

#: Buffers of a thread, the event loop's own, and what the allocators keep for later.
BESIDE = 4 * MIB

COMMON = """
import asyncio, socket, threading, time, zlib
import aiowebsocket
from support import BINARY, CLOSE, CONTINUATION, PING, TEXT, Peer, accept_value, close, frame

def held():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

listener = socket.create_server(("127.0.0.1", 0))
uri = "ws://127.0.0.1:%d/" % listener.getsockname()[1]
is_over = threading.Event()

def serve(attack, *lines):
    def served():
        sock, _ = listener.accept()
        sock.settimeout(30)
        head = b""
        while not head.endswith(b"\\r\\n\\r\\n"):
            head += sock.recv(4096)
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Accept: " + accept_value(head.decode()), *lines, "", ""]
        try:
            sock.sendall("\\r\\n".join(answer).encode())
            attack(sock)
        except OSError:
            pass
        is_over.wait(30)
        sock.close()
    threading.Thread(target=served, daemon=True).start()

def flood(sock, data):
    while not is_over.is_set():
        sock.sendall(data)

def drain(sock):
    while sock.recv(65536):
        pass

def attacked(main):
    before = held()
    asyncio.run(asyncio.wait_for(main(), 60))
    is_over.set()
    print(held() - before)
"""

ATTACKS = {
    # 26 MB of pongs, of which none is read.
    "pings to an end that cannot answer": (
        BESIDE,
        """
        def attack(sock):
            pings = frame(PING, bytes(125)) * 1000
            for _ in range(200):
                sock.sendall(pings)
            sock.sendall(frame(TEXT, "that was all"))

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3)
            assert await ws.recv() == "that was all"
            await ws.close()

        serve(attack)
        """,
    ),
    "fragments of one byte without end": (
        BESIDE,
        """
        def attack(sock):
            sock.sendall(frame(TEXT, "a", fin=False))
            flood(sock, frame(CONTINUATION, "b", fin=False) * 1000)

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3)
            try:
                await ws.recv()
            except aiowebsocket.ProtocolError as error:
                assert ws.close_code == 1009, error
            else:
                raise AssertionError

        serve(attack)
        """,
    ),
    # As soon as a few bytes are there a destination has 4 MiB, never what was announced.
    "a length of 2^63 - 1": (
        BESIDE + 4 * MIB,
        """
        def attack(sock):
            sock.sendall(b"\\x82\\x7f\\x7f\\xff\\xff\\xff\\xff\\xff\\xff\\xff" + bytes(1 << 20))

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3, max_size=None)
            try:
                await ws.recv(timeout=0.5)
            except aiowebsocket.ReceiveTimeout:
                pass
            else:
                raise AssertionError
            await ws.close()

        serve(attack)
        """,
    ),
    # What nobody takes is kept up to the window of 1 MiB, then reading stops.
    "messages that nobody takes": (
        BESIDE,
        """
        def attack(sock):
            flood(sock, frame(BINARY, bytes(10_000)) * 10)

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3)
            await asyncio.sleep(0.7)
            assert ws.pending > 90
            await ws.close()

        serve(attack)
        """,
    ),
    "a peer that stops reading while we send": (
        BESIDE,
        """
        def attack(sock):
            pass

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3, ping_interval=0.3, ping_timeout=0.3, compression=None)
            try:
                while True:
                    await ws.send(bytes(65536))
            except aiowebsocket.ConnectionClosed:
                assert ws.close_code == 1006

        serve(attack)
        """,
    ),
    "a program that does not wait for a peer that stops reading": (
        BESIDE,
        """
        def attack(sock):
            pass

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3, compression=None)
            try:
                for _ in range(2000):
                    ws.send_nowait(bytes(65536))
            except aiowebsocket.SendQueueFull:
                await ws.close()
            else:
                raise AssertionError

        serve(attack)
        """,
    ),
    "data for ever after close": (
        BESIDE,
        """
        def attack(sock):
            sock.sendall(frame(TEXT, "first"))
            flood(sock, frame(BINARY, bytes(60_000)))

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3)
            assert await ws.recv() == "first"
            start = time.monotonic()
            await ws.close()
            assert time.monotonic() - start < 10

        serve(attack)
        """,
    ),
    "a bomb of 64 MiB with a limit of 1 MiB": (
        BESIDE,
        """
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(64)) + deflate.flush(zlib.Z_SYNC_FLUSH)

        def attack(sock):
            sock.sendall(frame(BINARY, bomb[:-4], rsv=4))

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3, max_size=1 << 20)
            assert ws.compression is not None
            try:
                await ws.recv()
            except aiowebsocket.ProtocolError:
                assert ws.close_code == 1009
            else:
                raise AssertionError

        serve(attack, "Sec-WebSocket-Extensions: permessage-deflate")
        """,
    ),
    "messages that are kept": (
        BESIDE,
        """
        def attack(sock):
            messages = frame(TEXT, "k" * 40) * 1000
            for _ in range(200):
                sock.sendall(messages)
            sock.sendall(close(1000))

        async def main():
            ws = await aiowebsocket.connect(uri, close_timeout=0.3)
            kept = []
            count = 0
            async for message in ws:
                if count % 1000 == 0:
                    kept.append(message)
                count += 1
            assert (count, len(kept)) == (200_000, 200)

        serve(attack)
        """,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_a_peer_can_make_us_hold(name, is_asyncio):
    if not is_asyncio:
        pytest.skip("the extension's memory does not depend on the event loop")
    bound, attack = ATTACKS[name]
    status, said, complaints = run_python(COMMON + dedent(attack) + "\nattacked(main)\n")
    assert status == 0, complaints
    print(f"{name}: {int(said) / MIB:.1f} MiB")
    assert int(said) < bound
