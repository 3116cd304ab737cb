"""What `connect` is given, in either face: a mistake is told by the option's name, before anything is dialled; and the request that it makes."""

from __future__ import annotations

import operator
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from ssl import SSLContext, SSLSocket
from typing import Any

from . import _aiowebsocket
from ._opening import TLS

HeadersLike = Mapping[str, "str | None"] | Iterable[tuple[str, "str | None"]]


@dataclass(frozen=True)
class Deflate:
    """Compression by permessage-deflate (RFC 7692): for ``connect(uri, compression=Deflate(...))``.

    ``level``
        How hard our compressor tries, 1 (fastest) to 9 (smallest). Default 1: short JSON leaves with 36 % of its size; 6 takes nine times as long for 30 %.
    ``memory_level``
        Memory of our compressor, 1 to 9. Default 5, 273 KiB, of which a thread has a few: 8, as zlib has it, makes short messages no smaller.
    ``threshold``
        Messages of fewer bytes leave uncompressed. Default 64: the headers of a packet weigh as much as what that could save.
    ``server_no_context_takeover``
        ``True`` demands that the server compresses each message for itself: it saves 46 KiB a connection, and costs most of the compression of
        small messages. Default ``False``.
    ``client_no_context_takeover``
        ``True`` promises that we do, which the server may use or not. Default ``False``: small messages gain most from those before.
    ``server_max_window_bits``
        Below 15, a demand: the most bits of the window of the server's compressor, 8 to 15. Default 15, 32 KiB, which compresses best.
    ``client_max_window_bits``
        The same for ours, which the server may lower; ``None`` for servers that do not know the parameter. Default 15.

    Do not compress a secret in one message with text that somebody else chose: the length of what leaves tells them about it.
    ``send(message, plain=True)`` leaves one message uncompressed.
    """

    level: int = 1
    memory_level: int = 5
    threshold: int = 64
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int | None = 15

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            may_be_none = name == "client_max_window_bits"
            if value is None and may_be_none:
                continue
            if not _has(value, "__index__"):
                raise _mistake(name, "an int or None" if may_be_none else "an int", value)
            if not least <= operator.index(value) <= most:
                raise ValueError(f"{name} is {least} to {most}, and this is {value}")
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if not isinstance(getattr(self, name), bool):
                raise _mistake(name, "a bool", getattr(self, name))


_RANGES = {
    "level": (1, 9),
    "memory_level": (1, 9),
    "threshold": (0, sys.maxsize),
    "server_max_window_bits": (8, 15),
    "client_max_window_bits": (8, 15),
}


def engine_of(
    opening: _aiowebsocket.Opening, context: SSLContext | bool | None, tls: TLS | None
) -> _aiowebsocket.Tls | SSLContext | None:
    """What does TLS."""
    if isinstance(context, SSLContext):
        if tls is not None:
            raise ValueError("ssl= and tls= are two ways to say the same: give one of them")
        if not opening.is_secure:
            raise ValueError("ssl= is for wss:// addresses, and this is ws://")
        return context
    if context is True and not opening.is_secure:
        raise ValueError("ssl=True, and the address is ws://: use wss://, or leave ssl out")
    if context is False and opening.is_secure:
        raise ValueError("ssl=False, and the address is wss://: use ws://, or leave ssl out")
    return None if tls is None else tls._tls


def _deflate(compression: str | Deflate) -> Deflate:
    if isinstance(compression, Deflate):
        return compression
    if compression != "deflate":
        raise ValueError(f"compression is 'deflate', a Deflate or None, and this is {compression!r}")
    return Deflate()


def _has(value: object, method: str) -> bool:
    return hasattr(type(value), method)


# What is of none of the types and yet taken: the extension takes a `Decimal` as a number.
_OTHERS: dict[str, Callable[[Any], bool]] = {
    "a number": lambda value: _has(value, "__float__") or _has(value, "__index__"),
    "an int": lambda value: _has(value, "__index__"),
    "a function": callable,
    "a logger": lambda value: _has(value, "isEnabledFor"),
}
#: What each option is: its types, words for them, and the most where it is a number from 0 on.
_KINDS: dict[str, tuple[tuple[type, ...], str, int | None]] = {
    **dict.fromkeys(("uri", "origin", "user_agent_header", "host", "server_hostname"), ((str,), "a str", None)),
    **dict.fromkeys(("on_message", "process_exception", "reconnect_delays"), ((), "a function", None)),
    **dict.fromkeys(
        ("open_timeout", "ping_interval", "ping_timeout", "close_timeout"), ((int, float), "a number", None)
    ),
    **dict.fromkeys(("max_size", "receive_window", "send_window"), ((int,), "an int", sys.maxsize)),
    "port": ((int,), "an int", 65535),
    "redirects": ((int,), "an int", 255),
    "sock": ((socket.socket,), "a socket", None),
    "local_addr": ((tuple,), "a tuple", None),
    "ssl": ((SSLContext, bool), "an SSLContext, a bool", None),
    "tls": ((TLS,), "a TLS", None),
    "proxy": ((str, bool), "a str, a bool", None),
    "logger": ((), "a logger", None),
}
_NEVER_NONE = {"uri", "receive_window", "send_window", "redirects"}


