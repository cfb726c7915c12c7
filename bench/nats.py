"""The rows of NATS: leatd, nats-server where it is there, and the floor, with bench_natsgen."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import shutil
import socket
import subprocess
import time

FLOW = (("records_s", "messages/s", 0), ("mb_s", "MB/s", 1), ("cpu_s_m", "CPU s/M messages", 4))
REQUEST = (("records_s", "requests/s", 0), ("cpu_us_request", "CPU us/request", 1),
           ("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0))
IDLE = (("kb_connection", "kB/connection", 2), ("rss_mb", "RSS MB", 1))
START_S = 30


def peer_path(build):
    """Where Debian's nats-server lies when it was fetched, or the system's, or None."""
    fetched = build / "nats-server/usr/sbin/nats-server"
    found = fetched if fetched.exists() else shutil.which("nats-server")
    return pathlib.Path(found) if found else None


def fetch_peer(build):
    """Debian's package, taken apart in the build folder; nothing is installed."""
    folder = build / "nats-server"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", "-q", "nats-server"], cwd=folder, check=True)
        for package in folder.glob("nats-server_*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench: nats-server cannot be had: {error}")


def commands(bench, cores):
    """{side: (command, environment)} of what can be measured here."""
    port = str(bench.nats_port)
    found = {"floor": ([bench.floor_path.with_name("bench_natsfloor"), "--port", port], {})}
    peer = peer_path(bench.arguments.build)
    if peer:
        found["nats-server"] = ([peer, "-a", "127.0.0.1", "-p", port], {"GOMAXPROCS": str(cores)})
    if bench.has_leatd:
        found["leatd"] = ([bench.leatd_path, "--data", str(bench.folder / "data"), "--listen",
                           f"127.0.0.1:{bench.port}", "--nats-listen", f"127.0.0.1:{port}",
                           "--cores", str(cores)], {})
    return found


def await_info(bench, server):
    until = time.monotonic() + START_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", bench.nats_port), timeout=START_S) as probe:
                if probe.recv(4) == b"INFO":
                    return
        except OSError:
            pass
        if server.process.poll() is not None or time.monotonic() > until:
            raise bench.failed(f"no INFO: {server.last_words()}")
        time.sleep(0.02)


class Nats:
    """One shape of load; every side in turn, with a process of its own."""

    def __init__(self, metrics=FLOW, cores=1, **shape):
        self.metrics = metrics
        self.cores = cores
        self.shape = shape

    def measure(self, bench):
        out = {}
        pinned = self.cores == 1
        for side, (command, environment) in commands(bench, self.cores).items():
            bench.fresh_data()
            server = bench.launch(command, pinned, environment)
            await_info(bench, server)
            out[side] = self.generate(bench, server, pinned)
            server.stop()
        return out

    def generate(self, bench, server, pinned):
        command = [bench.floor_path.with_name("bench_natsgen"), "--json", "1", "--port",
                   bench.nats_port, "--pid", server.pid, "--seconds", bench.arguments.seconds]
        for name, value in self.shape.items():
            command += ["--" + name.replace("_", "-"), value]
        cpus = bench.generator_cpus if pinned else bench.all_cpus
        generator = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        return bench.outcome(generator, server)[0]


ROWS = {
    "nats-publish-16": ("16 B messages that nobody gets", Nats(size=16)),
    "nats-publish-128": ("128 B messages that nobody gets", Nats(size=128)),
    "nats-publish-1k": ("1 KiB messages that nobody gets", Nats(size=1024)),
    "nats-publish-64k": ("64 KiB messages that nobody gets", Nats(size=65536)),
    "nats-publish-single": ("128 B messages that nobody gets, a write for each",
                            Nats(size=128, single=1)),
    "nats-1-1": ("one publisher, one subscriber, 128 B", Nats(size=128, subscribers=1)),
    "nats-1-10": ("one publisher, ten subscribers, 128 B; messages delivered",
                  Nats(size=128, subscribers=10)),
    "nats-4-4": ("four pairs, each on a subject of its own, 128 B",
                 Nats(size=128, publishers=4, subscribers=4, subjects=4)),
    "nats-4-4-cores-2": ("the same with two cores, nothing pinned",
                         Nats(size=128, publishers=4, subscribers=4, subjects=4, cores=2)),
    "nats-queue": ("one publisher, a queue group of four, 128 B",
                   Nats(size=128, subscribers=4, queue=1)),
    "nats-request-1": ("request and reply, 16 B, one in flight",
                       Nats(REQUEST, mode="request", size=16, in_flight=1)),
    "nats-request-64": ("request and reply, 16 B, 64 in flight",
                        Nats(REQUEST, mode="request", size=16, in_flight=64)),
    "nats-1000-1": ("1,000 publishers with a write for each 128 B message, one subscriber",
                    Nats(size=128, publishers=1000, subscribers=1, single=1)),
    "nats-idle": ("10,000 connections with a subscription each and nothing to do",
                  Nats(IDLE, mode="idle", connections=10000)),
}
