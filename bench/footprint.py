"""What a client costs before it runs: the size of its program, its crates, and the time that building them takes."""

import os
import resource
import shutil
import subprocess
import time

from measure import Wrong, counted, progress
from rows import HERE, PLAN

PROGRAMS = HERE / "footprint"
TARGET = HERE / "target" / "footprint"


def measure_footprints(servers, rows):
    for workload, programs, features in (
        ("footprint", PLAN["footprint"]["programs"], []),
        ("tls-footprint", PLAN["footprint"]["tls"], ["--features", "tls"]),
    ):
        for name in programs:
            folder, target = PROGRAMS / name, TARGET / name
            # Nothing is built already, and nothing is fetched while the clock runs.
            shutil.rmtree(target, ignore_errors=True)
            cargo(folder, "fetch", "-q")
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            cargo(folder, "build", "-q", "--release", "--offline", "--target-dir", target, *features)
            wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            program = target / "release" / name
            run(program, servers.addresses[0])
            if features:
                refuse(program, servers.secure[0])
            cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            values = {
                "KiB": os.path.getsize(program) / 1024, "crates": crates(folder, features),
                "build_cpu_s": cpu, "build_wall_s": wall,
            }
            for what, value in values.items():
                rows.append(counted(what, name, workload, 0, value))
            progress(
                f"{name}{', wss too' if features else ''}: {values['KiB']:.0f} KiB, {values['crates']} crates, "
                f"built in {cpu:.0f} s of processor time"
            )


def cargo(folder, *arguments):
    return subprocess.run(["cargo", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def crates(folder, features):
    """Those that end up in the program, without itself."""
    tree = cargo(
        folder, "tree", "--offline", "-e", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}", *features
    )
    return len({" ".join(line.split()[:2]) for line in tree.splitlines() if line}) - 1


def run(program, address):
    """It does what it is for."""
    done = subprocess.run([program, f"ws://{address}/echo"], capture_output=True, text=True, timeout=20)
    if done.returncode != 0 or done.stdout != "hello\n":
        raise Wrong(f"{program}: {done.stdout!r} {done.stderr[-600:]}")


def refuse(program, address):
    """It has TLS, and judges certificates: that of the server here is by nobody who is known."""
    done = subprocess.run([program, f"wss://{address}/echo"], capture_output=True, text=True, timeout=20)
    # As rustls says it, and this library.
    if done.returncode == 0 or not any(said in done.stderr for said in ("UnknownIssuer", "issued by somebody who is not trusted")):
        raise Wrong(f"{program}: {done.stdout!r} {done.stderr[-600:]}")
