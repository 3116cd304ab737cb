"""The report: RESULTS.md and its charts, from a record."""

import statistics
import subprocess
import tomllib

from measure import Times, name_of, number, progress, read_record, table
from rows import CLIENTS, FLOOR, HERE, OURS, PEERS, PLAN, WORKLOADS, cells, judged_peers

REASONS = tomllib.loads((HERE / "reasons.toml").read_text())
# More than this part is behind, not noise.
NOISE = 0.05
CHARTS = HERE / "report"
# What is counted and not timed.
COUNTED = {
    "instructions": "instructions",
    "syscalls": "system calls",
    "allocations": "calls of the allocator",
    "idle": "KiB of an idle connection",
    "used": "KiB of one used once",
    "KiB": "KiB of a small program",
    "crates": "crates",
    "build_cpu_s": "seconds of building it",
}


def versions():
    """The contenders' versions, out of the lock file and the tests' pins."""
    packages = tomllib.loads((HERE / "Cargo.lock").read_text())["package"]
    return {package["name"]: package["version"] for package in packages}


def results(record):
    about, rows = read_record(record)
    times = Times(rows)
    measured = {(workload, size) for workload, size, _ in times.cpu}
    plan = [cell for cell in cells(quick=False) if cell[:2] in measured]
    there = [name for name in CLIENTS if any(row["client"] == name for row in rows)]
    first, behind = summary(times, plan)
    is_full = any(row["what"] == "latency-p50" for row in rows)
    pictures = draw(about, rows, times)
    show = lambda name: [f"![{pictures[name]}](report/{name}.svg)\n"] if name in pictures else []
    parts = [
        "# Results\n",
        f"Made by `bench/run` from [{record.name}](record/{record.name}); do not edit. How it is measured stands in "
        "[README.md](README.md).\n",
        f"{about['date']}, commit {about['commit']}, rustc {about['rustc']}, {about['processor']}, Linux {about['kernel']}, "
        f"loopback, {about['rounds']} rounds. {about['load']}\n",
        *show("receive"),
        "Ratios are of client CPU (user and system) a message within one round, medians over the rounds, the smallest and the largest in "
        f"brackets; below 1 is less than the other. The floor is `{FLOOR}`; it obeys no rule. The best peer is the one with the least CPU "
        "of those that do the same work: where there is text, of those that check it.\n",
        "## Where we stand\n",
        first,
        "## Where we are behind\n",
        f"Cells where the median is more than {NOISE:.0%} above the best peer's.\n",
        behind_list(behind),
        "Of what is counted (below, in the same order):\n",
        behind_counts(rows),
        "## Rows\n",
        rows_table(there),
        "## Times\n",
        *show("send"),
        *show("echo"),
        *times_tables(times, plan, there),
    ]
    if is_full:
        parts += ["## Latency\n", latency_table(rows)]
    parts += [
        "## Counts\n",
        counts_table(rows, "instructions", "User-space instructions a message, or a connection (callgrind)"),
        counts_table(rows, "syscalls", "System calls a message, or a connection (strace)"),
        counts_table(rows, "allocations", "Calls of the allocator a message, or a connection"),
        "## Memory\n",
        *show("memory"),
        memory_table(rows, int(about.get("connections", 2000))),
    ]
    if is_full:
        parts += ["## Footprint\n", *show("footprint"), footprint_table(rows)]
    (HERE / "RESULTS.md").write_text("\n".join(parts))
    progress("wrote RESULTS.md")
    print("\n" + first + "\n" + behind_list(behind))


# ---- tables ----


def summary(times, plan):
    """Our ratio to the floor and to the best peer in each cell; and where we are behind."""
    lines, behind = [], []
    for workload, size, _ in plan:
        peer = times.best(workload, size, judged_peers(workload))
        line = [cell_name(workload, size)]
        for ours in OURS:
            ratios = times.ratios(workload, size, ours, peer)
            ratio = statistics.median(ratios)
            line += [to_floor(times, workload, size, ours), f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f})"]
            if ratio > 1 + NOISE:
                behind.append((workload, size, ours, peer, ratio, min(ratios), max(ratios)))
        lines.append([*line, f"{peer} ({to_floor(times, workload, size, peer)})"])
    head = ["cell"]
    for ours in OURS:
        head += [f"{ours} to the floor", "to the best peer"]
    return table([*head, "best peer (to the floor)"], lines), behind


def to_floor(times, workload, size, client):
    return f"{statistics.median(times.ratios(workload, size, client, FLOOR)):.2f}"


def cell_name(workload, size):
    return f"{workload} {name_of(size)}" if size else workload


