"""Every block of Python in the documentation runs, against a server that does what the pages say, and prints what stands behind it."""

import ast
import asyncio
import contextlib
import inspect
import io
import json
import re
import textwrap
from pathlib import Path

import pytest
import trustme

import aiowebsocket
import aiowebsocket.sync
from friendly import serving
from support import PATIENCE, arrived, close, run_python, text
from tls import Server as TlsServer, server_context

ROOT = Path(__file__).parents[2]
PAGES = ["docs/python.md", "docs/migrating.md", "python/README.md", "README.md"]

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)

def blocks():
    for page in PAGES:
        source = (ROOT / page).read_text()
        for match in BLOCK.finditer(source):
            line = source[: match.start()].count("\n") + 1
            yield pytest.param(page, match[1], match[2], id=f"{page}:{line}")


@pytest.mark.parametrize(("page", "source", "printed"), list(blocks()))
async def test_block(server, loop_kind, page, source, printed, tmp_path):
    source = source.replace("127.0.0.1:8765", f"127.0.0.1:{server.port}")
    async with contextlib.AsyncExitStack() as servers:
        await servers.enter_async_context(serving(server))
        if "localhost:8443" in source:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
            secure = await servers.enter_async_context(TlsServer(server_context(authority)))
            source = source.replace("localhost:8443", f"localhost:{secure.port}").replace("ca.pem", str(tmp_path / "ca.pem"))
        if "asyncio.run(" in source or "aiowebsocket.sync" in source:
            # A whole program: a process of its own.
            if loop_kind != "asyncio":
                pytest.skip("a process of its own has a loop of its own")
            status, said, complaints = await asyncio.to_thread(run_python, source)
            assert (status, complaints) == (0, "")
        else:
            said = await asyncio.wait_for(output_of(source, page), PATIENCE)
    if printed is not None:
        assert said == printed


async def test_the_feed_of_days_outlives_what_it_says(server, naps):
    """The program of docs/python.md, with more rounds: a server that is killed, one that fails, one that restarts."""
    (source,) = (block.values[1] for block in blocks() if "async for ws in" in block.values[1])
    assert "rounds == 1:" in source
    source = source.replace("rounds == 1:", "rounds == 4:").replace("127.0.0.1:8765", f"127.0.0.1:{server.port}")

    async def drop():
        for price, ending in enumerate([b"", close(1011), close(1012, "back soon"), close(1000)]):
            peer = await server.accept()
            await peer.answer(behind=text(json.dumps({"price": price})) + ending)
            peer.shut()

    dropping = asyncio.ensure_future(drop())
    assert await asyncio.wait_for(output_of(source, "docs/python.md"), PATIENCE) == "0\n1\n2\n3\n"
    await dropping
    assert len(naps) == 3
    # The loop of Python closes what the program left.
    await arrived()


async def output_of(source, page):
    """A part of one: what stands in an async function."""
    code = compile(source, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"aiowebsocket": aiowebsocket, "asyncio": asyncio, "json": json, "print": None}
    out = io.StringIO()
    names["print"] = lambda *values, **options: print(*values, file=out, **options)
    result = eval(code, names)
    if inspect.isawaitable(result):
        await result
    return out.getvalue()


def test_the_pages_have_blocks():
    found = [block.values[0] for block in blocks()]
    for page in PAGES:
        assert page in found, f"{page} has no block of Python"
    assert found.count("docs/python.md") >= 8


def test_the_table_of_exceptions_is_right():
    rows = re.findall(r"^\| `([A-Z]\w+)` \| .* \| (.*) \|$", (ROOT / "docs/python.md").read_text(), re.MULTILINE)
    assert len(rows) == 14
    for name, bases in rows:
        for base in re.findall(r"`([\w.]+)`", bases):
            known = {"asyncio.QueueFull": asyncio.QueueFull}.get(base) or getattr(aiowebsocket, base, None)
            known = known or getattr(__import__("builtins"), base)
            assert issubclass(getattr(aiowebsocket, name), known), (name, base)


def test_what_the_face_for_threads_has_not():
    (told,) = re.findall(r"What it has not: (.*?), and connecting again", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    missing = set(dir(aiowebsocket.WebSocket)) - set(dir(aiowebsocket.sync.WebSocket))
    assert sorted(re.findall(r"`(\w+)`", told)) == sorted(name for name in missing if not name.startswith("_"))
    for face in (aiowebsocket.WebSocket, aiowebsocket.sync.WebSocket):
        assert [name for name in dir(face) if not name.startswith("_") and not getattr(face, name).__doc__] == []


def test_the_figure_of_modules():
    """Beside the limit, which test_import.py holds."""
    code = textwrap.dedent("""
        import asyncio, sys
        before = set(sys.modules)
        import aiowebsocket
        print(len(set(sys.modules) - before))
    """)
    _, said, _ = run_python(code)
    assert int(said) == 15 and "loads fifteen modules" in (ROOT / "docs/python.md").read_text()
