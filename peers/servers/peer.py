"""What the Python servers share: commands in the path, and lines on stdout for whoever started the server.

The first line is the port. After it comes one line for every connection that is over: `closed PATH CODE REASON`.
"""

import os
import ssl
import sys
import threading
from urllib.parse import parse_qsl, urlsplit

PING = b"are you there?"

# Parts of a message that is sent in fragments: a character is cut in two, and one part is empty.
TEXT_PARTS = [b"one, ", b"", b"zw\xc3", b"\xb6lf, ", "\N{CRAB}".encode()[:2], "\N{CRAB}".encode()[2:]]
BINARY_PARTS = [bytes([n]) * 300 for n in range(5)]


class Command:
    """The path of a request, read: `/close?code=4001&reason=bye`."""

    def __init__(self, target: str):
        self.target = target
        url = urlsplit(target)
        self.name = url.path.strip("/")
        query = dict(parse_qsl(url.query))
        self.code = int(query.get("code", 1000))
        self.reason = query.get("reason", "")


def tls() -> ssl.SSLContext | None:
    """TLS, where the arguments are `--tls CERTIFICATE KEY`."""
    if "--tls" not in sys.argv:
        return None
    at = sys.argv.index("--tls")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[at + 1], sys.argv[at + 2])
    return context


def ready(port: int) -> None:
    """Tells the port, and ends the program when its stdin does: with whoever started it."""
    print(port, flush=True)
    threading.Thread(target=_end_with_stdin, daemon=True).start()


def closed(command: Command, code: int | None, reason: str | None) -> None:
    print("closed", command.target, code, reason or "", flush=True)


def _end_with_stdin() -> None:
    # Not sys.stdin: a thread that holds its lock would be in the way at exit.
    while os.read(0, 4096):
        pass
    os._exit(0)
