"""Where programs written for the package ``websockets`` look for its client: ``aiowebsocket.asyncio.client``."""
