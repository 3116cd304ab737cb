"""Whether the Python package keeps what it should let go: `run soak` runs this for each event loop.

    python soak.py LOOP ADDR

A million messages through every way of sending and receiving, then 5,000 connections that end in every way. In between it
counts memory blocks, objects of the collector, references of the objects that went through, open files and resident memory,
and ends with an error where one of them grows.
"""

import asyncio
import gc
import itertools
import os
import statistics
import sys
from array import array

import aiowebsocket

from harness import drive, resident_kib

MESSAGES, CONNECTIONS = 1_000_000, 5_000
# What is counted after each of so many parts; a leak of a part in so many messages shows.
PARTS = 20
# The first parts fill caches, free lists and the allocator's arenas.
WARM = PARTS // 2


class Grown(Exception):
    """Something is kept."""


class Counts:
    """What must be flat, part by part."""

    def __init__(self, what, per_part, watched, **limits):
        self.what, self.per_part, self.watched = what, per_part, watched
        names = ["blocks", "objects", "files", "KiB resident", *(f"references of {name}" for name in watched)]
        # Plain numbers, made at once: keeping counts must not be what grows.
        self.counts = {name: array("q", [0] * PARTS) for name in names}
        self.parts = 0
        # Growth a message or connection that is still called flat; others than these a hundredth.
        self.limits = {name.replace("_", " "): limit for name, limit in limits.items()}

    def take(self):
        resident = resident_kib()
        now = [sys.getallocatedblocks(), len(gc.get_objects()), len(os.listdir("/proc/self/fd")), resident]
        now += map(sys.getrefcount, self.watched.values())
        for counts, count in zip(self.counts.values(), now):
            counts[self.parts] = count
        self.parts += 1

    def judge(self):
        """What is kept grows with every part; what only sways does not."""
        failed = []
        for name, values in self.counts.items():
            values = list(values[WARM:])
            slope = slope_of(values) / self.per_part
            print(f"  {name}: {values[0]:,} to {values[-1]:,}, {slope:+.5f} a {self.what}")
            if slope > self.limits.get(name, 0.01):
                failed.append(f"{name} grow by {slope:.4f} a {self.what}: {values}")
        if failed:
            raise Grown("\n".join(failed))


def slope_of(values):
    """The median of the slopes of all pairs: single jumps of the allocator do not count."""
    pairs = itertools.combinations(enumerate(values), 2)
    return statistics.median((b - a) / (j - i) for (i, a), (j, b) in pairs)


async def send_each(ws, messages):
    for message in messages:
        await ws.send(message)


async def send_nowait(ws, messages):
    for message in messages:
        try:
            ws.send_nowait(message)
        except aiowebsocket.SendQueueFull:
            await ws.send(message)


async def send_many(ws, messages):
    await ws.send_many(messages)


async def send_corked(ws, messages):
    with ws.cork():
        for message in messages:
            await ws.send(message)


async def recv_each(ws, count):
    for _ in range(count):
        await ws.recv()


async def recv_limited(ws, count):
    for _ in range(count):
        await ws.recv(timeout=60)


async def recv_nowait(ws, count):
    while count:
        message = ws.recv_nowait()
        if message is None:
            await ws.recv()
        count -= 1


async def recv_many(ws, count):
    while count:
        count -= len(await ws.recv_many(min(count, 50)))


async def recv_batches(ws, count):
    async for batch in ws.batches(10):
        count -= len(batch)
        if count <= 0:
            return


async def recv_iterated(ws, count):
    async for _ in ws:
        count -= 1
        if not count:
            return


async def recv_cancelled(ws, count):
    """The first wait for each is given up, which must lose no message."""
    for _ in range(count):
        waiting = asyncio.ensure_future(ws.recv())
        await asyncio.sleep(0)
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            await ws.recv()


SENDS = [send_each, send_nowait, send_many, send_corked]
RECEIVES = [recv_each, recv_limited, recv_nowait, recv_many, recv_iterated]


