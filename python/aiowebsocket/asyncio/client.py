"""The names of ``websockets.asyncio.client``, so that a program needs one word changed. Documented as ``aiowebsocket.connect``."""

from ..client import WebSocket as ClientConnection, connect

__all__ = ["ClientConnection", "connect"]
