"""docs/names.md: what the page calls an option of this package or of ``aiows`` is one."""

import inspect
import re
from pathlib import Path

import aiowebsocket

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs/names.md").read_text().splitlines()
    if line.startswith("| ")
][1:]


def test_the_keywords_are_those_of_the_package():
    known = {*inspect.signature(aiowebsocket.connect).parameters, *inspect.signature(aiowebsocket.TLS).parameters}
    named = {name for row in ROWS for name in re.findall(r"(\w+)=", row[2])}
    assert named - known == set()
    assert len(named) > 20


def test_the_options_are_those_of_the_tool():
    source = "".join(path.read_text() for path in (ROOT / "cli/src").rglob("*.rs"))
    named = {name for row in ROWS for name in re.findall(r"--([a-z-]+)", row[3])}
    # Its parser takes the names of fields, or what is said beside them.
    missing = {name for name in named if f'long = "{name}"' not in source and f"    {name.replace('-', '_')}: " not in source.replace("pub(crate) ", "")}
    assert missing == set()
    assert len(named) > 10
