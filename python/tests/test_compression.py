"""`compression=`: what is offered, what is taken, and what it does to messages. The other end has zlib, which is another one than ours."""

import asyncio
import inspect
import random
import zlib

import pytest

import aiowebsocket
from aiowebsocket import Deflate, InvalidHandshake, ProtocolError
from support import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Deflater, Inflater, Link, agreed, frame, header

OFFER = "permessage-deflate; client_max_window_bits"

# ---- the opening handshake


@pytest.mark.parametrize(
    "options, offered",
    [
        ({}, OFFER),
        ({"compression": "deflate"}, OFFER),
        ({"compression": None}, None),
        ({"compression": Deflate()}, OFFER),
        ({"compression": Deflate(level=9, memory_level=9, threshold=0)}, OFFER),
        ({"compression": Deflate(client_max_window_bits=None)}, "permessage-deflate"),
        ({"compression": Deflate(client_max_window_bits=9)}, "permessage-deflate; client_max_window_bits=9"),
        (
            {"compression": Deflate(server_max_window_bits=8)},
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits",
        ),
        (
            {"compression": Deflate(server_no_context_takeover=True, client_no_context_takeover=True)},
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
    ],
)
async def test_what_is_offered(server, options, offered):
    link = await Link.open(server, **options)
    assert header(link.request, "Sec-WebSocket-Extensions") == offered
    # Declined: nothing is compressed, whatever was wanted.
    assert link.ws.compression is None


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=15",
    ],
)
async def test_what_was_agreed(server, answer):
    assert (await Link.open(server, agreed(answer))).ws.compression == answer
    # Blanks are optional, values may be quoted, and the order is the server's.
    turned = "; ".join(reversed(answer.split("; ")[1:]))
    other = "permessage-deflate" + (f";{turned}".replace("=15", '="15"') if turned else " ")
    assert (await Link.open(server, agreed(other))).ws.compression == answer


@pytest.mark.parametrize(
    "options, answer",
    [
        ({}, "permessage-deflate; unknown"),
        ({}, "permessage-deflate; server_max_window_bits"),
        ({}, "permessage-deflate; server_max_window_bits=7"),
        ({}, "permessage-deflate; server_max_window_bits=16"),
        ({}, "permessage-deflate; client_max_window_bits"),
        ({}, "permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
        ({}, "permessage-deflate, permessage-deflate"),
        ({}, "x-webkit-deflate-frame"),
        ({"compression": None}, "permessage-deflate"),
        ({"compression": Deflate(client_max_window_bits=None)}, "permessage-deflate; client_max_window_bits=15"),
        ({"compression": Deflate(client_max_window_bits=10)}, "permessage-deflate; client_max_window_bits=11"),
        ({"compression": Deflate(server_max_window_bits=10)}, "permessage-deflate"),
        ({"compression": Deflate(server_max_window_bits=10)}, "permessage-deflate; server_max_window_bits=11"),
        ({"compression": Deflate(server_no_context_takeover=True)}, "permessage-deflate"),
    ],
)
async def test_answers_that_fail_the_handshake(server, options, answer):
    connecting = asyncio.ensure_future(_connect(server.uri, **options))
    peer = await server.accept()
    await peer.answer(agreed(answer))
    with pytest.raises(InvalidHandshake):
        await connecting


async def _connect(uri, **options):
    return await aiowebsocket.connect(uri, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0},
        {"level": 10},
        {"memory_level": 0},
        {"memory_level": 10},
        {"server_max_window_bits": 7},
        {"server_max_window_bits": 16},
        {"client_max_window_bits": 7},
        {"client_max_window_bits": 16},
    ],
)
def test_options_outside_of_their_range(options):
    with pytest.raises(ValueError):
        aiowebsocket.connect("ws://127.0.0.1/", compression=Deflate(**options))


