"""What `run` measures, as workloads.toml says it."""

import pathlib
import tomllib

from measure import opens

HERE = pathlib.Path(__file__).resolve().parent
PLAN = tomllib.loads((HERE / "workloads.toml").read_text())
CLIENTS = {client["name"]: client for client in PLAN["clients"]}
QUICK = [name for name, client in CLIENTS.items() if client.get("quick")]
WORKLOADS = {workload["name"]: workload for workload in PLAN["workload"]}
FLOOR = PLAN["plan"]["floor"]
PEERS = [name for name, client in CLIENTS.items() if client["role"] == "peer"]
OURS = [name for name, client in CLIENTS.items() if client["role"] == "ours"]


def command_of(client):
    """The command of a row up to `WORKLOAD SIZE COUNT ADDR`."""
    if program := CLIENTS[client].get("program"):
        return [program[0], HERE / program[1]]
    base = client.removesuffix("-default")
    return [HERE / "target" / "release" / f"client-{base}", *(["--default"] if base != client else [])]


def cells(quick):
    """Workload, size and messages of each cell."""
    return [
        (name, int(size), count)
        for name, workload in WORKLOADS.items()
        if not (quick and workload.get("full_only"))
        for size, count in workload["counts"].items()
    ]


def measured_by(workload, clients):
    """Those rows that the workload says something about."""
    if workload == "burst-deflate":
        return [client for client in clients if CLIENTS[client].get("deflate")]
    if workload.startswith("tls-"):
        clients = [client for client in clients if CLIENTS[client].get("tls")]
    if opens(workload):
        return [client for client in clients if CLIENTS[client].get("own_handshake", True)]
    return list(clients)


def share_of(client, count):
    return max(1, round(count * CLIENTS[client].get("share", 1)))


def judged_peers(workload):
    """Peers that do the same work: where there is text, those that check it."""
    is_text = WORKLOADS[workload].get("text", False)
    return [peer for peer in PEERS if not is_text or CLIENTS[peer]["utf8"]]
