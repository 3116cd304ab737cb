"""What the Python clients share: the messages, and facts on stdout for whoever started the client.

A client is started as `CLIENT ECHO PLAIN COMMANDS REFUSED`: the addresses of an echo server, of one that declines compression, of
a server that obeys commands in the path, and one where nobody listens. It prints one fact a line, in the words that all clients use.
"""

import sys

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]
PING = b"are you there?"
LONG = "é" * 61 + "x"  # 123 bytes, the most that a Close frame holds
CLOSINGS = [(1000, ""), (1001, "bye"), (3000, "because"), (4999, LONG)]

# Parts of a message that is sent in fragments: a character is cut in two, and one part is empty. Our server sends the same.
TEXT_PARTS = [b"one, ", b"", b"zw\xc3", b"\xb6lf, ", "\N{CRAB}".encode()[:2], "\N{CRAB}".encode()[2:]]
BINARY_PARTS = [bytes([n]) * 300 for n in range(5)]
TEXT, BINARY = b"".join(TEXT_PARTS).decode(), b"".join(BINARY_PARTS)

_, ECHO, PLAIN, COMMANDS, REFUSED = sys.argv

# The two echo servers, and what facts of theirs begin with.
ECHOES = [(ECHO, ""), (PLAIN, "plain ")]


def text(size: int) -> str:
    """Text of this many bytes, with characters of one to four of them."""
    whole, rest = divmod(size, 10)
    return "aé世🦀" * whole + "x" * rest


def binary(size: int) -> bytes:
    return bytes(n * 7 % 251 for n in range(251)) * (size // 251) + bytes(n * 7 % 251 for n in range(size % 251))


def fact(*words: object) -> None:
    print(*words, flush=True)


def echoed(kind: str, size: int, sent: object, received: object) -> None:
    same = type(sent) is type(received) and sent == received
    fact(kind, size, "same" if same else f"not the same: {str(received)[:80]!r}")
