"""An address in its parts."""

from __future__ import annotations

from typing import NamedTuple

from . import _aiowebsocket

__all__ = ["REMOTE", "parse_uri", "remote_url"]


class REMOTE(NamedTuple):
    """What an address names."""

    scheme: str
    host: str
    port: int
    resource: str
    ssl: bool


def parse_uri(uri: str) -> REMOTE:
    """The parts of a ``ws://`` or ``wss://`` address, with the default port where it names none.

    Raises ``InvalidURI`` (a ``ValueError``) for anything else.
    """
    opening = _aiowebsocket.Opening(uri)
    scheme = "wss" if opening.is_secure else "ws"
    return REMOTE(scheme, opening.host, opening.port, opening.resource, opening.is_secure)


#: What version 1.0.0.dev called it.
remote_url = parse_uri
