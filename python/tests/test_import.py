"""What importing the package costs: modules, and nothing else that has to be installed."""

import re
from pathlib import Path

from support import run_python

#: More than this would be felt by short programs.
MOST = 15


def test_modules_beside_asyncios():
    code = """
        import asyncio, sys
        before = set(sys.modules)
        import aiowebsocket
        print("\\n".join(sorted(set(sys.modules) - before)))
    """
    status, said, complaints = run_python(code)
    assert (status, complaints) == (0, "")
    added = said.split()
    assert "aiowebsocket" in added
    assert len(added) <= MOST, added


def test_no_dependencies():
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert "dependencies" not in re.sub(r"#.*", "", project)


def test_the_version_is_one():
    import aiowebsocket

    workspace = (Path(__file__).parents[2] / "Cargo.toml").read_text()
    assert f'version = "{aiowebsocket.__version__}"' in workspace.partition("[workspace.package]")[2].partition("\n[")[0]
