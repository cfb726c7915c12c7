"""The rows beside Apache Kafka: leatd and a real broker (KRaft, one node) under the same load."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import shutil
import subprocess
import time

VERSION = "4.3.0"
HEAP = "1g"
# What bin/kafka-server-start.sh gives to java, but for the heap.
JAVA = ["java", f"-Xmx{HEAP}", f"-Xms{HEAP}", "-server", "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"]
WARM_S = 8  # of the load itself, for both sides: a JVM compiles what it sees often
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""
SIDES = {"kafka": "", "kafka+flush": "log.flush.interval.messages=1\n"}
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def jars_path(build):
    return build.parent / "compat" / f"kafka-{VERSION}"


def fetch_peer(build):
    """Apache Kafka's jars, next to those of ./dev compat."""
    if not shutil.which("java") or not shutil.which("mvn"):
        print("bench: the kafka rows need java and mvn (default-jre-headless, maven)")
        return False
    tool = pathlib.Path(__file__).resolve().parent.parent / "tools/kafka_jars"
    folder = jars_path(build).parent
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([tool, folder, VERSION], stdout=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def kafka(bench, settings, fresh=True, **ready):
    """A broker; fresh: on a newly formatted folder."""
    jars = f"{jars_path(bench.arguments.build)}/*"
    file = bench.folder / "kafka.properties"
    if fresh:
        data = bench.fresh_data()
        file.write_text(settings + SETTINGS.format(port=bench.port, data=data,
                                                   controller=bench.nats_port))
        done = subprocess.run(
            ["java", "-cp", jars, "kafka.tools.StorageTool", "format", "--cluster-id",
             "4L6g3nShT-eMCtK--X86sw", "--config", file],
            capture_output=True, text=True, cwd=bench.folder, check=False)
        if done.returncode != 0:
            raise bench.failed(f"kafka-storage format: {done.stderr.strip()[-300:]}")
    return bench.start([*JAVA, "-cp", jars, "kafka.Kafka", file], pinned=False, wait_s=120,
                       **ready)


def leatd(bench, fresh=True, **ready):
    if fresh:
        bench.fresh_data()
    return bench.leatd(cores=len(bench.all_cpus), pinned=False, **ready)


def servers(bench):
    """(side, how to start it) of what can be measured here."""
    if bench.has_leatd:
        yield "leatd", lambda **options: leatd(bench, **options)
    for side, settings in SIDES.items():
        yield side, lambda settings=settings, **options: kafka(
            bench, settings, **options)


def create_topic(bench, server, shape):
    """Makes it, and waits until every partition takes a batch: Kafka's metadata is early."""
    for attempt in range(30):
        try:
            setup = "create" if attempt == 0 else "none"
            bench.generate(server, **shape, setup=setup, count=1, seconds=0)
            return
        except bench.failed as error:
            if "NOT_LEADER_OR_FOLLOWER" not in str(error):
                raise
            time.sleep(1)
    raise bench.failed("no leaders for all partitions")


class Produce:
    """Produce requests with acks=all for a while, after as many to get warm."""

    def __init__(self, metrics, warm_s=WARM_S, **shape):
        self.metrics = (*metrics, ("rss_mb", "RSS MB", 1))
        self.warm_s = warm_s
        self.shape = shape

    def measure(self, bench):
        out = {}
        for side, start in servers(bench):
            server, _ = start()
            create_topic(bench, server, self.shape)
            for seconds in (self.warm_s, bench.arguments.seconds):
                out[side] = bench.generate(server, **self.shape, setup="none", pinned=False,
                                           seconds=seconds)[0]
            out[side]["rss_mb"] = server.rss_mb()
            server.stop()
        return out


class Fetch:
    """Reading again and again what was just written (tail), or once after a restart (old)."""

    shape = {"record_bytes": 100, "batch_bytes": 16 * KIB}

    def __init__(self, metrics, is_tail):
        self.metrics = metrics
        self.is_tail = is_tail
        self.size = 64 * MIB if is_tail else GIB

    def measure(self, bench):
        count = self.size // (16 * KIB)
        out = {}
        for side, start in servers(bench):
            if side.endswith("+flush"):
                continue  # it reads like the other
            server, _ = start()
            made = bench.generate(server, **self.shape, count=count, seconds=0, in_flight=32)[0]
            batch_records = made["records"] // made["requests"]
            span = {"setup": "none", "to": count * batch_records, "pinned": False}
            if not self.is_tail:
                server.stop()
                server, _ = start(fresh=False)
            warm = {"seconds": WARM_S} if self.is_tail else {"passes": 1, "seconds": 0}
            if self.is_tail:
                span["from"] = count * 3 // 4 * batch_records
            first = bench.generate(server, mode="fetch", **self.shape, **span, **warm)[0]
            again = bench.generate(server, mode="fetch", **self.shape, **span,
                                   seconds=bench.arguments.seconds)[0]
            if not self.is_tail:
                out[f"{side}/first reading"] = first
            out[side if self.is_tail else f"{side}/again"] = again
            server.stop()
        return out


class Start:
    """From the start of the process on a formatted, empty folder; then with nothing to do."""

    def __init__(self, metrics, idle):
        self.metrics = metrics
        self.idle = idle

    def measure(self, bench):
        out = {}
        for side, start in servers(bench):
            if side.endswith("+flush"):
                continue
            server, took = start(topic="bench", setup="metadata")
            out[side] = {**took, **self.idle(server)}
            server.stop()
        return out


def rows(load, small, fetch, start, idle):
    """The rows; the metrics are the runner's."""
    one_record = {"record_bytes": 100, "batch_records": 1}
    return {
        "kafka-16k": ("100 B records, 16 KiB batches, 5 in flight",
                      Produce(load, record_bytes=100, batch_bytes=16 * KIB, in_flight=5)),
        "kafka-1m": ("1 KiB records, 1 MiB batches, 5 in flight",
                     Produce(load, record_bytes=KIB, batch_bytes=MIB, in_flight=5)),
        "kafka-one-record": ("one 100 B record a request, 16 in flight",
                             Produce(small, **one_record, in_flight=16)),
        "kafka-partitions-1000": ("one record for each of 1,000 partitions a request",
                                  Produce(load, 40, **one_record, partitions=1000, in_flight=1)),
        "kafka-fetch-tail": ("the newest 16 MiB again and again, 1 MiB answers",
                             Fetch(fetch, True)),
        "kafka-fetch-old": ("1 GiB that another process wrote, the first time and again",
                            Fetch(fetch, False)),
        "kafka-start": ("empty folder to the first acknowledged record; RSS and CPU at rest",
                        Start(start, idle)),
    }
