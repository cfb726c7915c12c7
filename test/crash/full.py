"""A disk that is full is a state: writes wait or are refused, all else goes on, and it ends."""
# SPDX-License-Identifier: Apache-2.0
import http.client
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import confluent_kafka

from lib import batch
from lib import case
from lib import leatd
from lib import raw

SIZE_MIB = int(os.environ.get("LEAT_FULL_MIB", "256"))
DEADLINE_S = 60 * case.SLOWER
# KAFKA_STORAGE_ERROR, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, THROTTLING_QUOTA_EXCEEDED: retriable.
RETRIABLE = {56, 19, 7, 89}
INSIDE = "LEAT_INSIDE_NAMESPACE"


class FullTest(unittest.TestCase):
    """Runs in a mount namespace of its own, where a small tmpfs is the whole disk."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="leat-full-"))
        self.addCleanup(self.folder.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "leat-test",
                        str(self.folder)], check=True)
        self.addCleanup(subprocess.run, ["umount", str(self.folder)], check=True)
        self.http_port = leatd.free_port()
        self.server = leatd.Server(folder=self.folder, config=f"http: 127.0.0.1:{self.http_port}\n")
        self.addCleanup(self.server.close)
        self.addCleanup(self.say_if_failed)
        self.server.start()

    def say_if_failed(self):
        if case.has_failed(self):
            print(f"\n--- leatd said:\n{self.server.tail()}---", file=sys.stderr)

    def client(self):
        made = raw.Client(self.server.port, timeout_s=DEADLINE_S)
        self.addCleanup(made.close)
        return made

    def health(self):
        page = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=DEADLINE_S)
        try:
            page.request("GET", "/healthz")
            answer = page.getresponse()
            return answer.status, answer.read().decode()
        finally:
            page.close()

    def one(self, size=500000):
        return batch.wrap(self.body(size), 1, int(time.time() * 1000))

    def body(self, size):
        if not hasattr(self, "bodies"):
            self.bodies = {}
        return self.bodies.setdefault(size, batch.record(0, b"k", os.urandom(size)))

    def produce(self, client, topic, data):
        body = client.produce_body(topic, 0, data, timeout_ms=1000)
        return client.produce_answer(client.call(raw.PRODUCE, 7, body))[:2]

    def fill(self, client, topic):
        """Until a produce is refused: (its error code, how many were accepted)."""
        data = self.one()
        for count in range(SIZE_MIB * 4):
            code, offset = self.produce(client, topic, data)
            if code:
                return code, count
            self.assertEqual(offset, count)
        self.fail("more was accepted than there is space")

    def fill_for_good(self, client, topic, size):
        """Until nothing is accepted for a while: the journal may still give space back."""
        data, refused_at = self.one(size), time.monotonic()
        while time.monotonic() < refused_at + 1:
            if self.produce(client, topic, data)[0] == 0:
                refused_at = time.monotonic()

    def assert_readable(self, client, topic, first, count):
        offset = first
        while offset < count:
            code, high, data = client.fetch(topic, 0, offset, size=4 << 20)
            self.assertEqual((code, high), (0, count))
            for each in batch.split(data):
                self.assertEqual(each.offset, offset)
                self.assertTrue(each.data.endswith(self.body(500000)))
                offset += 1

    def assert_writable_again(self, client, topic):
        small = self.one(100)
        self.assertTrue(case.eventually(
            lambda: self.produce(client, topic, small)[0] == 0, DEADLINE_S, step_s=0.1))

    def make(self, client, name, **settings):
        self.assertEqual(client.create_topic(name, 1, settings)[0], 0)
        return name

    def test_full_and_deleted(self):
        client = self.client()
        victim, other = self.make(client, "victim"), self.make(client, "other")
        self.assertEqual(self.produce(client, other, self.one(100)), (0, 0))
        self.assertEqual(self.health()[0], 200)
        code, count = self.fill(client, victim)
        self.assertIn(code, RETRIABLE)
        self.assertGreater(count, 10)
        print(f"\nfull after {count} records of 500 kB, error {code}", flush=True)
        self.assertTrue(self.server.is_alive())
        self.assert_readable(client, victim, 0, count)
        self.assertIn(self.produce(client, other, self.one(400000))[0], RETRIABLE)
        self.assertEqual(client.delete_topic(victim), 0)
        self.assert_writable_again(client, other)
        self.assertEqual(self.health()[0], 200)
        self.assertGreater(self.fill(client, self.make(client, "again"))[1], count // 2)

    def test_full_and_records_deleted(self):
        client = self.client()
        topic = self.make(client, "t", **{"segment.bytes": "8388608"})
        _, count = self.fill(client, topic)
        self.assertEqual(client.delete_records(topic, 0, count // 2), (count // 2, 0))
        self.assert_writable_again(client, topic)
        self.assertEqual(client.list_offset(topic, 0, raw.EARLIEST)[2], count // 2)

    def test_full_and_restarted(self):
        client = self.client()
        topic = self.make(client, "t")
        _, count = self.fill(client, topic)
        self.server.restart(kill=True)
        client = self.client()
        self.assert_readable(client, topic, 0, count)
        self.server.restart()
        client = self.client()
        self.assert_readable(client, topic, 0, count)
        self.assertEqual(client.delete_topic(topic), 0)
        self.assert_writable_again(client, self.make(client, "next"))

    def test_space_that_others_took_and_gave_back(self):
        client = self.client()
        topic = self.make(client, "t")
        self.assertEqual(self.produce(client, topic, self.one(100)), (0, 0))
        ballast = self.folder / "ballast"
        with open(ballast, "wb") as out:
            try:
                while True:
                    out.write(b"\0" * 65536)
                    out.flush()
            except OSError:
                pass
        code = 0
        data = self.one()
        accepted = 1
        for _ in range(SIZE_MIB * 4):
            code, _ = self.produce(client, topic, data)
            if code:
                break
            accepted += 1
        self.assertIn(code, RETRIABLE)
        self.assertEqual(client.fetch(topic, 0, 0)[0], 0)
        ballast.unlink()
        self.assert_writable_again(client, topic)
        self.assertEqual(self.produce(client, topic, data)[0], 0)

    def test_commits_of_offsets_go_on(self):
        client = self.client()
        topic = self.make(client, "t")
        self.commit(topic, 1)
        _, count = self.fill(client, topic)
        for offset in range(2, 12):
            self.commit(topic, offset)
        self.server.restart(kill=True)
        self.assertEqual(self.committed(topic), 11)
        self.assertGreater(count, 10)

    def group(self):
        return confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": "g"})

    def commit(self, topic, offset):
        consumer = self.group()
        try:
            consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 0, offset)],
                            asynchronous=False)
        finally:
            consumer.close()

    def committed(self, topic):
        consumer = self.group()
        try:
            part = confluent_kafka.TopicPartition(topic, 0)
            return consumer.committed([part], DEADLINE_S)[0].offset
        finally:
            consumer.close()

    def test_a_producer_waits_until_there_is_space(self):
        client = self.client()
        topic, next_topic = self.make(client, "t"), self.make(client, "next")
        self.fill(client, topic)
        self.fill_for_good(client, next_topic, 400000)
        said = case.eventually(lambda: "the disk is full" in self.health()[1], DEADLINE_S)
        self.assertTrue(said, "the disk is full, and the server says that it is well")
        outcomes = []
        producer = confluent_kafka.Producer({
            **case.connect(self.server.address), "enable.idempotence": True,
            "retry.backoff.ms": 50, "message.timeout.ms": DEADLINE_S * 1000})
        for _ in range(3):
            producer.produce(next_topic, os.urandom(400000),
                             on_delivery=lambda error, _: outcomes.append(error))
        producer.flush(1.5)
        self.assertEqual(outcomes, [])
        self.assertEqual(client.delete_topic(topic), 0)
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        self.assertEqual(outcomes, [None] * 3)


def enter_namespace():
    """Runs this file again inside a mount namespace; says clearly when that is refused."""
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    probe = subprocess.run([*unshare, "true"], check=False, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
    if probe.returncode != 0:
        print(f"FAILED: this test needs a mount namespace, and '{' '.join(unshare)}' was refused: "
              f"{probe.stdout.decode().strip()}\nRun it as root, or allow user namespaces.")
        return 1
    return subprocess.run([*unshare, sys.executable, *sys.argv], check=False,
                          env={**os.environ, INSIDE: "yes"}).returncode


if __name__ == "__main__":
    if not os.environ.get(INSIDE):
        sys.exit(enter_namespace())
    unittest.main()
