"""Programs written for `websockets`, as they are and with another import: the same output."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from support import PATIENCE

FOLDER = Path(__file__).parent / "written_for_websockets"
ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.name for path in FOLDER.glob("*.py") if path.name != "server.py")

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 12), reason="other libraries are compared on one CPython")

#: What to change, as docs/migrating.md has it.
CHANGES = [(r"^from websockets\b", "from aiowebsocket"), (r"^import websockets$", "import aiowebsocket as websockets")]

#: Runs a program with delays made short: those before another connection are of seconds.
BOOT = """
import asyncio, runpy, sys
sleep = asyncio.sleep
asyncio.sleep = lambda delay, *rest: sleep(min(delay, 0.05), *rest)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def changed(source):
    for was, now in CHANGES:
        source = re.sub(was, now, source, flags=re.MULTILINE)
    return source


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """For each side a server of its own: its addresses, and the authority that signed its certificate."""
    folder = tmp_path_factory.mktemp("servers")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    names = "127.0.0.1", "localhost"
    authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    with ExitStack() as running:
        found = []
        for _ in range(2):
            command = [sys.executable, FOLDER / "server.py", folder / "server.pem"]
            server = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            running.callback(server.terminate)
            plain, secure = server.stdout.readline().split()
            found.append((f"ws://127.0.0.1:{plain}", f"wss://127.0.0.1:{secure}", folder / "authority.pem"))
        yield found


def run(program, arguments):
    command = [sys.executable, "-W", "error", "-c", BOOT, program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_output_is_the_same(loop_kind, servers, program, tmp_path):
    if loop_kind != "asyncio":
        pytest.skip("a process of its own has a loop of its own")
    source = (FOLDER / program).read_text()
    ours = tmp_path / program
    ours.write_text(changed(source))
    with ThreadPoolExecutor() as pool:
        theirs, ours = pool.map(run, [FOLDER / program, ours], servers)
    assert theirs[0] == 0 and theirs[1].count("\n") > 1 and theirs[2] == "", theirs
    assert ours == theirs


@pytest.mark.parametrize("program", PROGRAMS)
def test_only_imports_are_changed(program):
    source = (FOLDER / program).read_text().splitlines()
    different = [(was, now) for was, now in zip(source, changed("\n".join(source)).splitlines()) if was != now]
    assert different
    for was, now in different:
        assert re.match("(from|import) websockets", was) and re.match("(from|import) aiowebsocket", now)


def test_the_page_has_each_line():
    """Every import of the programs stands in docs/migrating.md, module by module."""
    page = (ROOT / "docs/migrating.md").read_text()
    for program in PROGRAMS:
        for line in (FOLDER / program).read_text().splitlines():
            if found := re.match(r"(from websockets[\w.]*) import|import websockets$", line):
                was = found[1] or found[0]
                assert f"`{was}" in page and changed(was) in page, f"{program}: {line}"
