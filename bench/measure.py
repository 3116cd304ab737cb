"""What `run` and `python/run` share: servers and checked runs, interleaved rounds, the record, ratios and tables."""

import csv
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SERVER = HERE / "target" / "release" / "server"
FIELDS = ["what", "round", "client", "workload", "size", "messages", "bytes", "wall_s", "cpu_s", "value"]


class Wrong(Exception):
    """A contender gave a wrong answer, or none."""


class Servers:
    """One server on each of the two processors. Clients run on the second.

    `program` gives the command of a client up to `WORKLOAD SIZE COUNT ADDR`. With `one_suite` the server has no cipher suite but
    TLS_AES_256_GCM_SHA384, else that which the client would rather have.
    """

    SERVER_CPU, CLIENT_CPU = 0, 1

    def __init__(self, program, one_suite=False):
        self.program = program
        self.suites = ["one-suite"] if one_suite else []

    def __enter__(self):
        self.processes = []
        self.addresses, self.secure, self.certificates = [], [], []
        self.folder = tempfile.TemporaryDirectory()
        for cpu in (self.SERVER_CPU, self.CLIENT_CPU):
            certificate = pathlib.Path(self.folder.name, f"{cpu}.pem")
            command = ["taskset", "-c", str(cpu), SERVER, "127.0.0.1:0", certificate, *self.suites]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self.processes.append(process)
            self.addresses.append(process.stdout.readline().strip())
            self.secure.append(process.stdout.readline().strip())
            self.certificates.append(certificate)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        self.folder.cleanup()

    def command(self, client, workload, size, count):
        """The command of one run, and the workload as the client knows it."""
        addresses = self.secure if "tls-" in workload else self.addresses
        address = addresses[self.which(workload)]
        return [*self.program(client), workload.removesuffix("-same"), str(size), str(count), address]

    def environment(self, workload):
        """The environment of a client: it names the certificate of the server that it is going to talk to."""
        return os.environ | {"BENCH_CERTIFICATE": str(self.certificates[self.which(workload)])}

    @staticmethod
    def which(workload):
        """The server on the client's processor, or the other."""
        return 1 if workload.endswith("-same") else 0

    def run(self, client, workload, size, count, before=(), pinned=True):
        """One run; what the client says, its answer checked."""
        pin = ["taskset", "-c", str(self.CLIENT_CPU)] if pinned else []
        command = [*pin, *before, *self.command(client, workload, size, count)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=self.environment(workload))
        if done.returncode != 0:
            raise Wrong(f"{client} {workload} {size}: {done.stderr.strip()[-600:]}")
        said = json.loads(done.stdout)
        got = f"{said['messages']} {said['bytes']} {said['checksum']}"
        wanted = expected(workload, size, count)
        if not workload.endswith("memory") and got != wanted:
            raise Wrong(f"{client} {workload} {size}: received {got}, expected {wanted}")
        # Where each of many connections got that.
        for sum_up in ("messages", "bytes"):
            said[sum_up] *= said.get("connections", 1)
        return said


def opens(workload):
    """Whether connections are measured, and not messages."""
    return workload.endswith(("connect", "resume"))


def expected(workload, size, count, known={}):
    """Messages, bytes and checksum that a workload has to give, as the server's program computes them."""
    if opens(workload):
        return f"{count} 0 {0:016x}"
    kind = workload.split("burst-")[1] if "burst-" in workload else "binary"
    key = (kind, size, count)
    if key not in known:
        command = [SERVER, "expect", *map(str, key)]
        known[key] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return known[key]


def build(*what):
    command = ["cargo", "build", "--release", "-j1", "-q", "--target-dir", HERE / "target", *what]
    subprocess.run(command, cwd=HERE, check=True)


