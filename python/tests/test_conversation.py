"""A random conversation, held against what was said: in whatever ways a program receives, sends, gives up and ends it, each message
arrives once, whole and in order, and behind the last one the right end.

A failure tells its seed: `SEED=123` holds that conversation alone, `CONVERSATIONS=1000` as many more as the few that are always held.
"""

import asyncio
import os
import random
import socket
import ssl
import time
from dataclasses import dataclass

import pytest
import trustme

import aiowebsocket
from aiowebsocket import TLS, ConcurrencyError, ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, SendQueueFull
from support import BINARY, CLOSE, CONTINUATION, PATIENCE, PING, PONG, TEXT, Deflater, Inflater, Peer, agreed, close, frame, turn
from tls import server_context

#: The last three found a message that waited, overwritten by what was sent meanwhile.
SEEDS = [*range(20), 1030, 1110, 1118]
#: Each is a way in which a conversation ends: by a Close frame of the peer behind what it says, by the end of its stream without
#: one, by `close()` behind what it says, or by `close()` in the middle.
ENDINGS = ["peer", "cut", "program", "early"]
#: What the peer agrees to, the window of its compressor, and whether that forgets each message.
AGREED = [
    ("permessage-deflate", 15, False),
    ("permessage-deflate; client_no_context_takeover", 15, False),
    ("permessage-deflate; server_no_context_takeover; client_max_window_bits=9", 15, True),
    ("permessage-deflate; server_max_window_bits=9", 9, False),
]
SNIPPETS = ["a", "é", "€", "𝄞", "text ", "\x00", "ÿ", "Ā", "\uffff", "\U0010ffff", "0123456789abcdef"]
SIZES = [0, 1, 3, 7, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65, 125, 126, 130, 300, 1000, 5000]
LAST = "that is all"


def seeds():
    if "SEED" in os.environ:
        return [int(os.environ["SEED"])]
    return [*SEEDS, *(random.randrange(1 << 32) for _ in range(int(os.environ.get("CONVERSATIONS", 0))))]


@pytest.fixture(scope="module")
def context():
    return server_context(trustme.CA())


@pytest.mark.parametrize("seed", seeds())
async def test_what_is_said_is_received(seed, context):
    plan = Plan.of(seed)
    conversation = await Conversation.open(plan, context)
    try:
        await asyncio.wait_for(conversation.hold(), PATIENCE)
        conversation.judge()
    except Exception as error:
        raise AssertionError(f"SEED={seed}: {plan}: {conversation.state()}") from error
    finally:
        await conversation.leave()


@dataclass
class Plan:
    """What is settled before anything is said."""

    seed: int
    ending: str
    code: "int | None"
    secure: str
    agreed: "tuple[str, int, bool] | None"
    count: int
    calls_back: bool
    senders: int
    socket_buffer: int
    options: dict

    @classmethod
    def of(cls, seed):
        rng = random.Random(seed)
        ending = rng.choice(ENDINGS)
        return cls(
            seed=seed,
            ending=ending,
            code=rng.choice([1000, 1001, 1011, 4000] + [None] * (ending == "peer")) if ending != "cut" else 1006,
            secure=rng.choice(["no", "no", "no", "package", "SSLContext"]),
            agreed=rng.choice([None, rng.choice(AGREED)]),
            count=rng.choice([5, 50, 200]),
            calls_back=rng.random() < 0.2,
            senders=rng.choice([0, 1, 3]),
            socket_buffer=rng.choice([1, 20_000, 1 << 20]),
            options={
                "receive_window": rng.choice([1, 500, 5000, 1 << 20]),
                "send_window": rng.choice([1, 500, 1 << 20]),
            },
        )

    def rng(self, whose):
        """One for each who acts: who goes first changes nobody's choices."""
        return random.Random(f"{self.seed} {whose}")


def made(rng, label):
    """A message that no other one is like."""
    size = 70_000 if rng.random() < 0.01 else rng.choice(SIZES)
    if rng.random() < 0.5:
        return f"{label} ".encode() + rng.randbytes(size)
    text = f"{label} "
    while len(text) < size:
        text += rng.choice(SNIPPETS) * rng.choice([1, 1, 1, 9])
    return text


