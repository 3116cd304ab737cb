"""The heads of the opening handshake: what was asked, and what was answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


#: What says who somebody is: a ``repr`` goes into logs and reports, and is no place for it.
_SECRET = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie"))
_HIDDEN = "…"


class Headers(Mapping[str, str]):
    """Header lines in their order. A name is found in any case; lines of the same name are joined by ``", "`` (RFC 9110 5.2).

    ``repr`` hides the values of ``Authorization``, ``Proxy-Authorization``, ``Cookie``, ``Set-Cookie`` and of ``secret_headers``.
    """

    __slots__ = ("_lines", "_secrets")

    def __init__(self, lines: list[tuple[str, str]], secrets: frozenset[str] = frozenset()) -> None:
        self._lines = lines
        self._secrets = secrets

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        """Each name once, in lower case."""
        return iter(dict.fromkeys(name.lower() for name, _ in self._lines))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._lines})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def get_all(self, name: str) -> list[str]:
        """The value of each line of this name."""
        return [value for known, value in self._lines if known.lower() == name.lower()]

    def raw_items(self) -> list[tuple[str, str]]:
        """The lines as they came: names in their spelling, none joined."""
        return list(self._lines)

    def __repr__(self) -> str:
        hidden = _SECRET | self._secrets
        shown = [(name, _HIDDEN if name.lower() in hidden else value) for name, value in self._lines]
        return f"Headers({shown!r})"


@dataclass(frozen=True)
class Request:
    """What the server was asked for. ``repr`` hides the query, and what ``Headers`` hides."""

    #: Path and query.
    path: str
    headers: Headers

    def __repr__(self) -> str:
        path, query, _ = self.path.partition("?")
        return f"Request(path={path + query + (_HIDDEN if query else '')!r}, headers={self.headers!r})"


@dataclass(frozen=True)
class Response:
    """What the server answered."""

    status_code: int
    headers: Headers
    #: The first 16 KiB of the body of a refusal; empty where the connection was opened.
    body: bytes = b""


def read_request(head: bytes, secrets: frozenset[str]) -> Request:
    """A request that we sent, and the names of its ``secret_headers``."""
    first, *lines = head.decode("utf-8").rstrip("\r\n").split("\r\n")
    return Request(first.split(" ")[1], read_lines("\n".join(lines), secrets))


def read_lines(lines: str, secrets: frozenset[str] = frozenset()) -> Headers:
    """Header lines as a connection keeps them: one ``str``, because few are ever asked for and each object costs memory."""
    pairs = (line.partition(":") for line in lines.split("\n") if line)
    return Headers([(name, value.strip(" \t")) for name, _, value in pairs], secrets)
