"""Compacted topics: the newest of each key survives load and kills, with its offset."""
# SPDX-License-Identifier: Apache-2.0
import random
import subprocess
import threading
import unittest

import confluent_kafka
from confluent_kafka import admin

from lib import case

DEADLINE_S = 60 * case.SLOWER
KEYS = 200
VALUE_SIZE = 2000
RECORDS = 6000 // min(case.SLOWER, 2)
MIB = 1 << 20
POLICY_VIOLATION = 44
SETTINGS = {"cleanup.policy": "compact", "segment.bytes": str(MIB),
            "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}


class CompactTest(case.ServerCase):

    config = "kafka { log.cleaner.backoff.ms: 50 }"

    def producer(self, **more):
        return confluent_kafka.Producer({
            **case.connect(self.server.address), "enable.idempotence": True, "linger.ms": 2,
            "retry.backoff.ms": 10, "message.timeout.ms": int(DEADLINE_S * 1000), **more})

    def fill(self, topic, model, count, codec="none", beside=lambda sent: None):
        """Sends random keys with numbered values, one in ten a tombstone; model gets the newest."""
        errors = []
        producer = self.producer(**{"compression.type": codec})

        def delivered(error, _):
            if error:
                errors.append(error)

        for number in range(count):
            key = b"%d" % random.randrange(KEYS)
            value = None if number % 10 == 0 else (b"%d:" % number).ljust(VALUE_SIZE, b".")
            model[key] = value
            producer.produce(topic, value, key, partition=0, on_delivery=delivered)
            producer.poll(0 if number % 50 else 0.005)
            beside(number)
        self.assertEqual((producer.flush(DEADLINE_S), errors), (0, []))
        return producer

    def kcat(self, topic, *more):
        """Everything from the beginning on: (offset, key, value or None)."""
        done = subprocess.run(
            ["kcat", "-b", self.server.address, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
             "-Z", "-f", "%o|%k|%S|%s\n", "-X", "check.crcs=true", *more],
            check=True, stdout=subprocess.PIPE, timeout=DEADLINE_S)
        out = []
        for line in done.stdout.splitlines():
            offset, key, size, value = line.split(b"|", 3)
            out.append((int(offset), key, None if size == b"-1" else value))
        return out

    def log_bytes(self):
        return sum(each.stat().st_size for each in self.server.data.glob("logs/*/*.log"))

    def cleanings(self):
        return sum("compacted log=" in line for line in list(self.server.lines))

    def assert_newest(self, topic, model):
        """What is read gives the model's map, in the order of offsets; returns the records."""
        records = self.kcat(topic)
        offsets = [offset for offset, _, _ in records]
        self.assertEqual(offsets, sorted(set(offsets)))
        newest = {key: value for _, key, value in records}
        self.assertEqual({key: value for key, value in newest.items() if value is not None},
                         {key: value for key, value in model.items() if value is not None})
        return records

    def assert_shrinks(self, limit):
        self.assertTrue(case.eventually(lambda: self.log_bytes() < limit, DEADLINE_S, 0.1),
                        f"{self.log_bytes()} bytes are left")

    def test_newest_of_each_key_through_kills(self):
        topic = self.make_topic(settings=SETTINGS)
        model = {}
        before = self.log_bytes()

        def kill(sent):
            if sent in (RECORDS // 3, RECORDS * 2 // 3):
                case.eventually(self.cleanings, 5 * case.SLOWER)
                self.server.restart(kill=True)

        self.fill(topic, model, RECORDS, beside=kill)
        self.assert_newest(topic, model)
        self.assert_shrinks(before + RECORDS * VALUE_SIZE // 3)
        records = self.assert_newest(topic, model)
        self.assertLess(len(records), RECORDS // 2)
        self.assertGreater(records[0][0], 0)
        gaps = sum(b[0] - a[0] > 1 for a, b in zip(records, records[1:]))
        self.assertGreater(gaps, 10)
        self.server.restart(kill=True)
        again = self.assert_newest(topic, model)
        self.assertEqual(again[-1], records[-1])
        # from the middle of a gap on: the next that is there
        at = next(i for i, (a, b) in enumerate(zip(again, again[1:])) if b[0] - a[0] > 1)
        client = self.raw()
        code, _, data = client.fetch(topic, 0, again[at][0] + 1)
        self.assertEqual(code, 0)
        self.assertTrue(data)
        wanted = self.kcat(topic, "-o", str(again[at][0] + 1), "-c", "1")
        self.assertEqual(wanted[0], again[at + 1])

    def test_every_codec(self):
        for codec in ("lz4", "zstd"):
            with self.subTest(codec=codec):
                topic = self.make_topic(settings={**SETTINGS, "segment.bytes": str(MIB)})
                model = {}
                producer = self.fill(topic, model, RECORDS // 6, codec)
                rest = random.randbytes(150_000).hex()  # fills segments: others are cleaned
                cleaned = self.cleanings()
                for _ in range(8):
                    producer.produce(topic, rest, b"rest", partition=0)
                    producer.flush(DEADLINE_S)
                self.assertTrue(case.eventually(lambda: self.cleanings() > cleaned, DEADLINE_S))
                records = self.kcat(topic)
                newest = {key: value for _, key, value in records if key != b"rest"}
                self.assertEqual({k: v for k, v in newest.items() if v is not None},
                                 {k: v for k, v in model.items() if v is not None})

    def test_a_record_without_key_is_refused(self):
        topic = self.make_topic(settings=SETTINGS)
        for codec in ("none", "zstd"):
            with self.subTest(codec=codec):
                errors = []
                producer = self.producer(**{"compression.type": codec,
                                            "enable.idempotence": False})
                producer.produce(topic, b"x" * 500, on_delivery=lambda e, _: errors.append(e))
                self.assertEqual(producer.flush(DEADLINE_S), 0)
                self.assertEqual([each.name() for each in errors], ["INVALID_RECORD"])
                producer.produce(topic, b"x" * 500, b"", on_delivery=lambda e, _: errors.append(e))
                self.assertEqual(producer.flush(DEADLINE_S), 0)
                self.assertIsNone(errors[1])

    def alter(self, topic, settings):
        client = admin.AdminClient(case.connect(self.server.address))
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic, settings)
        for future in client.alter_configs([resource]).values():
            future.result(DEADLINE_S)
        found = client.describe_configs([admin.ConfigResource(
            admin.ConfigResource.Type.TOPIC, topic)])
        return next(iter(found.values())).result(DEADLINE_S)["cleanup.policy"].value

    def test_policy_of_a_topic_changes(self):
        settings = {key: value for key, value in SETTINGS.items() if key != "cleanup.policy"}
        topic = self.make_topic(settings=settings)
        model = {}
        before = self.log_bytes()
        self.fill(topic, model, RECORDS)
        self.assertGreater(case.eventually(lambda: self.log_bytes() - before > 2 * MIB and
                                           self.log_bytes() - before, DEADLINE_S), 0)
        self.assertEqual(len(self.kcat(topic)), RECORDS)
        both = {**SETTINGS, "cleanup.policy": "compact,delete"}
        self.assertEqual(self.alter(topic, both), "compact,delete")
        self.assert_shrinks(before + RECORDS * VALUE_SIZE // 3)
        self.assert_newest(topic, model)
        self.assertEqual(self.raw().delete_records(topic, 0, 1), (1, 0))
        self.assertEqual(self.alter(topic, SETTINGS), "compact")
        self.assertEqual(self.raw().delete_records(topic, 0, 2)[1], POLICY_VIOLATION)

    def test_readers_go_on_while_segments_are_rewritten(self):
        topic = self.make_topic(settings=SETTINGS)
        model = {}
        over = threading.Event()
        wrong = []

        def read():
            while not over.is_set():
                offsets = [offset for offset, _, _ in self.kcat(topic)]
                if offsets != sorted(set(offsets)):
                    wrong.append(offsets)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            self.fill(topic, model, RECORDS)
        finally:
            over.set()
            reader.join()
        self.assertEqual(wrong, [])
        self.assert_newest(topic, model)
        self.assertFalse([line for line in self.server.lines if "damaged log" in line])

    def test_aborted_records_go(self):
        topic = self.make_topic(settings=SETTINGS)
        model = {}
        producer = self.producer(**{"transactional.id": self.topic_name("tx"),
                                    "transaction.timeout.ms": int(DEADLINE_S * 1000)})
        producer.init_transactions(DEADLINE_S)
        sent = 0
        for turn in range(24):
            producer.begin_transaction()
            news = {}
            for _ in range(RECORDS // 40):
                key = b"%d" % random.randrange(KEYS)
                news[key] = (b"%d:" % turn).ljust(VALUE_SIZE, b".")
                producer.produce(topic, news[key], key, partition=0)
                sent += 1
            if turn % 3 == 2:
                producer.abort_transaction(DEADLINE_S)
            else:
                producer.commit_transaction(DEADLINE_S)
                model.update(news)
        self.assertTrue(case.eventually(
            lambda: len(self.kcat(topic)) < sent / 2, DEADLINE_S, 0.1))
        self.assert_newest(topic, model)
        with_aborted = self.kcat(topic, "-X", "isolation.level=read_uncommitted")
        self.assertLess(len(with_aborted), sent)


if __name__ == "__main__":
    unittest.main()
