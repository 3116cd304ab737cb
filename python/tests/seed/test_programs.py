"""Whole programs, as the pages of 1.0.0.dev and dev2 print them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
ROUNDS = 5


def interruptible() -> None:
    """A shell has what it runs in the background ignore SIGINT, and its children inherit that: these tests too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("program", "scheme"),
    [
        ("ws.py", "ws"),
        ("headers.py", "ws"),
        ("union_header.py", "ws"),
        ("wss.py", "wss"),
        # The same lines with another address.
        ("ws.py", "wss"),
        ("headers.py", "wss"),
        ("union_header.py", "wss"),
    ],
)
def test_a_program_runs_as_printed(
    loop: str, program: str, scheme: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    printed = (PROGRAMS / program).read_text()
    remote = re.search(r"^    remote = '(wss?)://([^/']+)", printed, re.MULTILINE)
    assert remote is not None
    environment = dict(os.environ)
    if scheme == "wss":
        host, authority = request.getfixturevalue("secure_echo")
        # Where OpenSSL and who follows it look for what the machine trusts.
        environment["SSL_CERT_FILE"] = str(authority)
    else:
        host = request.getfixturevalue("echo")
    copy = tmp_path / program
    copy.write_text(printed.replace(f"{remote[1]}://", f"{scheme}://").replace(remote[2], host))

    with subprocess.Popen(
        [sys.executable, "-u", PROGRAMS / "run.py", loop, copy],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=interruptible,
    ) as running:
        assert running.stdout is not None
        try:
            lines = [running.stdout.readline() for _ in range(2 * ROUNDS)]
            running.send_signal(signal.SIGINT)
            _, log = running.communicate(timeout=20)
        finally:
            running.kill()

    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    said = r"b'AioWebSocket - Async WebSocket Client'"
    for sent, received in zip(lines[::2], lines[1::2]):
        assert re.fullmatch(f"{date}-Client send: {said}\n", sent), log
        assert re.fullmatch(f"{date}-Client receive: {said}\n", received), log
    assert "INFO:root:Quit." in log
    assert "Traceback" not in log
    assert running.returncode == 0
