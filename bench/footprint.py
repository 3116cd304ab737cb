"""What a client costs before it runs: the size of its program, its crates, and the time that building them takes."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from measure import Wrong, counted, progress
from rows import HERE, PLAN

PROGRAMS = HERE / "footprint"
TARGET = HERE / "target" / "footprint"


def measure_footprints(servers, rows):
    for workload, programs, features in (
        ("footprint", PLAN["footprint"]["programs"], []),
        ("tls-footprint", PLAN["footprint"]["tls"], ["--features", "tls"]),
    ):
        # A program for each processor at a time: half of a build is one thread, and what is told of it is processor time.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            builds = pool.map(lambda name: build_clean(name, features), programs)
            for name, cpu in zip(programs, builds):
                program = TARGET / name / "release" / name
                run(program, servers.addresses[0])
                if features:
                    refuse(program, servers.secure[0])
                values = {
                    "KiB": os.path.getsize(program) / 1024, "crates": crates(PROGRAMS / name, features), "build_cpu_s": cpu
                }
                for what, value in values.items():
                    rows.append(counted(what, name, workload, 0, value))
                progress(
                    f"{name}{', wss too' if features else ''}: {values['KiB']:.0f} KiB, {values['crates']} crates, "
                    f"built in {cpu:.0f} s of processor time"
                )


def build_clean(name, features):
    """Builds a program, of which nothing is there before; the processor time in seconds."""
    folder, target = PROGRAMS / name, TARGET / name
    shutil.rmtree(target, ignore_errors=True)
    # Nothing is fetched while the clock runs.
    cargo(folder, "fetch", "-q")
    command = ["cargo", "build", "-q", "--release", "--offline", "--target-dir", target, *features]
    build = subprocess.Popen(command, cwd=folder)
    # Of it and of all that it waited for.
    _, status, usage = os.wait4(build.pid, 0)
    build.returncode = os.waitstatus_to_exitcode(status)
    if build.returncode != 0:
        raise Wrong(f"{name} cannot be built")
    return usage.ru_utime + usage.ru_stime


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