def progress(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def measure_times(servers, plan, rounds, rows, fewest=None, minutes=None):
    """Interleaved: each round runs every client once a cell, beginning with another one each time. Returns how many rounds there were:
    with `minutes`, none begins after that time, but for the `fewest`.

    `plan` has for each cell a workload, a size, and the clients with their number of messages.
    """
    began = time.monotonic()
    for turn in range(rounds):
        started = time.monotonic()
        if minutes is not None and turn >= fewest and started - began > 60 * minutes:
            return turn
        for at, (workload, size, clients) in enumerate(plan):
            clients = list(clients.items())
            first = (turn + at) % len(clients)
            for client, count in clients[first:] + clients[:first]:
                said = servers.run(client, workload, size, count)
                row = {field: said[field] for field in ("messages", "bytes", "wall_s", "cpu_s")}
                rows.append(dict(row, what="time", round=turn, client=client, workload=workload, size=size, value=""))
        progress(f"round {turn + 1} of {rounds}: {time.monotonic() - started:.0f} s")
    return rounds


def measure_memory(program, clients, connections, size, rows, workload="memory"):
    for client in clients:
        # Servers of its own: thousands of threads that end would disturb the next client.
        with Servers(program) as servers:
            said = servers.run(client, workload, size, connections, pinned=False)
        for what in ("idle", "used"):
            rows.append(counted(what, client, workload, size, said[f"{what}_kib"]))


def counted(what, client, workload, size, value):
    return dict.fromkeys(FIELDS, "") | {
        "what": what, "client": client, "workload": workload, "size": size, "value": round(value, 3)
    }


def environment(*sources):
    """The machine and the commit, and whether `sources` differ from it."""
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    said = lambda *command: subprocess.run(command, capture_output=True, text=True, cwd=HERE).stdout.strip()
    changed = said("git", "status", "--porcelain", "--", *sources)
    return {
        "date": datetime.date.today().isoformat(),
        "commit": said("git", "rev-parse", "--short", "HEAD") + (" with changes" if changed else ""),
        "rustc": said("rustc", "--version").split()[1],
        "processor": f"{processor[1]}, {os.cpu_count()} processors" if processor else "unknown",
        "kernel": os.uname().release.split("-")[0],
    }


def write_record(path, about, rows):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        file.write("".join(f"# {name}: {value}\n" for name, value in about.items()))
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_record(path):
    lines = path.read_text().splitlines()
    about = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    rows = list(csv.DictReader(line for line in lines if not line.startswith("# ")))
    for row in rows:
        row["size"] = int(row["size"])
    return about, rows


class Times:
    """CPU and wall time a message, by cell, client and round."""

    def __init__(self, rows):
        self.cpu, self.rate = {}, {}
        for row in rows:
            if row["what"] == "time":
                key, turn, n = (row["workload"], row["size"], row["client"]), int(row["round"]), int(row["messages"])
                self.cpu.setdefault(key, {})[turn] = float(row["cpu_s"]) / n * 1e9
                self.rate.setdefault(key, {})[turn] = n / float(row["wall_s"])

    def ns(self, workload, size, client):
        return statistics.median(self.cpu[workload, size, client].values())

    def per_second(self, workload, size, client):
        return statistics.median(self.rate[workload, size, client].values())

    def ratios(self, workload, size, client, other):
        """CPU of one to CPU of another, in each round."""
        ours, theirs = self.cpu[workload, size, client], self.cpu[workload, size, other]
        return [ours[turn] / max(theirs[turn], 1e-9) for turn in ours if turn in theirs]

    def best(self, workload, size, clients):
        """The one of `clients` with the least CPU in this cell."""
        measured = [client for client in clients if (workload, size, client) in self.cpu]
        return min(measured, key=lambda client: self.ns(workload, size, client))


def name_of(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def table(head, lines):
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, rule, *lines)) + "\n"


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.3g}"


def cell_table(times, workload, size, clients, floor):
    """One cell, as the command `cell` prints it."""
    lines = []
    for client in clients:
        ratios = times.ratios(workload, size, client, floor) if floor in clients else [float("nan")]
        lines.append([
            client, number(times.per_second(workload, size, client)), number(times.ns(workload, size, client)),
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        ])
    return table(["", "messages/s", "CPU ns a message", "to the floor"], lines)