def check(options: Mapping[str, Any]) -> None:
    """Tells a mistake in the type of an option by its name. Those of several parts are judged where they are taken apart."""
    for name, (types, wanted, most) in _KINDS.items():
        value: Any = options.get(name)
        if value is None:
            if name not in _NEVER_NONE:
                continue
        elif isinstance(value, types) or wanted in _OTHERS and _OTHERS[wanted](value):
            if most is None or 0 <= operator.index(value) <= most:
                continue
            raise ValueError(f"{name} is 0 to {most}, and this is {value}")
        raise _mistake(name, wanted if name in _NEVER_NONE else f"{wanted} or None", value)
    sock, local = options.get("sock"), options.get("local_addr")
    if isinstance(sock, SSLSocket):
        # Its descriptor would be used without its TLS: the request, and what is secret in it, would leave in the clear.
        raise TypeError("sock is a socket without TLS, and this is SSLSocket: wss:// does TLS over it")
    if sock is not None and sock.fileno() < 0:
        raise ValueError("sock is closed")
    if local is not None:
        # Before a socket that is given belongs to anybody else.
        if len(local) != 2 or not isinstance(local[0], str) or not _has(local[1], "__index__"):
            raise TypeError("local_addr is a host and a port, as in ('192.0.2.1', 0)")
        if not 0 <= operator.index(local[1]) <= 65535:
            raise ValueError(f"the port of local_addr is 0 to 65535, and this is {local[1]}")


def _mistake(option: str, wanted: str, value: object) -> TypeError:
    kind = "None" if value is None else type(value).__name__
    return TypeError(f"{option} is {wanted}, and this is {kind}")


def check_close(code: int, reason: str) -> None:
    """The same for ``close``. 1005 is refused too: it says that there was no code (RFC 6455 7.4.1)."""
    if not _has(code, "__index__"):
        raise _mistake("code", "an int", code)
    if not isinstance(reason, str):
        raise _mistake("reason", "a str", reason)
    number = operator.index(code)
    if not (0 <= number <= 0xFFFF and _aiowebsocket._may_send_close(number)):
        raise ValueError(f"the close code {number} must not be sent; use 1000-1003, 1007-1014 or 3000-4999")


def _pairs(option: str, lines: HeadersLike | None) -> list[tuple[str, str | None]]:
    if lines is None:
        return []
    found = list(lines.items() if isinstance(lines, Mapping) else _iterated(option, "a mapping or pairs", lines))
    for pair in found:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise TypeError(f"{option} has what is no pair with a str")
        name, value = pair
        if not isinstance(value, (str, type(None))):
            raise _mistake(f"{option} is of str: {name!r}", "a str or None", value)
    return found


def _iterated(option: str, wanted: str, value: Iterable[Any]) -> Iterable[Any]:
    # A str would be iterated too, and each letter taken.
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise _mistake(option, wanted, value)
    return value


def _names(subprotocols: Iterable[str]) -> list[str]:
    names = list(_iterated("subprotocols", wanted := "a list of str", subprotocols))
    for name in names:
        if not isinstance(name, str):
            raise _mistake("subprotocols", f"{wanted} alone", name)
    return names


def reach_at(opening: _aiowebsocket.Opening, host: str | None, port: int | None) -> tuple[str, int] | None:
    """Where to connect to, if that is not where the address says."""
    return None if host is None and port is None else (host or opening.host, port or opening.port)


@dataclass(frozen=True)
class Asked:
    """What is asked for, on each attempt anew."""

    uri: str
    headers: dict[str, list[tuple[str, str | None]]]
    origin: str | None
    user_agent_header: str | None
    subprotocols: list[str] | None
    compression: dict[str, Any] | None

    @classmethod
    def of(
        cls,
        uri: str,
        headers: Mapping[str, HeadersLike | None],
        origin: str | None,
        user_agent_header: str | None,
        subprotocols: Iterable[str] | None,
        compression: str | Deflate | None,
    ) -> Asked:
        """Of what a program gives to ``connect``; the headers by their option, in this order."""
        return cls(
            uri,
            {option: _pairs(option, lines) for option, lines in headers.items()},
            origin,
            user_agent_header,
            None if subprotocols is None else _names(subprotocols),
            None if compression is None else asdict(_deflate(compression)),
        )

    @property
    def secrets(self) -> frozenset[str]:
        """The names of ``secret_headers``, in lower case."""
        return frozenset(name.lower() for name, _ in self.headers["secret_headers"])

    def opening(self) -> _aiowebsocket.Opening:
        opening = _aiowebsocket.Opening(self.uri)
        for option, lines in self.headers.items():
            put = opening.secret_header if option == "secret_headers" else opening.header
            for name, value in lines:
                if value is None:
                    opening.remove(name)
                else:
                    put(name, value)
        if self.origin is not None:
            opening.header("Origin", self.origin)
        if self.user_agent_header is None:
            opening.remove("User-Agent")
        elif self.user_agent_header:
            opening.header("User-Agent", self.user_agent_header)
        if self.subprotocols is not None:
            opening.subprotocols(self.subprotocols)
        if self.compression is not None:
            opening.compression(**self.compression)
        return opening
