"""Garbage, lies, slow bytes and crowds at a live port, beside a client that must not notice."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import gzip
import multiprocessing
import os
import queue
import random
import resource
import socket
import struct
import time
import unittest
import uuid

from lib import batch
from lib import case
from lib import flex
from lib import imagine
from lib import raw
from lib import share

MIB = 1 << 20
MEMORY_MIB = 128
RSS_MAX_BYTES = (MEMORY_MIB + 64) * MIB
LATENCY_WORST_S = 1.0 * case.SLOWER
IDLE_COUNT = 5000
DEADLINE_S = 60 * case.SLOWER
LIST_TRANSACTIONS = 66
SHARE_DESCRIBE, SHARE_FETCH, SHARE_OFFSETS = 77, 78, 90
INVALID_PATTERN = 128
IMAGINED_ROUNDS = int(os.environ.get("LEAT_ROUNDS", "6"))
SEED = int(os.environ.get("LEAT_SEED", "7"))


def stay_healthy(port, topic, served, ended):
    """Produces and fetches one record after the other; sends how long each round took."""
    with raw.Client(port, timeout_s=DEADLINE_S) as client:
        offset = client.list_offset(topic, 0, raw.LATEST)[2]
        while not ended.wait(0.002):
            one = batch.build([(None, b"healthy", ())], int(time.time() * 1000))
            began = time.monotonic()
            if client.produce(topic, 0, one)[:2] != (0, offset):
                raise AssertionError("the healthy client was refused")
            if client.fetch(topic, 0, offset)[0] != 0:
                raise AssertionError("the healthy client could not read")
            served.put(time.monotonic() - began)
            offset += 1


class Healthy:
    """The healthy client, in a process of its own, so that only the server can slow it down."""

    def __init__(self, port, topic):
        context = multiprocessing.get_context("fork")
        self.served = context.Queue()
        self.ended = context.Event()
        self.process = context.Process(
            target=stay_healthy, args=(port, topic, self.served, self.ended), daemon=True)
        self.process.start()
        self.delays = []

    def wait_for(self, count):
        """Takes what was measured until count more rounds went well; False when they do not."""
        wanted = len(self.delays) + count
        deadline = time.monotonic() + DEADLINE_S
        while len(self.delays) < wanted or not self.served.empty():
            try:
                self.delays.append(self.served.get(timeout=1))
            except queue.Empty:
                if not self.process.is_alive() or time.monotonic() > deadline:
                    return False
        return True

    def stop(self):
        self.ended.set()
        while self.process.is_alive():
            with contextlib.suppress(queue.Empty):
                self.delays.append(self.served.get(timeout=0.1))
        self.process.join(DEADLINE_S)
        return self.process.exitcode


class GarbageTest(case.ServerCase):

    memory = f"{MEMORY_MIB}mib"

    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        self.topic = self.make_topic()
        self.healthy = Healthy(self.server.port, self.topic)
        self.pid = self.server.process.pid

    def tearDown(self):
        """Whatever the test did: the server lives, is slim, and the healthy client was served."""
        self.healthy.wait_for(0)
        went_on = self.healthy.wait_for(10)
        code = self.healthy.stop()
        self.assertTrue(self.server.is_alive(), "the server is gone")
        self.assertEqual(self.server.process.pid, self.pid)
        self.assertTrue(went_on, "the healthy client is served no more")
        self.assertEqual(code, 0, "the healthy client ended with an error")
        worst = max(self.healthy.delays)
        peak = self.server.rss_peak_bytes()
        print(f"\n{self._testMethodName}: worst of {len(self.healthy.delays)} rounds "
              f"{worst * 1e3:.1f} ms, memory at most {peak / MIB:.1f} MiB", flush=True)
        self.assertLess(worst, LATENCY_WORST_S)
        if not case.leatd.SANITIZER:
            self.assertLess(peak, RSS_MAX_BYTES)

    def open(self):
        made = socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE_S)
        self.addCleanup(made.close)
        return made

    def throw(self, data):
        """Sends data on a new connection, which the server may close at any time."""
        with contextlib.suppress(ConnectionError):
            with self.open() as thrown:
                thrown.sendall(data)
                thrown.shutdown(socket.SHUT_WR)
                while thrown.recv(65536):
                    pass

    def assert_closed(self, data):
        """The server closes the connection by itself after data."""
        opened = self.open()
        with contextlib.suppress(ConnectionError):
            opened.sendall(data)
            while opened.recv(65536):
                pass
        opened.close()

    def test_noise(self):
        for _ in range(300):
            self.throw(self.dice.randbytes(self.dice.randrange(1, 3000)))

    def test_other_protocols(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                     b"CONNECT {\"verbose\":false}\r\nPING\r\n", b"SSH-2.0-x\r\n", b"\r\n" * 500):
            self.throw(data)

    def test_lengths_that_lie(self):
        for size in (-1, -2**31, 2**31 - 1, 100 * MIB + 1, 0, 1, 3, 7):
            with self.subTest(size=size):
                self.assert_closed(struct.pack(">i", size) + b"\0" * 100)

    def test_large_announcements_cost_nothing(self):
        held = []
        for _ in range(200):
            held.append(self.open())
            held[-1].sendall(struct.pack(">ihhi", 90 * MIB, 0, 7, 1) + b"\0\4leat")
        self.assertEqual(self.raw().api_versions()[0], 0)
        for each in held:
            each.close()

    def test_counts_that_lie(self):
        client_id = raw.string("x")
        for key, (low, high) in self.raw().api_versions()[1].items():
            for version in {low, high}:
                for lie in (b"\x7f\xff\xff\xff" * 8, b"\xff" * 40, b"\xff\xff\xff\xff\x0f" * 8,
                            b"\x80" * 60, b"\x7f\xff" * 20):
                    head = struct.pack(">hhi", key, version, 1) + client_id
                    for start in (b"", b"\0", b"\0\0\0\0", b"\0\1x", b"\0\0\0\1\0\1x"):
                        body = head + start + lie
                        self.throw(struct.pack(">i", len(body)) + body)

    def test_cut_requests_of_every_api(self):
        for key, (low, high) in self.raw().api_versions()[1].items():
            for version in range(low, high + 1):
                head = struct.pack(">hhi", key, version, 9) + raw.string("cut")
                for tail in (b"", b"\0", self.dice.randbytes(9), b"\0" * 30):
                    body = head + tail
                    self.throw(struct.pack(">i", len(body)) + body)
                self.throw(struct.pack(">i", len(head) + 50) + head)

    def test_requests_with_flipped_bytes(self):
        good = batch.build([(b"k", b"value" * 20, [(b"h", b"x")])] * 3, int(time.time() * 1000))
        requests = [
            (raw.PRODUCE, 7, raw.Client.produce_body("flipped", 0, good)),
            (raw.FETCH, 4, raw.Client.fetch_body(self.topic, 0, 0, wait_ms=1)),
            (raw.METADATA, 4, raw.array([raw.string("flipped-topic")]) + b"\0"),
            (raw.LIST_OFFSETS, 1, struct.pack(">i", -1) + raw.array([raw.string(self.topic)
                                  + raw.array([struct.pack(">iq", 0, -1)])])),
            (raw.INIT_PRODUCER_ID, 1, raw.string(None) + struct.pack(">i", 1000)),
        ]
        self.make_topic(name="flipped")
        for api, version, body in requests:
            for _ in range(120):
                data = bytearray(raw.frame(api, version, 1, body))
                for _ in range(self.dice.randrange(1, 4)):
                    data[self.dice.randrange(4, len(data))] = self.dice.randrange(256)
                self.throw(bytes(data))

    def test_imagined_requests_of_every_api(self):
        """Well-formed requests are answered or the connection closed; damaged ones hurt nobody."""
        names = [self.make_topic() for _ in range(3)] + ["group", "id", "member"]
        imagination = imagine.Imagination(self.dice, names)
        for _ in range(IMAGINED_ROUNDS):
            for key, (low, high) in self.raw().api_versions()[1].items():
                data = imagination.frame(key, self.dice.randint(low, high))
                if not data:
                    continue
                if key != raw.PRODUCE:  # which may want no answer
                    self.ask(data)
                for _ in range(3):
                    self.throw(imagine.damaged(self.dice, data))

    def ask(self, data):
        """Sends a request; an answer comes, or the end of the connection."""
        asked = self.open()
        api = struct.unpack_from(">hh", data, 4)
        with contextlib.suppress(ConnectionError):
            asked.sendall(data)
            try:
                asked.recv(65536)
            except TimeoutError:
                self.fail(f"no answer to a request of API {api}: {data.hex()}")
        asked.close()

    def test_small_requests_with_large_answers(self):
        """What is made for a request counts, not only what it brings; memory: see tearDown."""
        parts = raw.varint(400000 + 1) + struct.pack(">i", 1) * 400000
        body = b"\0" + raw.compact_array([raw.compact("nosuch") + parts + b"\0"]) + b"\0"
        many = [self.open() for _ in range(4)]
        for each in many:
            each.sendall(raw.frame(raw.DESCRIBE_PRODUCERS, 0, 1, body))
        for each in many:
            with contextlib.suppress(ConnectionError):
                each.recv(1)
        group = self.make_topic()
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            names = [f"{i:0200}" for i in range(2500)]
            joined = client.heartbeat(group, "m", 0, topics=names, rebalance_ms=1000, owned={})
            self.assertEqual(joined["code"], 0)
            self.assertEqual(client.describe(group)["code"], 0)
            body = flex.array([flex.string(group)] * 2000) + b"\0" + flex.TAGS
            with contextlib.suppress(ConnectionError, raw.Closed):
                client.ask(flex.DESCRIBE, 1, body)
        member = share.Member(self, group + "-share", "m", uuid.UUID(int=0))
        self.assertEqual(member.heartbeat(0, names)["code"], 0)
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            body = flex.array([flex.string(group + "-share")] * 2000) + b"\0" + flex.TAGS
            with contextlib.suppress(ConnectionError, raw.Closed):
                client.ask(SHARE_DESCRIBE, 1, body)
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            parts = raw.varint(150000 + 1) + struct.pack(">i", 0) * 150000
            named = flex.array([flex.string(self.topic) + parts + flex.TAGS])
            body = flex.array([flex.string(group) + named + flex.TAGS] * 8) + flex.TAGS
            with contextlib.suppress(ConnectionError, raw.Closed):
                client.ask(SHARE_OFFSETS, 1, body)
        wide = self.make_topic(200)
        offsets = [struct.pack(">iq", i, 1) + raw.string("m" * 4000) for i in range(200)]
        commit = (raw.string(group + "-of") + struct.pack(">i", -1) + raw.string("")
                  + struct.pack(">q", -1) + raw.array([raw.string(wide) + raw.array(offsets)]))
        self.raw().call(flex.OFFSET_COMMIT, 2, commit)
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            one = flex.string(group + "-of") + b"\0" + flex.TAGS
            with contextlib.suppress(ConnectionError, raw.Closed):
                client.ask(flex.OFFSET_FETCH, 8, flex.array([one] * 1000) + b"\0" + flex.TAGS)
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            self.assertEqual(client.describe(group)["code"], 0)

    def test_sessions_with_many_partitions(self):
        """What one request names is looked up, not searched for; time: see tearDown."""
        rows = flex.array([struct.pack(">i", index) + b"\1" + flex.TAGS for index in range(25000)])
        named = flex.array([b"no such topic  x" + rows + flex.TAGS])
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            for epoch in range(2):
                reader = client.ask(SHARE_FETCH, 2, flex.string("group") + flex.string("member")
                                    + struct.pack(">iiiiiibb", epoch, 0, 1, 1000, 1, 1, 1, 0)
                                    + named + flex.array([]) + flex.TAGS)
                self.assertEqual(reader.take("ih")[1], 0)

    def test_lists_with_many_filters(self):
        """They are held against all that there is, and most of them say nothing."""
        name = self.topic_name()
        client = self.raw()
        reader = client.call(raw.INIT_PRODUCER_ID, 1, raw.string(name) + struct.pack(">i", 1000))
        reader.take("i")
        _, producer = reader.take("hq")
        many = 10000

        def listed(states, producers):
            with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
                reader = client.ask(LIST_TRANSACTIONS, 2,
                                    flex.array([flex.string(state) for state in states])
                                    + flex.array([struct.pack(">q", one) for one in producers])
                                    + struct.pack(">q", -1) + flex.string(name) + flex.TAGS)
                self.assertEqual(reader.take("ih")[1], 0)
                unknown = reader.values(reader.text)
                return set(unknown), reader.rows(
                    lambda: (reader.text(), reader.take("q"), reader.text()))

        row = [(name, producer, "Empty")]
        others = [producer + 1 + one for one in range(many)]
        self.assertEqual(listed([], []), (set(), row))
        self.assertEqual(listed(["no"] * many + ["Empty"] * many, others + [producer]),
                         ({"no"}, row))
        self.assertEqual(listed(["Ongoing"] * many, []), (set(), []))
        self.assertEqual(listed(["no"] * many, []), ({"no"}, []))
        self.assertEqual(listed(["Empty"], others), (set(), []))

    def test_patterns_that_take_long(self):
        with flex.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            for _ in range(3):
                name = self.topic_name("a" * 20000)
                client.call(raw.INIT_PRODUCER_ID, 1, raw.string(name) + struct.pack(">i", 1000))
            for pattern, code in ((".*", 0), ("(?:(?:a*){1000}){6}", INVALID_PATTERN)):
                body = b"\1\1" + struct.pack(">q", -1) + flex.string(pattern) + flex.TAGS
                reader = client.ask(LIST_TRANSACTIONS, 2, body)
                self.assertEqual(reader.take("ih")[1], code)

    def test_unknown_apis_and_versions(self):
        for key, version in ((1000, 0), (-1, 0), (32767, 3), (4, 0), (raw.METADATA, 99),
                             (raw.METADATA, -1), (raw.PRODUCE, 2), (raw.FETCH, 3)):
            with self.subTest(key=key, version=version):
                self.assert_closed(raw.frame(key, version, 1, b"\0" * 40))

    def test_slow_bytes(self):
        data = raw.frame(raw.API_VERSIONS, 0, 5, b"")
        slow = [self.open() for _ in range(300)]
        for at in range(len(data)):
            for each in slow:
                each.sendall(data[at:at + 1])
        for each in slow:
            reader = raw.Client.__new__(raw.Client)
            reader.socket = each
            self.assertEqual(reader.receive()[0], 5)

    def test_clients_that_do_not_read(self):
        topic = self.make_topic()
        with raw.Client(self.server.port, timeout_s=DEADLINE_S) as client:
            for _ in range(8):
                one = batch.build([(None, b"x" * 900000, ())], int(time.time() * 1000))
                self.assertEqual(client.produce(topic, 0, one)[0], 0)
        request = raw.frame(raw.FETCH, 4, 1, raw.Client.fetch_body(topic, 0, 0))
        deaf = []
        for _ in range(50):
            deaf.append(self.open())
            deaf[-1].setblocking(False)
            for _ in range(20):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    deaf[-1].send(request)
        self.assertEqual(self.raw().api_versions()[0], 0)

    def test_decompression_bombs(self):
        zeros = gzip.compress(b"\0" * (200 * MIB), 9)
        record = batch.record(0, None, b"\0" * (100 * MIB))
        bombs = [(1, zeros, 1), (1, gzip.compress(record, 9), 1),
                 (1, zeros, 10**6), (2, b"\xff\xff\xff\xff\x0f" + b"\0" * 50, 1),
                 (3, b"\x04\x22\x4d\x18\x60\x70\x73" + b"\xff" * 50, 1),
                 (4, b"\x28\xb5\x2f\xfd\xa0\xff\xff\xff\x7f" + b"\0" * 40, 1)]
        client = self.raw()
        for kind, kept in (("producer", {1, 2, 3, 4}), ("zstd", {4}), ("uncompressed", set())):
            topic = self.make_topic(settings={"compression.type": kind})
            for codec, body, count in bombs:
                data = batch.wrap(body, count, int(time.time() * 1000), attributes=codec)
                with self.subTest(kind=kind, codec=codec, size=len(body)):
                    # What is kept as it is, is never opened; what must be opened is refused.
                    self.assertEqual(client.produce(topic, 0, data)[0] == 0, codec in kept)

    def test_a_crowd_that_says_nothing(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = IDLE_COUNT + 500
        if soft < needed:
            self.assertTrue(hard >= needed or hard == resource.RLIM_INFINITY,
                            f"the limit of open files is {hard}, {needed} are needed")
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        before = self.server.rss_bytes()
        with contextlib.ExitStack() as crowd:
            for _ in range(IDLE_COUNT):
                crowd.enter_context(
                    socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE_S))
            self.assertEqual(self.raw().api_versions()[0], 0)
            self.assertTrue(case.eventually(
                lambda: self.server.open_files() >= IDLE_COUNT, DEADLINE_S))
            each = (self.server.rss_bytes() - before) / IDLE_COUNT
            print(f"\n{IDLE_COUNT} idle connections: {each:.0f} bytes each", flush=True)
        self.assertTrue(case.eventually(lambda: self.server.open_files() < 500, DEADLINE_S))


if __name__ == "__main__":
    unittest.main()
