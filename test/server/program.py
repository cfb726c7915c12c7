"""leatd as a program: starting, idling, ending, and the words it has for mistakes."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import re
import signal
import socket
import statistics
import struct
import tempfile
import threading
import time
import unittest

import confluent_kafka

from lib import batch
from lib import case
from lib import leatd
from lib import raw

MIB = 1 << 20
START_LIMIT_S = 0.05 if not leatd.SANITIZER else 5
DEADLINE_S = 30 * case.SLOWER


class ProgramTest(case.ServerCase):

    def fresh(self, **options):
        server = leatd.Server(**options)
        self.addCleanup(server.close)
        return server

    def test_starts_in_no_time(self):
        times = []
        for _ in range(7):
            server = self.fresh()
            server.start()
            times.append(server.start_s)
            self.assertEqual(server.stop(), 0)
        again = []
        for _ in range(3):
            server.start()
            again.append(server.start_s)
            self.assertEqual(server.stop(), 0)
        print(f"\nready: first start {statistics.median(times) * 1e3:.1f} ms (worst "
              f"{max(times) * 1e3:.1f}), later {statistics.median(again) * 1e3:.1f} ms", flush=True)
        self.assertLess(statistics.median(times), START_LIMIT_S)
        self.assertLess(statistics.median(again), START_LIMIT_S)

    def test_says_where_it_listens(self):
        self.assertIn(self.server.address, self.server.ready_line)
        self.assertIn(str(self.server.data), self.server.ready_line)
        server = self.fresh(config=f"http: 127.0.0.1:{leatd.free_port()}\n")
        server.start()
        self.assertRegex(server.ready_line, r"Kafka on 127.0.0.1:\d+; HTTP on 127.0.0.1:\d+, data")

    def test_says_so_first(self):
        server = self.fresh()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            server.lines.clear()
            server.start()
            self.assertEqual(server.lines[0].strip(), server.ready_line)
            with raw.Client(server.port) as client:
                client.create_topic(f"said-{server.process.pid}", 1)
            server.stop(number)

    def test_says_who_was_sent_away(self):
        server = self.fresh()
        server.start()
        for sent, words in ((raw.frame(999, 3, 1, b""), "key=999 version=3"),
                            (raw.frame(raw.METADATA, 1, 1, struct.pack(">i", 7)), "api=Metadata"),
                            (struct.pack(">i", -1), "request of -1 bytes")):
            with socket.create_connection(("127.0.0.1", server.port)) as peer:
                peer.settimeout(20)
                address = "peer=%s:%d" % peer.getsockname()
                peer.sendall(sent)
                self.assertEqual(peer.recv(1), b"")
            line = case.eventually(
                lambda at=address: next((s for s in server.lines if at in s), None), 20)
            self.assertIn(words, line)

    def test_idles_small_and_quiet(self):
        server = self.fresh(memory=None)
        server.start()
        with raw.Client(server.port) as client:
            self.assertEqual(client.api_versions()[0], 0)
        pause = threading.Event()
        pause.wait(1)
        before = server.cpu_s()
        pause.wait(3)
        spent = server.cpu_s() - before
        rss = server.rss_bytes()
        print(f"\nidle: {rss / MIB:.1f} MiB, {spent * 1e3:.0f} ms of CPU in 3 s", flush=True)
        if not leatd.SANITIZER:
            self.assertLessEqual(rss, 10 * MIB)
            self.assertLessEqual(spent, 0.02)

    def test_ends_when_asked(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.fresh()
            server.start()
            self.assertEqual(server.stop(number), 0)

    def test_nothing_in_flight_is_lost_at_the_end(self):
        server = self.fresh()
        server.start()
        with raw.Client(server.port) as client:
            self.assertEqual(client.create_topic("t", 4)[0], 0)
        outcomes = []
        producer = confluent_kafka.Producer({
            **case.connect(server.address), "enable.idempotence": True, "linger.ms": 1,
            "message.timeout.ms": DEADLINE_S * 1000})
        for life in range(3):
            for i in range(3000):
                producer.produce("t", b"%d" % i, partition=i % 4,
                                 on_delivery=lambda error, _: outcomes.append(error))
                producer.poll(0)
            self.assertEqual(server.stop(), 0)
            server.start()
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        self.assertEqual((len(outcomes), [each for each in outcomes if each]), (9000, []))
        with raw.Client(server.port) as client:
            ends = [client.list_offset("t", p, raw.LATEST)[2] for p in range(4)]
        self.assertEqual(ends, [2250] * 4)

    def test_requests_under_way_are_answered_at_the_end(self):
        server = self.fresh()
        server.start()
        with raw.Client(server.port, timeout_s=DEADLINE_S) as client:
            self.assertEqual(client.create_topic("t")[0], 0)
            one = batch.build([(None, b"x" * 1000, ())], int(time.time() * 1000))
            sent = [client.send(raw.PRODUCE, 7, client.produce_body("t", 0, one))
                    for _ in range(20)]
            self.assertEqual(client.receive()[0], sent[0])
            server.process.send_signal(signal.SIGTERM)
            answered = 1
            try:
                while answered < len(sent):
                    _, reader = client.receive()
                    if client.produce_answer(reader)[0] == 0:
                        answered += 1
            except raw.Closed:
                pass
            self.assertEqual(server.wait(), 0)
        server.start()
        with raw.Client(server.port) as client:
            self.assertGreaterEqual(client.list_offset("t", 0, raw.LATEST)[2], answered)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with tempfile.TemporaryDirectory() as folder:
                code, words = leatd.run(
                    ["--data", folder, "--listen", f"127.0.0.1:{port}", *leatd.QUIET])
        self.assertNotEqual(code, 0)
        self.assertIn(f"127.0.0.1:{port}", words)
        self.assertRegex(words, r"in use")

    def test_a_start_that_fails_takes_nothing_away(self):
        server = self.fresh()
        server.start()
        with raw.Client(server.port) as client:
            self.assertEqual(client.create_topic("t")[0], 0)
            one = batch.build([(None, b"kept", ())], int(time.time() * 1000))
            self.assertEqual(client.produce("t", 0, one)[0], 0)
        server.kill()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            code, words = leatd.run(["--data", str(server.data), "--listen",
                                     f"127.0.0.1:{taken.getsockname()[1]}", *leatd.QUIET])
        self.assertEqual(code, 1, words)
        self.assertRegex(words, r"in use")
        server.start()
        with raw.Client(server.port) as client:
            self.assertEqual(client.list_offset("t", 0, raw.LATEST)[2], 1)

    def test_a_data_folder_that_is_locked(self):
        code, words = leatd.run(["--data", str(self.server.data), "--listen",
                                 f"127.0.0.1:{leatd.free_port()}", *leatd.QUIET])
        self.assertNotEqual(code, 0)
        self.assertIn(str(self.server.data), words)
        self.assertRegex(words, r"lock|in use|another")
        self.assertEqual(self.raw().api_versions()[0], 0)

    def test_a_data_folder_that_cannot_be(self):
        with tempfile.NamedTemporaryFile() as file:
            code, words = leatd.run(["--data", file.name, "--listen",
                                     f"127.0.0.1:{leatd.free_port()}", *leatd.QUIET])
        self.assertNotEqual(code, 0)
        self.assertIn(f"{file.name}: a folder is expected", words)

    def check(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "leat.conf")
            path.write_text(text, encoding="utf-8")
            code, words = leatd.run(["--check", str(path)], cwd=folder)
            self.assertFalse(os.path.exists(pathlib.Path(folder, "leat-data")))
            return code, words, path

    def test_check_of_a_good_file(self):
        code, words, path = self.check("cores: 1\nkafka {\n  num.partitions: 3\n}\n")
        self.assertEqual((code, words), (0, f"{path}: fine\n"))

    def test_check_of_bad_files(self):
        cases = {
            "cores: 1\nmemory: few\n": 2,
            "cores: 1\n\nnothing.known: 3\n": 3,
            "kafka {\n  num.partitions: 0\n}\n": 2,
            "kafka {\n  log.cleaner.threads: 2\n}\n": 2,
            "kafka {\n  num.partitions: 1\n": None,
            "jetstream {\n}\n": 1,
            "kafka {\n\n\n  listen: \"nowhere:xx\"\n}\n": 4,
        }
        for text, line in cases.items():
            with self.subTest(text=text):
                code, words, path = self.check(text)
                self.assertNotEqual(code, 0)
                pattern = re.escape(str(path)) + ":" + (str(line) if line else r"\d+") + r"\b"
                self.assertRegex(words, pattern)

    def test_check_of_a_missing_file(self):
        code, words = leatd.run(["--check", "/nowhere/at/all.conf"])
        self.assertNotEqual(code, 0)
        self.assertIn("/nowhere/at/all.conf", words)

    def test_bad_options(self):
        for arguments in (["--nonsense"], ["--data"], ["--cores", "many"], ["--memory", "1"],
                          ["--listen", "127.0.0.1:99999"]):
            with self.subTest(arguments=arguments):
                code, words = leatd.run(arguments)
                self.assertNotEqual(code, 0)
                self.assertIn(arguments[0], words)

    def test_version_and_help(self):
        code, words = leatd.run(["--version"])
        self.assertEqual(code, 0)
        self.assertRegex(words, r"^leatd \d+\.\d+\.\d+\n$")
        code, words = leatd.run(["--help"])
        self.assertEqual(code, 0)
        self.assertIn("--data", words)


if __name__ == "__main__":
    unittest.main()
