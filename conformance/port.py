"""Translates the suite's cases, written for Python 2, into the Python that runs this: `port.py WHEEL FOLDER`.

Only the cases and their data are taken; fuzzer.py runs them. In them a `str` holds octets. Reading the files as Latin-1 keeps that: a
character of a literal is an octet, and fuzzer.py turns such text into bytes where it meets the protocol. What is left to do is syntax, and the
few edits below, each counted, so that another version of the suite fails here and not in a verdict.
"""

import sys
import zipfile
from pathlib import Path

from fissix.refactor import RefactoringTool

CASES = "autobahntestsuite/case/"
DATA = "autobahntestsuite/testdata/"

# Not in the suite's own list of cases.
UNLISTED = "case9_9_1"

# What is replaced, by what, in how many files.
EDITS = [
    ("import binascii\n", "from py2 import binascii\n", 12),
    ("import copy, os, pkg_resources, hashlib, binascii", "import copy, os, hashlib\nfrom py2 import binascii, pkg_resources", 1),
    ("from autobahn.websocket.utf8validator import", "from py2 import", 1),
    # A base in front of a class that is derived from it.
    ("(object, Case, )", "(Case, )", 5),
    # Whole numbers stay whole.
    ("len(self.payload) / self.p.", "len(self.payload) // self.p.", 1),
    (f"from {UNLISTED} import *\n", "", 1),
]
FIXERS = [f"fissix.fixes.fix_{name}" for name in ("import", "print", "unicode", "xrange")]


def main(wheel, folder):
    cases = Path(folder, "cases")
    cases.mkdir(parents=True)
    names = []
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(DATA):
                to = Path(folder, "testdata", name.removeprefix(DATA))
                to.parent.mkdir(exist_ok=True)
                to.write_bytes(archive.read(name))
            elif name.startswith(CASES) and name.endswith(".py") and UNLISTED not in name:
                names.append(name.removeprefix(CASES))
                # Kept as they are for the fixer of imports, which looks which files there are.
                Path(cases, names[-1]).write_bytes(archive.read(name))
    tool = RefactoringTool(FIXERS)
    counts = [0] * len(EDITS)
    for name in sorted(names):
        path = Path(cases, name)
        source = path.read_bytes().decode("latin-1").replace("\r\n", "\n").replace("# coding=utf-8\n", "")
        for index, (old, new, _) in enumerate(EDITS):
            counts[index] += old in source
            source = source.replace(old, new)
        translated = str(tool.refactor_string(source.rstrip() + "\n", str(path)))
        path.write_text(translated, encoding="utf-8", newline="\n")
    for (old, _, wanted), count in zip(EDITS, counts):
        if count != wanted:
            sys.exit(f"ERROR: {old!r} was found in {count} files, not in {wanted}: this is another suite")


main(*sys.argv[1:])
