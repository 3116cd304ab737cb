"""A future that is done and belongs to no event loop: what the extension wakes a task with, which only asks for its result."""

from __future__ import annotations

import asyncio


class _NoLoop:
    """What a future asks of its event loop while it is made and given its result."""

    def get_debug(self) -> bool:
        return False


FINISHED: asyncio.Future[None] = asyncio.Future(loop=_NoLoop())  # type: ignore[arg-type]
FINISHED.set_result(None)
