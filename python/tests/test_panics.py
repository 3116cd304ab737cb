"""A panic in Rust becomes an exception, and never ends the process. Nothing known panics, so the extension of the tests is built
with calls that do so on purpose (`src/panics.rs`, feature `panics`)."""

import asyncio
import gc
import re
from pathlib import Path

import pytest

from aiowebsocket import _aiowebsocket
from support import arrived, parked, run_python, text

WAYS = {
    "a call": lambda: _aiowebsocket._panics("call"),
    "am_send": lambda: asyncio.get_event_loop().run_until_complete(_awaited("step")),
    "am_send, later": lambda: asyncio.get_event_loop().run_until_complete(_awaited("second step")),
    "send": lambda: _aiowebsocket._panics("step").send(None),
    "next": lambda: next(_aiowebsocket._panics("step")),
    "throw": lambda: _begun("abandon").throw(KeyError()),
    "close": lambda: _begun("abandon").close(),
}


async def _awaited(place):
    await _aiowebsocket._panics(place)


def _begun(place):
    awaitable = _aiowebsocket._panics(place)
    awaitable.send(None)
    return awaitable


@pytest.mark.parametrize("way", WAYS)
def test_a_panic_is_an_exception(loop, way, capfd):
    with pytest.raises(BaseException, match="^on purpose, ") as caught:
        WAYS[way]()
    assert type(caught.value).__name__ == "PanicException"
    assert not isinstance(caught.value, Exception), "what catches mistakes of programs does not hide one of ours"
    assert "on purpose" in capfd.readouterr().err, "and the place is told, as Rust tells it"


def test_a_panic_while_an_object_goes(loop, capfd):
    """A destructor has nobody to tell; what it panicked with stands on stderr."""
    awaitable = _begun("abandon")
    del awaitable
    gc.collect()
    assert "while it is given up" in capfd.readouterr().err


async def test_a_panic_in_a_task_that_is_stepped(link, capfd):
    """From within the callback that reads: the task has the exception, and the connection goes on."""

    async def receive():
        await link.ws.recv()
        await _aiowebsocket._panics("step")

    task = asyncio.ensure_future(receive())
    await parked(task)
    link.peer.say(text("a"), text("b"))
    await arrived()
    assert type(task.exception()).__name__ == "PanicException"
    assert await link.ws.recv() == "b"
    await link.ws.send("c")
    assert (await link.peer.frame()).payload == b"c"


def test_every_profile_unwinds():
    """With `panic = "abort"` there is nothing to catch, and the tests are built with another profile than a wheel is."""
    manifest = (Path(__file__).parents[2] / "Cargo.toml").read_text()
    release = manifest.partition("[profile.release]\n")[2].partition("\n[")[0]
    assert re.findall(r'^panic = (.*)$', release, re.MULTILINE) == ['"unwind"']
    assert manifest.count("panic =") == 1


def test_the_process_goes_on(loop_kind):
    code = """
        import asyncio, uvloop
        from aiowebsocket import _aiowebsocket

        async def main():
            try:
                await _aiowebsocket._panics("step")
            except BaseException as error:
                print(type(error).__name__)

        RUN(main())
        print("on it goes")
    """.replace("RUN", "asyncio.run" if loop_kind == "asyncio" else "uvloop.run")
    status, said, _ = run_python(code)
    assert (status, said) == (0, "PanicException\non it goes\n")
