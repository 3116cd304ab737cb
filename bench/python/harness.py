"""The whole `main` of a contender, and what contenders share.

    python harness.py CLIENT LOOP WORKLOAD SIZE COUNT ADDR

CLIENT is a file of clients/, LOOP is `asyncio`, `uvloop` or `sync`. Workloads: `echo` (send one message, wait for it, COUNT
times), `burst-binary`, `burst-text`, `burst-deflate` (receive COUNT messages that the server pushes), `send` (send COUNT messages,
then ask the server what it counted), `many` (receive COUNT messages on each of a thousand connections at once), `memory` (open COUNT
connections, use each once). Over TLS with `tls-` before the name. With `check-` before that every byte is compared. Prints one
line of JSON.
"""

import asyncio
import functools
import gc
import importlib.util
import inspect
import itertools
import json
import os
import pathlib
import resource
import socket
import ssl
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Where `run` builds native.c, for each CPython that is used.
sys.path.append(str(HERE.parent.parent / ".local" / "bench-python"))
import native

# As the server has them, see payload.rs: the bytes that are compared say whether these are the same.
PATTERNS = {
    "binary": b"\x00\x01\x02\x03\xfc\xfd\xfe\xff",
    "text": "Grüße, 世界! Привет, κόσμε 🌍 and plain words between. ".encode(),
}
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "ADAUSDT", "DOTUSDT", "LTCUSDT"]

# Connections of `many`.
MANY = 1_000