async def turns(rng, *counts):
    for _ in range(rng.choice(counts)):
        await turn()


class SecurePeer(Peer):
    """A peer behind TLS: whatever it says is sealed, whatever it hears was."""

    def __init__(self, sock, context):
        super().__init__(sock)
        self._coming, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, self._leaving, server_side=True)

    async def shake_hands(self):
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                await super().tell(self._leaving.read())
                self._coming.write(await asyncio.get_running_loop().sock_recv(self.sock, 1 << 18))
            finally:
                await super().tell(self._leaving.read())

    def say(self, *pieces):
        self._tls.write(b"".join(pieces))
        super().say(self._leaving.read())

    async def tell(self, data):
        if data:
            self._tls.write(data)
        await super().tell(self._leaving.read())

    async def more(self):
        while True:
            try:
                data = self._tls.read(1 << 18)
            except ssl.SSLWantReadError:
                sealed = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 1 << 18), PATIENCE)
                if not sealed:
                    return False
                self._coming.write(sealed)
            except ssl.SSLZeroReturnError:
                return False
            else:
                self._heard += data
                return bool(data)


class Voice:
    """What the peer says, and hears."""

    def __init__(self, plan, peer):
        self.plan = plan
        self.peer = peer
        self.rng = plan.rng("peer")
        self.said, self.heard, self.pings, self.pongs = [], [], [], []
        self.is_over = False
        self._deflate = self._inflate = None
        if plan.agreed is not None:
            _, bits, self._forgets = plan.agreed
            self._deflate, self._inflate = Deflater(bits), Inflater()
        # One says something at a time.
        self._turn = asyncio.Lock()

    # ---- saying

    async def speak(self):
        while len(self.said) < self.plan.count and not self.is_over:
            said = [made(self.rng, len(self.said) + number) for number in range(self.rng.choice([1, 1, 3, 20]))]
            await self._tell(said)
            await turns(self.rng, 0, 1, 2, 5)
        await self._tell([self.rng.choice(["", b""]), LAST])
        if self.plan.ending == "peer":
            await self._end(close(self.plan.code, "so it is" if self.plan.code else ""))
        elif self.plan.ending == "cut":
            await self._end(frame(BINARY, b"half of it")[:5])
            self.peer.sock.shutdown(socket.SHUT_WR)

    async def _tell(self, messages):
        async with self._turn:
            if self.is_over:
                return
            data = b"".join(self._said(message) for message in messages)
            at = self.rng.randrange(len(data) + 1) if self.rng.random() < 0.3 else 0
            await self.peer.tell(data[:at])
            await turns(self.rng, 0, 1, 2, 5)
            await self.peer.tell(data[at:])

    async def _end(self, data):
        async with self._turn:
            if not self.is_over:
                self.is_over = True
                await self.peer.tell(data)

    def _said(self, message):
        """Its frames, and pings between them and behind."""
        self.said.append(message)
        opcode = TEXT if isinstance(message, str) else BINARY
        payload, rsv = message.encode() if opcode == TEXT else message, 0
        if self._deflate is not None and self.rng.random() < 0.7:
            if self._forgets:
                self._deflate = Deflater(self.plan.agreed[1])
            payload, rsv = self._deflate(payload), 4
        data = b""
        while self.rng.random() < 0.2:
            at = self.rng.randrange(len(payload) + 1)
            data += frame(opcode, payload[:at], fin=False, rsv=rsv) + self._ping(0.5)
            opcode, payload, rsv = CONTINUATION, payload[at:], 0
        return data + frame(opcode, payload, rsv=rsv) + self._ping(0.1)

    def _ping(self, chance):
        if self.rng.random() >= chance:
            return b""
        self.pings.append(str(len(self.pings)).encode())
        return frame(PING, self.pings[-1])

    # ---- hearing

    async def hear(self):
        """Until the Close frame of the program, which is answered, or the end of its stream, where that is due."""
        parts = []
        while True:
            try:
                came = await self.peer.frame()
            except (AssertionError, ConnectionResetError):
                if self.plan.ending == "cut":
                    return
                raise
            if came.opcode == PING:
                async with self._turn:
                    if not self.is_over:
                        await self.peer.tell(frame(PONG, came.payload))
            elif came.opcode == PONG:
                self.pongs.append(came.payload)
            elif came.opcode == CLOSE:
                assert not came.payload or came.code == self.plan.code, came
                await self._end(frame(CLOSE, came.payload))
                # Pongs may come behind it: who leaves without reading them resets the connection.
                self.peer.shut()
                return
            else:
                if came.opcode != CONTINUATION:
                    kind, is_deflated = came.opcode, came.rsv == 4
                parts.append(came.payload)
                if came.fin:
                    whole = b"".join(parts)
                    parts.clear()
                    whole = self._inflate(whole) if is_deflated else whole
                    self.heard.append(whole.decode() if kind == TEXT else whole)