async def soak_messages(addr):
    """Echoes in lots of 100, every way of sending with every way of receiving, then bursts."""
    binary, text = b"\x00\xff" * 64, "Grüße, 世界! Привет 🌍 and plain words." * 3
    large = bytes(100_000)
    ws = await aiowebsocket.connect(f"ws://{addr}/echo", max_size=None)
    lots = [[binary] * 100, [text] * 100, [bytearray(binary)] * 50 + [memoryview(binary)] * 50]
    # What it sends and what it runs on: a count that is off by one a message is off by a million here.
    watched = {
        "bytes sent": binary, "str sent": text, "None": None, "True": True, "the event loop": asyncio.get_running_loop(),
        "the connection": ws, "the connection's type": type(ws), "the current task": asyncio.current_task(),
    }
    counts = Counts("message", MESSAGES // PARTS, watched, KiB_resident=0.0005)
    ways = list(itertools.product(SENDS, RECEIVES, lots))
    # Half of the messages are echoes, half come in a burst.
    lots_a_part = MESSAGES // PARTS // 2 // 100
    for part in range(PARTS):
        for i in range(lots_a_part):
            send, receive, lot = ways[(part * lots_a_part + i) % len(ways)]
            sending = asyncio.ensure_future(send(ws, lot))
            await receive(ws, len(lot))
            await sending
        await send_each(ws, [large] * 4)
        await recv_each(ws, 4)
        await send_each(ws, [binary] * 20)
        await recv_cancelled(ws, 20)
        await ws.ping()
        for kind, receive in (("binary", RECEIVES[part % 5]), ("text", recv_batches)):
            count = MESSAGES // PARTS // 4
            burst = await aiowebsocket.connect(f"ws://{addr}/burst/{kind}/128/{count}")
            await burst.send("go")
            await receive(burst, count)
            await burst.close()
        del burst, sending, send, receive, lot
        counts.take()
    await ws.close()
    counts.judge()


async def soak_connections(addr):
    uri = f"ws://{addr}/echo"
    watched = {"None": None, "the event loop": asyncio.get_running_loop()}
    # One block that each connection of one end keeps is 0.2. The same number of plain asyncio streams adds some hundredths,
    # fewer and fewer: caches that fill.
    counts = Counts("connection", CONNECTIONS // PARTS, watched, KiB_resident=0.05, blocks=0.15)

    async def closed(ws):
        await ws.close()

    async def with_block(ws):
        async with ws:
            pass

    async def closed_by_server(ws):
        await ws.close()
        # This path closes at the second message.
        async with aiowebsocket.connect(f"ws://{addr}/burst/binary/128/10") as ws:
            await ws.send("go")
            await ws.recv()
            await ws.send("enough")
            async for _ in ws:
                pass

    async def cancelled_while_waiting(ws):
        waiting = asyncio.ensure_future(ws.recv())
        await asyncio.sleep(0)
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            pass
        await ws.close()

    async def closed_while_waiting(ws):
        waiting = asyncio.ensure_future(ws.recv())
        await asyncio.sleep(0)
        await ws.close(4000, "enough")
        try:
            await waiting
        except aiowebsocket.ConnectionClosed:
            pass

    ends = [closed, with_block, closed_by_server, cancelled_while_waiting, closed_while_waiting]

    async def one(i):
        ws = await aiowebsocket.connect(uri)
        await ws.send(b"sixteen bytes or so")
        await ws.recv()
        await ends[i % len(ends)](ws)

    for _ in range(PARTS):
        for begin in range(0, CONNECTIONS // PARTS, 25):
            await asyncio.gather(*(one(begin + i) for i in range(25)))
        counts.take()
    counts.judge()


async def soak(addr):
    print(f"{MESSAGES:,} messages", flush=True)
    await soak_messages(addr)
    print(f"{CONNECTIONS:,} connections", flush=True)
    await soak_connections(addr)


if __name__ == "__main__":
    loop, addr = sys.argv[1:]
    try:
        drive(loop, soak(addr))
    except Grown as grown:
        sys.exit(f"GROWN: {grown}")
