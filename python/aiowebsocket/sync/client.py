"""The names of ``websockets.sync.client``, so that a program needs one word changed. Documented as ``aiowebsocket.sync.connect``."""

from . import WebSocket as ClientConnection, connect

__all__ = ["ClientConnection", "connect"]