@dataclass
class Sent:
    """A message that the program sent."""

    message: "str | bytes"
    #: It surely arrives: it has left; or it waits before our Close frame.
    has_left: bool = False
    waits: bool = False


class Sender:
    """A task that sends: in every way, one after the other."""

    def __init__(self, ws, name, rng):
        self.ws, self.name, self.rng = ws, name, rng
        self.sent = []
        self.ways = [self.whole, self.plain, self.many, self.corked, self.parts, self.parts_later, self.nowait, self.cancelled, self.ping]

    def next(self, kind=object):
        while not isinstance(message := made(self.rng, f"{self.name}.{len(self.sent)}"), kind):
            pass
        self.sent.append(Sent(message))
        return self.sent[-1]

    async def send(self):
        try:
            for _ in range(self.rng.choice([3, 30, 100])):
                await turns(self.rng, 0, 0, 1, 5)
                await self.rng.choice(self.ways)()
        except ConnectionClosed:
            pass

    async def whole(self):
        sent = self.next()
        await self.ws.send(sent.message)
        sent.has_left = True

    async def plain(self):
        sent = self.next()
        await self.ws.send(sent.message, plain=True)
        sent.has_left = True

    async def many(self):
        many = [self.next() for _ in range(3)]
        await self.ws.send_many([sent.message for sent in many])
        for sent in many:
            sent.has_left = True

    async def corked(self):
        with self.ws.cork():
            for _ in range(2):
                sent = self.next()
                await self.ws.send(sent.message)
                sent.waits = True
                await turns(self.rng, 0, 1)

    def cut(self, message):
        at = self.rng.randrange(len(message))
        return [message[:at], message[at:]]

    async def parts(self):
        sent = self.next()
        await self.ws.send(self.cut(sent.message))
        sent.has_left = True

    async def parts_later(self):
        sent = self.next()

        async def later():
            for part in self.cut(sent.message):
                yield part
                await turns(self.rng, 0, 1)

        await self.ws.send(later())
        sent.has_left = True

    async def nowait(self):
        self.say_now()

    def say_now(self):
        sent = self.next()
        try:
            self.ws.send_nowait(sent.message)
            sent.waits = True
        except (SendQueueFull, RuntimeError) as error:
            assert isinstance(error, SendQueueFull) or "unfinished" in str(error)
            # Nothing was queued.
            sent.message = None

    async def cancelled(self):
        sent = self.next()
        sending = asyncio.ensure_future(self.ws.send(sent.message))
        await turns(self.rng, 0, 1, 2)
        sending.cancel()
        try:
            await sending
            sent.has_left = True
        except asyncio.CancelledError:
            pass

    async def ping(self):
        assert await self.ws.ping() >= 0