@pytest.mark.parametrize(("options", "error", "told"), [
    ({"level": "a"}, TypeError, "level is an int, and this is str"),
    ({"level": 300}, ValueError, "level is 1 to 9, and this is 300"),
    ({"memory_level": None}, TypeError, "memory_level is an int, and this is None"),
    ({"threshold": -1}, ValueError, "threshold is 0 to "),
    ({"client_max_window_bits": 2.5}, TypeError, "client_max_window_bits is an int or None, and this is float"),
    ({"server_no_context_takeover": "a"}, TypeError, "server_no_context_takeover is a bool, and this is str"),
])
def test_a_mistake_names_its_option(options, error, told):
    with pytest.raises(error, match=f"^{told}"):
        Deflate(**options)


def test_no_other_compression():
    with pytest.raises(ValueError, match="gzip"):
        aiowebsocket.connect("ws://127.0.0.1/", compression="gzip")


def test_the_default_is_to_offer_it():
    assert inspect.signature(aiowebsocket.connect).parameters["compression"].default == "deflate"


# ---- in


async def test_compressed_messages_arrive(server):
    link = await Link.open(server, agreed())
    deflate = Deflater()
    messages = ["Grüße, ", b"bytes " * 100, "", "x" * 100_000, random.Random(1).randbytes(5000), "Grüße, "]
    for message in messages:
        opcode = TEXT if isinstance(message, str) else BINARY
        await link.peer.tell(frame(opcode, deflate(message), rsv=4))
    # Plain ones are taken between them, and one in fragments has its mark on the first.
    payload = deflate("in three parts, in three parts")
    link.peer.say(
        frame(TEXT, "plain"),
        frame(TEXT, payload[:3], fin=False, rsv=4),
        frame(PING, b"between"),
        frame(CONTINUATION, payload[3:5], fin=False),
        frame(CONTINUATION, payload[5:]),
    )
    for message in [*messages, "plain", "in three parts, in three parts"]:
        assert await link.ws.recv() == message
    pong = await link.peer.frame()
    assert (pong.opcode, pong.payload, pong.rsv) == (PONG, b"between", 0)


async def test_a_small_window_and_no_context_are_understood(server):
    link = await Link.open(server, agreed("permessage-deflate; server_no_context_takeover; server_max_window_bits=9"))
    for number in range(4):
        message = f"{number}: " + "again and again " * 50
        await link.peer.tell(frame(TEXT, Deflater(9)(message), rsv=4))
        assert await link.ws.recv() == message


@pytest.mark.parametrize(
    "said, code",
    [
        (frame(TEXT, b"\xff\xff\xff", rsv=4), 1007),
        (frame(TEXT, Deflater()(b"\xc3\x28"), rsv=4), 1007),
        (frame(PING, b"", rsv=4), 1002),
        (frame(TEXT, Deflater()("a"), rsv=6), 1002),
        (frame(BINARY, Deflater()(bytes(2 << 20)), rsv=4), 1009),
    ],
)
async def test_what_fails_the_connection(server, said, code):
    link = await Link.open(server, agreed(), max_size=1 << 20)
    await fails(link, said, code)


async def test_what_was_not_agreed_to_is_not_taken(server):
    link = await Link.open(server)
    await fails(link, frame(TEXT, Deflater()("a"), rsv=4), 1002)


async def fails(link, said, code):
    link.peer.say(said)
    receiving = asyncio.ensure_future(_recv(link.ws))
    closing = await link.peer.frame()
    assert (closing.opcode, closing.code) == (CLOSE, code)
    link.peer.shut()
    with pytest.raises(ProtocolError):
        await receiving


async def _recv(ws):
    return await ws.recv()


# ---- out


async def test_messages_leave_compressed(server):
    link = await Link.open(server, agreed())
    inflate = Inflater()
    sizes = []
    for message in ["the same words " * 20] * 3 + [b"bytes " * 100, "水" * 50_000]:
        sending = asyncio.ensure_future(_send(link.ws, message))
        sent = await link.peer.frame()
        await sending
        assert (sent.opcode, sent.rsv, sent.fin) == (TEXT if isinstance(message, str) else BINARY, 4, True)
        assert inflate(sent.payload) == (message.encode() if isinstance(message, str) else message)
        sizes.append(len(sent.payload))
    assert sizes[1] < sizes[0] / 2, "it refers to the message before"
    # Control frames never do.
    link.peer.say(frame(PING, b"all the same " * 9))
    pong = await link.peer.frame()
    assert (pong.opcode, pong.rsv, pong.payload) == (PONG, 0, b"all the same " * 9)