def behind_list(behind):
    if not behind:
        return "None in this run.\n"
    text = ""
    for workload, size, ours, peer, ratio, low, high in behind:
        reason = REASONS.get(f"{workload} {size} {ours}", REASONS.get(f"{workload} {size}", "No reason found yet."))
        sure = "" if low > 1 else " Not in every round."
        text += f"- **{cell_name(workload, size)}**, {ours}: {ratio:.2f} of {peer} ({low:.2f}–{high:.2f}).{sure} {reason}\n"
    return text


def behind_counts(rows):
    """Counts, memory and footprints where a peer has less, and why."""
    text = ""
    got = {}
    for row in rows:
        if row["what"] in COUNTED:
            got.setdefault((row["what"], row["workload"], int(row["size"])), {})[row["client"]] = float(row["value"])
    for what, title in COUNTED.items():
        for (_, workload, size), values in ((cell, of) for cell, of in got.items() if cell[0] == what):
            peers = judged_peers(workload) if workload in WORKLOADS else PEERS
            # What a clock that is calibrated at the start does to its instructions (README.md) is more than what is judged here.
            noisy = {"sockudo-ws"} if what == "instructions" else set()
            best = min((peer for peer in peers if peer in values and peer not in noisy), key=values.get, default=None)
            for ours in OURS:
                # Calls are told where there is one more, not where there is a thousandth.
                least = 0.5 if what in ("allocations", "syscalls") else 0
                if best and values.get(ours, 0) > values[best] * (1 + NOISE) + least:
                    cell = workload if workload.endswith("footprint") or workload == "memory" else cell_name(workload, size)
                    reason = REASONS.get(f"{what} {cell} {ours}", REASONS.get(f"{what} {cell}", REASONS.get(what, "No reason found yet.")))
                    text += f"- **{title}, {cell}**, {ours}: {number(values[ours])}, {best} {number(values[best])}. {reason}\n"
    return text or "None in this run.\n"


def rows_table(there):
    locked = versions()
    lines = [
        [
            name,
            locked.get(CLIENTS[name].get("crate"), ""),
            CLIENTS[name]["mode"],
            CLIENTS[name]["received"],
            "checked" if CLIENTS[name]["utf8"] else "not checked",
        ]
        for name in there
    ]
    return table(["row", "version", "mode", "received", "UTF-8"], lines)


def times_tables(times, plan, there):
    for name, workload in WORKLOADS.items():
        sizes = [size for measured, size, _ in plan if measured == name]
        lines = []
        for client in there:
            if any((name, size, client) in times.cpu for size in sizes):
                got = lambda size: (
                    f"{number(times.per_second(name, size, client))} / {number(times.ns(name, size, client))} "
                    f"({to_floor(times, name, size, client)})"
                )
                lines.append([client, *map(got, sizes)])
        if lines:
            what = "connections" if 0 in sizes else "messages"
            yield f"### {workload['title']} (`{name}`)\n"
            yield table([f"{what}/s / CPU ns each (to the floor)", *(name_of(s) if s else "" for s in sizes)], lines)


def latency_table(rows):
    got = medians(rows, lambda row: row["what"].startswith("latency-"), lambda row: (row["client"], row["what"]))
    parts = {"p50": "median", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "max": "largest"}
    lines = [
        [client, *(f"{got[client, f'latency-{part}'] / 1000:.1f}" for part in parts)]
        for client in CLIENTS
        if (client, "latency-p50") in got
    ]
    plan = PLAN["latency"]
    about = (
        f"Round trips of {plan['size']} bytes in µs, server and client on two processors: the percentiles of {plan['count']:,}, the median of "
        f"{plan['rounds']} such runs. What the machine's scheduler does to everybody is in them; they are reported and not judged.\n\n"
    )
    return about + table(["", *parts.values()], lines)


def counts_table(rows, what, title):
    got = {(row["workload"], int(row["size"]), row["client"]): float(row["value"]) for row in rows if row["what"] == what}
    columns = list(dict.fromkeys((workload, size) for workload, size, _ in got))
    shown = lambda key: number(max(0, got[key])) if key in got else "–"
    lines = [
        [client, *(shown((*column, client)) for column in columns)]
        for client in CLIENTS
        if any((*column, client) in got for column in columns)
    ]
    if not lines:
        return f"### {title}\n\nNot measured: its tool was not there.\n"
    return f"### {title}\n\n" + table(["", *(cell_name(*column) for column in columns)], lines)


def memory_table(rows, connections):
    got = {(row["what"], row["client"]): float(row["value"]) for row in rows if row["workload"] == "memory"}
    lines = [
        [client, f"{got['idle', client]:.2f}", f"{got['used', client]:.2f}"] for client in CLIENTS if ("idle", client) in got
    ]
    return f"What {connections:,} connections add to the client's resident memory, KiB each.\n\n" + table(
        ["", "idle", "used once"], lines
    )


