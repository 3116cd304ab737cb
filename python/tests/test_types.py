"""The types are right: the package's own, those of the extension against the extension, and those that a program sees."""

import subprocess
import sys
from pathlib import Path

import pytest

from aiowebsocket import CloseCode, _aiowebsocket

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "aiowebsocket"

# They are the same for every Python, and checking them takes some ten seconds.
once = pytest.mark.skipif(sys.version_info[:2] != (3, 12), reason="checked on one CPython")


def test_every_file_is_there():
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_aiowebsocket.pyi").exists()


def test_close_codes_are_those_of_the_library():
    """They stand in the source for type checkers alone."""
    source = (PACKAGE / "enumerations.py").read_text().partition("class CloseCode(_CloseCode):")[2].partition("\nelse:")[0]
    told = [line.split(" = ") for line in map(str.strip, source.splitlines()) if " = " in line]
    assert [(name, int(code)) for name, code in told] == _aiowebsocket._close_codes()
    assert [(code.name, int(code)) for code in CloseCode] == _aiowebsocket._close_codes()


def checked(*command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=HERE.parent, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@once
@pytest.mark.timeout(300)
def test_the_package_and_a_program(loop_kind, tmp_path):
    if loop_kind != "asyncio":
        pytest.skip("once")
    status, said = checked("mypy", "--strict", "--cache-dir", str(tmp_path), "aiowebsocket", "tests/typed/program.py")
    assert status == 0, said


@once
@pytest.mark.timeout(300)
def test_the_extension(loop_kind, tmp_path):
    if loop_kind != "asyncio":
        pytest.skip("once")
    (tmp_path / "mypy.ini").write_text(f"[mypy]\ncache_dir = {tmp_path}\n")
    status, said = checked(
        "mypy.stubtest", "--mypy-config-file", str(tmp_path / "mypy.ini"), "--allowlist", "tests/typed/allowlist.txt",
        "aiowebsocket._aiowebsocket",
    )
    assert status == 0, said