class Receiver:
    """The task that receives: in every way, one after the other."""

    def __init__(self, ws, rng):
        self.ws, self.rng = ws, rng
        self.got = []
        #: Which of them were asked for as bytes.
        self.raw = set()
        #: Parts of a message that the end came behind, or into.
        self.begun = None
        self.error = None
        self.has_all = asyncio.Event()
        self.ways = [self.one, self.one, self.as_bytes, self.in_time, self.cancelled, self.now, self.many, self.some, self.batches]
        self.ways += [self.iterated, self.parts, self.parts_as_bytes, self.parts_given_up]

    def take(self, *messages):
        self.got += messages
        if self.got[-1] in (LAST, LAST.encode()):
            self.has_all.set()

    async def receive(self):
        try:
            while True:
                await turns(self.rng, 0, 0, 0, 1, 5, 30)
                if self.rng.random() < 0.02:
                    time.sleep(0.0015)  # Longer than a turn.
                await self.rng.choice(self.ways)()
        except ConnectionClosed as error:
            self.error = error

    async def one(self):
        self.take(await self.ws.recv())

    async def as_bytes(self):
        message = await self.ws.recv(decode=False)
        assert isinstance(message, bytes)
        self.raw.add(len(self.got))
        self.take(message)

    async def in_time(self):
        try:
            self.take(await self.ws.recv(timeout=self.rng.choice([0, 0.001])))
        except asyncio.TimeoutError:
            pass

    async def cancelled(self):
        receiving = asyncio.ensure_future(self.ws.recv())
        await turns(self.rng, 0, 1, 2)
        receiving.cancel()
        try:
            self.take(await receiving)
        except asyncio.CancelledError:
            pass

    async def now(self):
        message = self.ws.recv_nowait()
        if message is None:
            await turn()
        else:
            self.take(message)

    async def many(self):
        self.take(*await self.ws.recv_many(self.rng.choice([1, 5, 100])))

    async def some(self):
        try:
            self.take(*await asyncio.wait_for(self.ws.recv_many(7), 0.001))
        except asyncio.TimeoutError:
            pass

    async def batches(self):
        async for batch in self.ws.batches(self.rng.choice([1, 5, None])):
            self.take(*batch)
            if self.rng.random() < 0.5:
                break

    async def iterated(self):
        async for message in self.ws:
            self.take(message)
            if self.rng.random() < 0.5:
                break

    async def parts(self):
        parts = [part async for part in self.ws.recv_streaming()]
        self.take(parts[0][:0].join(parts))

    async def parts_as_bytes(self):
        message = b"".join([part async for part in self.ws.recv_streaming(decode=False)])
        self.raw.add(len(self.got))
        self.take(message)

    async def parts_given_up(self):
        """Its rest is taken by other calls."""
        parts = []
        behind = None
        while behind is None:
            streaming = self.ws.recv_streaming()
            async for part in streaming:
                parts.append(part)
                if self.rng.random() < 0.7:
                    break
            else:
                break
            await streaming.aclose()
            await turns(self.rng, 0, 0, 1, 5)
            try:
                behind = [message for message in [self.ws.recv_nowait()] if message is not None]
            except ConcurrencyError:
                # There is a rest.
                await turns(self.rng, 0, 0, 1, 5)
            except ConnectionClosed:
                # Whether it was whole is not said.
                self.begun = parts[0][:0].join(parts)
                raise
        self.take(parts[0][:0].join(parts), *(behind or []))