def footprint_table(rows):
    def of(workload, programs):
        got = {(row["what"], row["client"]): float(row["value"]) for row in rows if row["workload"] == workload}
        lines = [
            [name, *(number(got[what, name]) for what in ("KiB", "crates", "build_cpu_s"))]
            for name in programs
            if ("KiB", name) in got
        ]
        return table(["", "program, KiB", "crates", "build, s of processor time"], lines)

    return (
        "A program that connects, sends a line and receives one: `ws://` alone, no compression, as few features as that takes "
        "([footprint/](footprint)). raw-tokio and web-socket do the handshake by hand. Release, fat LTO, one codegen unit, stripped; the "
        "crates that end up in the program, without itself; a clean build, everything fetched before.\n\n"
        + of("footprint", PLAN["footprint"]["programs"])
        + "\nThe same programs with `wss://` too: rustls 0.23 with ring and TLS 1.2, Mozilla's roots compiled in, still without compression "
        "where it can be left out. The others bring no TLS of their own.\n\n"
        + of("tls-footprint", PLAN["footprint"]["tls"])
    )


# ---- charts ----


def medians(rows, which, key):
    values = {}
    for row in filter(which, rows):
        values.setdefault(key(row), []).append(float(row["value"]))
    return {name: statistics.median(all) for name, all in values.items()}


def draw(about, rows, times):
    """Draws what was measured; the charts' names and titles."""
    where = f"{about['date']}, commit {about['commit']}"
    best = [name for name in CLIENTS if not name.endswith("-default")]
    lines, titles = [], {}

    def chart(name, title):
        titles[name] = title
        lines.append(("chart", f"{name}.svg", f"{title} ({where})"))

    def panel(title, values, show, is_text=False):
        lines.append(("panel", title))
        for client in sorted(values, key=values.get):
            less = ", unchecked" if is_text and not CLIENTS[client]["utf8"] else ""
            lines.append(("bar", client, CLIENTS[client]["role"], str(values[client]), show(values[client]) + less))

    def cells_of(name, title, wanted):
        there = [cell for cell in wanted if any((*cell[:2], client) in times.cpu for client in best)]
        if there:
            chart(name, title)
        for workload, size, what in there:
            values = {c: times.ns(workload, size, c) for c in best if (workload, size, c) in times.cpu}
            panel(what, values, nanoseconds, WORKLOADS[workload].get("text", False))

    cells_of("receive", "Processor time of the client for each received message", [
        ("burst-binary", 16, "16 B binary"), ("burst-text", 128, "128 B text"), ("burst-text", 1024, "1 KiB text"),
        ("burst-deflate", 1024, "1 KiB JSON, compressed"), ("burst-binary", 16384, "16 KiB binary"),
        ("burst-binary", 1 << 20, "1 MiB binary"),
    ])
    cells_of("send", "Processor time of the client for each sent message, 64 a flush", [
        ("batch", 16, "16 B"), ("batch", 128, "128 B"), ("batch", 1024, "1 KiB"), ("batch", 16384, "16 KiB"),
    ])
    cells_of("echo", "Processor time of the client for each round trip", [
        ("echo-same", 125, "125 B"), ("echo-same", 1024, "1 KiB"), ("echo-same", 16384, "16 KiB"),
        ("echo-same", 1 << 20, "1 MiB"), ("connect", 0, "opening a connection"),
    ])
    of = lambda what: {row["client"]: float(row["value"]) for row in rows if row["what"] == what and row["client"] in best}
    if of("idle"):
        chart("memory", f"Memory of the client for each of {int(about.get('connections', 2000)):,} connections")
        for what, title in (("idle", "idle"), ("used", "after one echo")):
            panel(title, of(what), lambda kib: f"{kib:.1f} KiB")
    if of("KiB"):
        chart("footprint", "A small client")
        for workload, which in (("footprint", "ws:// alone"), ("tls-footprint", "ws:// and wss://")):
            part = lambda what: {r["client"]: float(r["value"]) for r in rows if (r["workload"], r["what"]) == (workload, what)}
            panel(f"{which}: stripped program", part("KiB"), lambda kib: f"{kib:,.0f} KiB")
            panel(f"{which}: crates", part("crates"), lambda n: f"{n:.0f}")
            panel(f"{which}: clean build, processor time", part("build_cpu_s"), lambda s: f"{s:.0f} s")
    CHARTS.mkdir(exist_ok=True)
    for old in CHARTS.glob("*.svg"):
        old.unlink()
    text = "".join("\t".join(line) + "\n" for line in lines)
    subprocess.run([HERE / "target" / "release" / "charts", CHARTS], input=text, text=True, check=True)
    return titles


def nanoseconds(ns):
    return f"{number(ns)} ns" if ns < 10_000 else f"{ns / 1000:,.0f} µs"
