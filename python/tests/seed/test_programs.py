"""Whole programs, as the pages of 1.0.0.dev and dev2 print them."""

from __future__ import annotations

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
    ("program", "host"),
    [
        ("ws.py", "echo.websocket.org"),
        ("headers.py", "123.207.167.163:9010"),
        ("union_header.py", "123.207.167.163:9010"),
    ],
)
def test_a_program_runs_as_printed(loop: str, program: str, host: str, echo: str, tmp_path: Path) -> None:
    printed = (PROGRAMS / program).read_text()
    assert f"remote = 'ws://{host}" in printed
    copy = tmp_path / program
    copy.write_text(printed.replace(host, echo))

    with subprocess.Popen(
        [sys.executable, "-u", PROGRAMS / "run.py", loop, copy],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
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