@functools.cache
def payloads(kind, size):
    return [payload(kind, size, index) for index in range(min(max((256 << 10) // size, 1), 64))]


def payload(kind, size, index):
    if kind == "deflate":
        return (b"%08x" % index + records(index, size))[:size]
    pattern = PATTERNS[kind]
    whole = b"%08x" % index + (pattern * (size // len(pattern) + 1))[: size - 8]
    if kind == "text":
        # Padded where a character would be cut.
        whole = whole.decode(errors="ignore").encode().ljust(size, b".")
    return whole


def records(state, size):
    """What is compressed: at least `size` bytes of records with numbers of a generator."""

    def number(below):
        nonlocal state
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFF_FFFF
        return state * below >> 32

    whole = ""
    while len(whole) < size:
        symbol, price, cents = SYMBOLS[number(8)], number(100_000), number(100)
        quantity, trade, buy = number(1_000_000), number(1_000_000_000), number(2) == 1
        whole += f'{{"e":"trade","s":"{symbol}","p":"{price}.{cents:02}","q":"0.{quantity:06}",'
        whole += f'"t":{trade},"m":{"true" if buy else "false"}}},'
    return whole.encode()


class Run:
    """What is to be done, and the check of what came."""

    def __init__(self, workload, size, count, addr):
        self.check = workload.startswith("check-")
        self.workload = workload.removeprefix("check-")
        self.tls = self.workload.startswith("tls-")
        self.workload = self.workload.removeprefix("tls-")
        self.size, self.count, self.addr = size, count, addr
        self.kind = self.workload.removeprefix("burst-") if self.workload.startswith("burst-") else "binary"
        self.text = self.kind != "binary"
        # What the floors read into: many connections have little each.
        self.room = 4 << 10 if self.workload == "memory" else 256 << 10
        self.payloads = payloads(self.kind, size)
        self.start()

    def start(self):
        """From the first message again."""
        self.checker = native.Checker(self.payloads, self.count, self.text, self.check)
        # Takes a message; whether it was the last. And the same for a list of them.
        self.see, self.see_all = self.checker.see, self.checker.see_all

    def outgoing(self):
        """The messages to send."""
        return itertools.islice(itertools.cycle(self.payloads), self.count)

    def batches(self):
        """The same in lists of 64, and of fewer where they would be more than a MiB: one flush each."""
        outgoing, length = self.outgoing(), min(max((1 << 20) // self.size, 1), 64)
        return iter(lambda: list(itertools.islice(outgoing, length)), [])

    @property
    def path(self):
        if self.workload == "send":
            return f"/sink/{self.count}"
        return f"/burst/{self.kind}/{self.size}/{self.count}" if self.workload.startswith("burst-") else "/echo"

    @property
    def uri(self):
        return f"{'wss' if self.tls else 'ws'}://{self.addr}{self.path}"

    @property
    def context(self):
        """For clients that take an SSLContext, and `None` without TLS."""
        return context(certificate()) if self.tls else None

    def apart(self):
        """One connection's part of `many`."""
        before = ("check-" if self.check else "") + ("tls-" if self.tls else "")
        one = Run(f"{before}burst-binary", self.size, self.count, self.addr)
        one.room = 16 << 10
        return one


def certificate():
    """The file with the server's certificate, which is its own issuer."""
    return os.environ["BENCH_CERTIFICATE"]


@functools.cache
def context(trusted):
    """All defaults, and this certificate is trusted and no other."""
    return ssl.create_default_context(cafile=trusted)


class Awaited:
    """The loops of a client whose `self.send` and `self.recv` are awaited, take and give str and bytes."""

    async def echo(self, run):
        send, recv, see = self.send, self.recv, run.see
        for message in run.outgoing():
            await send(message)
            see(await recv())

    async def burst(self, run):
        recv, see = self.recv, run.see
        await self.send("go")
        for _ in range(run.count):
            see(await recv())

    async def flood(self, run):
        """Sends everything; what the server counted."""
        send = self.send
        for message in run.outgoing():
            await send(message)
        return await self.recv()


def connected(run):
    """A connected socket, for the floors."""
    host, port = run.addr.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def request(run):
    extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if run.kind == "deflate" else ""
    return (
        f"GET {run.path} HTTP/1.1\r\nHost: {run.addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n".encode()
    )


def upgraded(run):
    """The same with its opening handshake done, and that of TLS where that is asked for."""
    stream = connected(run)
    if run.tls:
        stream = run.context.wrap_socket(stream, server_hostname="127.0.0.1")
    stream.sendall(request(run))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # The server says nothing behind its response before it was spoken to.
        part = stream.recv(4096)
        if not part:
            raise ConnectionError("the server closed the connection")
        head += part
    judge(head)
    return stream


def judge(head):
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(head.decode())


def cutter(run):
    """A read buffer for the floors. It holds a whole message, so that each can be looked at where it lies."""
    return native.Cutter(run.checker, max(run.room, run.size + 16))


async def timed(client, run):
    await settle(client.open(run))
    work = getattr(client, {"echo": "echo", "send": "flood"}.get(run.workload, "burst"))
    cpu, wall = cpu_seconds(), time.perf_counter()
    counted = await settle(work(run))
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    line = counted if run.workload == "send" else run.checker.line()
    return report(line) | {"wall_s": round(wall, 6), "cpu_s": round(cpu, 6)}


async def many(new_client, run):
    """Each connection asks for its messages, then all of them are received at once."""
    parts = [run.apart() for _ in range(MANY)]
    clients = [new_client() for _ in parts]
    for client, part in zip(clients, parts):
        await client.open(part)
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(client.burst(part) for client, part in zip(clients, parts)))
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    line, *others = {part.checker.line() for part in parts}
    if others:
        raise ValueError(f"one connection received {line}, another {others[0]}")
    return report(line) | {"connections": MANY, "wall_s": round(wall, 6), "cpu_s": round(cpu, 6)}


async def memory(new_client, run):
    connections, run.count = run.count, 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    async def use(client):
        run.start()
        await settle(client.echo(run))

    # What only the first connection allocates belongs to no connection.
    first = new_client()
    await settle(first.open(run))
    await use(first)
    clients = [new_client() for _ in range(connections)]
    before = resident_kib()
    for client in clients:
        await settle(client.open(run))
    idle = resident_kib()
    for client in clients:
        await use(client)
    used = resident_kib()
    each = lambda kib: round(max(kib - before, 0) / connections, 3)
    return report(run.checker.line()) | {"start_kib": before, "idle_kib": each(idle), "used_kib": each(used)}


async def settle(value):
    """Contenders without an event loop have plain functions."""
    return await value if inspect.isawaitable(value) else value


def report(line):
    messages, size, checksum = line.split(" ")
    return {"messages": int(messages), "bytes": int(size), "checksum": checksum}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_kib():
    gc.collect()
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def module_of(name):
    """A file of clients/, by its path: it is called as the library that it imports."""
    path = HERE / "clients" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"client of {name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drive(loop, main):
    if loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    if loop == "asyncio":
        return asyncio.run(main)
    # Nothing in it ever waits.
    try:
        main.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a contender without a loop waited for one")


def main():
    name, loop, workload, size, count, addr = sys.argv[1:]
    Client = module_of(name).Client
    run = Run(workload, int(size), int(count), addr)
    work = {"memory": memory, "many": many}.get(run.workload, lambda new, run: timed(new(), run))(Client, run)
    said = drive(loop, work)
    print(json.dumps({"client": f"{name}/{loop}", "workload": workload, "size": int(size)} | said), flush=True)
    # Connections are cut, not closed: closing is not what is measured.
    os._exit(0)


if __name__ == "__main__":
    sys.modules["harness"] = sys.modules["__main__"]
    main()