async def _send(ws, message):
    await ws.send(message)


async def test_every_way_of_sending_compresses(server):
    link = await Link.open(server, agreed())
    inflate = Inflater()
    text = "the same words " * 20
    await link.ws.send(text)
    link.ws.send_nowait(text)
    await link.ws.send_many([text, text])
    with link.ws.cork():
        link.ws.send_nowait(text)
    for _ in range(5):
        sent = await link.peer.frame()
        assert (sent.rsv, inflate(sent.payload)) == (4, text.encode())


async def test_plain_messages_leave_plain(server):
    link = await Link.open(server, agreed())
    inflate = Inflater()
    text = "the same words " * 20
    for _ in range(2):
        await link.ws.send(text, plain=True)
        link.ws.send_nowait(text.encode(), plain=True)
        await link.ws.send(text)
        for opcode in (TEXT, BINARY):
            plain = await link.peer.frame()
            assert (plain.opcode, plain.rsv, plain.payload) == (opcode, 0, text.encode())
        # As if they had not been there.
        assert inflate((await link.peer.frame()).payload) == text.encode()


async def test_short_messages_and_those_that_get_no_smaller_leave_plain(server):
    link = await Link.open(server, agreed())
    for message, rsv in [("a" * 63, 0), ("a" * 64, 4), (random.Random(1).randbytes(5000), 0)]:
        await link.ws.send(message)
        assert (await link.peer.frame()).rsv == rsv, message
    everything = await Link.open(server, agreed(), compression=Deflate(threshold=1))
    await everything.ws.send("a" * 20)
    assert (await everything.peer.frame()).rsv == 4


async def test_messages_for_themselves(server):
    text = "the same words, the same words, " * 3 + random.Random(1).randbytes(30).hex()
    for answer, options in [
        ("permessage-deflate; client_no_context_takeover", {}),
        ("permessage-deflate", {"compression": Deflate(client_no_context_takeover=True)}),
    ]:
        link = await Link.open(server, agreed(answer), **options)
        sent = set()
        for _ in range(3):
            await link.ws.send(text)
            sent.add((await link.peer.frame()).payload)
        assert len(sent) == 1 and Inflater()(sent.pop()) == text.encode()


@pytest.mark.parametrize("bits", range(9, 16))
async def test_our_window_is_the_one_that_was_agreed_on(server, bits):
    link = await Link.open(server, agreed(f"permessage-deflate; client_max_window_bits={bits}"))
    # zlib refuses what refers to more than the window that it was told of.
    inflate = Inflater(bits)
    noise = random.Random(bits).randbytes(1 << bits)
    for message in (b"a" * 100 + noise + b"a" * 100, noise[:200] * 3, noise + noise[:300]):
        sending = asyncio.ensure_future(_send(link.ws, message))
        sent = await link.peer.frame()
        await sending
        if sent.rsv:
            assert inflate(sent.payload) == message


async def test_a_window_of_8_bits_sends_plain(server):
    link = await Link.open(server, agreed("permessage-deflate; client_max_window_bits=8; server_max_window_bits=8"))
    await link.ws.send("the same words " * 20)
    assert (await link.peer.frame()).rsv == 0
    link.peer.say(frame(TEXT, Deflater(9)("a"), rsv=4))
    assert await link.ws.recv() == "a"


async def test_level_and_memory_are_ours_to_choose(server):
    text = " ".join(str(number * number) for number in range(2000))
    sizes = []
    for options in (Deflate(level=1), Deflate(level=9), Deflate(level=9, memory_level=1)):
        link = await Link.open(server, agreed(), compression=options)
        sending = asyncio.ensure_future(_send(link.ws, text))
        sent = await link.peer.frame()
        await sending
        assert Inflater()(sent.payload) == text.encode()
        sizes.append(len(sent.payload))
    assert sizes[1] < sizes[0] and sizes[1] < sizes[2], sizes