class Conversation:
    def __init__(self, plan, ws, peer):
        self.plan, self.ws, self.peer = plan, ws, peer
        self.voice = Voice(plan, peer)
        self.receiver = Receiver(ws, plan.rng("receiver"))
        self.senders = [Sender(ws, f"sender {number}", plan.rng(number)) for number in range(plan.senders)]
        self.callback = Sender(ws, "callback", plan.rng("callback"))

    @classmethod
    async def open(cls, plan, context):
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, plan.socket_buffer)
        options = {**plan.options, "sock": ours}
        if plan.agreed is None:
            options["compression"] = None
        if plan.calls_back:
            options["on_message"] = lambda _, message: conversation.on_message(message)
        if plan.secure == "package":
            options["tls"] = TLS(verify=False)
        elif plan.secure == "SSLContext":
            options["ssl"] = trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        uri = "ws://127.0.0.1/" if plan.secure == "no" else "wss://127.0.0.1/"
        opening = asyncio.ensure_future(_opened(aiowebsocket.connect(uri, **options)))
        if plan.secure == "no":
            peer = Peer(theirs)
        else:
            peer = SecurePeer(theirs, context)
            await peer.shake_hands()
        await peer.answer(*([] if plan.agreed is None else [agreed(plan.agreed[0])]))
        conversation = cls(plan, await opening, peer)
        return conversation

    def on_message(self, message):
        rng = self.callback.rng
        self.receiver.take(message)
        if rng.random() < 0.02:
            time.sleep(0.0015)  # Longer than a turn.
        if rng.random() < 0.1:
            try:
                self.callback.say_now()
            except ConnectionClosed:
                pass

    async def hold(self):
        sending = [asyncio.ensure_future(sender.send()) for sender in self.senders]
        parts = [self.voice.speak(), self.voice.hear(), self.end(sending)]
        if not self.plan.calls_back:
            parts.append(self.receiver.receive())
        self.tasks = [*sending, *map(asyncio.ensure_future, parts)]
        await asyncio.gather(*self.tasks)

    async def end(self, sending):
        if self.plan.ending == "program":
            await self.receiver.has_all.wait()
            await asyncio.gather(*sending)
            await self.ws.close(self.plan.code)
        elif self.plan.ending == "early":
            await turns(self.plan.rng("end"), *range(0, 300, 10))
            await self.ws.close(self.plan.code)
        await self.ws.wait_closed()

    def judge(self):
        self.judge_received()
        for sender in [*self.senders, self.callback]:
            self.judge_sent(sender)
        assert len(self.voice.heard) == len(set(self.voice.heard)), "something was sent twice"
        pongs = iter(self.voice.pings)
        assert all(pong in pongs for pong in self.voice.pongs), "the pongs are in order, some may be left out"
        if self.plan.ending == "program" and self.voice.pings:
            assert self.voice.pongs[-1] == self.voice.pings[-1]

    def judge_received(self):
        said, got, raw = self.voice.said, self.receiver.got, self.receiver.raw
        if len(got) < len(said) and self.receiver.begun == said[len(got)]:
            got.append(self.receiver.begun)
        said = [message.encode() if number in raw and isinstance(message, str) else message for number, message in enumerate(said)]
        wrong = [number for number, (there, here) in enumerate(zip(said, got)) if there != here]
        assert not wrong, f"not what was said: {wrong[:5]}: {[(said[number][:50], got[number][:50]) for number in wrong[:5]]}"
        assert len(got) == len(said) or (self.plan.ending == "early" and len(got) < len(said)), "something was lost"
        self.judge_end()

    def judge_end(self):
        kind = ConnectionClosedOK if self.plan.code in (1000, 1001, None) else ConnectionClosedError
        code = self.plan.code or 1005
        assert self.ws.close_code == code
        if not self.plan.calls_back:
            assert isinstance(self.receiver.error, kind) and self.receiver.error.code == code
        with pytest.raises(kind):
            self.ws.send_nowait("behind the end")

    def judge_sent(self, sender):
        heard = [message for message in self.voice.heard if label(message) == sender.name]
        rest = iter([*heard, None])
        next_heard = next(rest)
        for sent in sender.sent:
            if sent.message is not None and sent.message == next_heard:
                next_heard = next(rest)
            else:
                assert not sent.has_left, f"it has left and never arrived: {sent.message[:50]}"
                assert not sent.waits or self.plan.ending == "cut", f"it never left: {sent.message[:50]}"
        assert next_heard is None, f"nobody sent it, or not then: {next_heard[:50]}"

    def state(self):
        return f"{len(self.receiver.got)} of {len(self.voice.said)} received, {len(self.voice.heard)} heard, {self.ws!r}"

    async def leave(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        self.peer.shut()
        await asyncio.wait_for(self.ws.close(), PATIENCE)


def label(message):
    """Who sent it."""
    head = message[:20].decode(errors="replace") if isinstance(message, bytes) else message[:20]
    return head.split(".")[0]


async def _opened(connecting):
    return await connecting
