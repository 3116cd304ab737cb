"""When connections are called for the time, on Linux: by one timer of the kernel for all connections of an event loop, which the loop
watches as it does a socket.

A timer of the loop's own would be dear while messages pass: as long as one is pending, `epoll_wait` has a time limit, for which the kernel
arms a timer of its own each time the loop sleeps, and asyncio looks for the earliest one in each turn. See docs/design.md."""

from __future__ import annotations

import sys
from asyncio import AbstractEventLoop
from bisect import bisect_left, insort
from collections.abc import Callable
from contextvars import Context, copy_context
from operator import attrgetter
from time import monotonic
from typing import Protocol
from weakref import WeakValueDictionary

from . import _aiowebsocket

_when = attrgetter("when")


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Who calls a connection for the time."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Cancellable: ...


def clock_of(loop: AbstractEventLoop) -> Clock:
    """Who calls for the time on this loop, which is one that watches sockets."""
    if sys.platform != "linux":
        return loop
    alarm = _alarms.get(id(loop))
    if alarm is None:
        alarm = _alarms[id(loop)] = Alarm(loop)
    return alarm


class Alarm:
    """``call_later`` as a loop has it. The kernel's timer is there while anybody waits for it, and no longer."""

    __slots__ = ("_loop", "_timer", "_due", "__weakref__")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: _aiowebsocket.Timer | None = None
        #: By time. A list: most come in at its end, and what moves when one leaves is a pointer each.
        self._due: list[Call] = []

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Cancellable:
        if self._timer is None:
            try:
                timer = _aiowebsocket.Timer()
            except OSError:
                # No descriptor is left, or the kernel has none of these.
                return self._loop.call_later(delay, callback)
            # It serves all, so it is called in the context of none.
            Context().run(self._loop.add_reader, timer.fileno(), self._on_time)
            self._timer = timer
        call = Call(self, monotonic() + delay, callback)
        insort(self._due, call, key=_when)
        if self._due[0] is call:
            self._timer.set(delay)
        return call

    def forget(self, call: Call) -> None:
        index = bisect_left(self._due, call.when, key=_when)
        while index < len(self._due) and self._due[index].when == call.when:
            if self._due[index] is call:
                del self._due[index]
                break
            index += 1
        # The timer stays as it is set: where it was for this one, it is set for the next when it goes off.
        if not self._due:
            self._stop()

    def _on_time(self) -> None:
        now = monotonic()
        try:
            while self._due and self._due[0].when <= now:
                call = self._due.pop(0)
                call.context.run(call.callback)
        finally:
            # Also where one raises, which the loop is told as of any callback: the others are called in its next turn.
            if not self._due:
                self._stop()
            elif self._timer is not None:
                self._timer.set(self._due[0].when - monotonic())

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._loop.remove_reader(timer.fileno())
            # With its last reference the descriptor is closed.


class Call:
    """What is to be called, and when."""

    __slots__ = ("_alarm", "when", "callback", "context")

    def __init__(self, alarm: Alarm, when: float, callback: Callable[[], object]) -> None:
        self._alarm = alarm
        self.when = when
        self.callback = callback
        self.context = copy_context()

    def cancel(self) -> None:
        self._alarm.forget(self)


#: Those that connections hold, by the number of their loop, which lives as long as they do.
_alarms: WeakValueDictionary[int, Alarm] = WeakValueDictionary()
