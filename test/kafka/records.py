"""Every kind of record comes back as it was sent, with confluent_kafka and kafka-python."""
# SPDX-License-Identifier: Apache-2.0
import collections
import hashlib
import random
import unittest

import confluent_kafka
import kafka

from lib import case

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
DEADLINE_S = 60 * case.SLOWER


def confluent_producer(address, **settings):
    return confluent_kafka.Producer({
        **case.connect(address), "message.timeout.ms": int(DEADLINE_S * 1000),
        **{key.replace("_", "."): value for key, value in settings.items()}})


def read(address, partitions, count):
    """The first count records of the (topic, partition, offset) given."""
    consumer = confluent_kafka.Consumer({
        **case.connect(address), "group.id": "nobody", "enable.auto.commit": False,
        "check.crcs": True, "auto.offset.reset": "error"})
    try:
        consumer.assign([confluent_kafka.TopicPartition(*each) for each in partitions])
        got = []
        deadline = case.time.monotonic() + DEADLINE_S
        while len(got) < count and case.time.monotonic() < deadline:
            for message in consumer.consume(count - len(got), 1.0):
                if message.error():
                    raise confluent_kafka.KafkaException(message.error())
                got.append(message)
        return got
    finally:
        consumer.close()


class RecordsTest(case.ServerCase):

    memory = "256m"

    def send(self, producer, topic, records):
        """Sends (key, value, headers) to partition 0 and returns the offsets given."""
        offsets = []
        errors = []

        def delivered(error, message):
            (errors if error else offsets).append(error or message.offset())

        for key, value, headers in records:
            producer.produce(topic, value, key, partition=0, headers=headers or None,
                             on_delivery=delivered)
            producer.poll(0)
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        self.assertEqual(errors, [])
        return offsets

    def assert_stored(self, topic, records):
        got = read(self.server.address, [(topic, 0, 0)], len(records))
        self.assertEqual([message.offset() for message in got], list(range(len(records))))
        self.assertEqual(
            [(message.key(), message.value(), message.headers() or []) for message in got],
            [(key, value, headers or []) for key, value, headers in records])

    def test_every_codec_and_level_of_acks(self):
        records = [(b"k%d" % (i % 7), b"value %d " % i * 20, None) for i in range(1000)]
        for codec in CODECS:
            for acks in ("0", "1", "all"):
                with self.subTest(codec=codec, acks=acks):
                    topic = self.make_topic()
                    producer = confluent_producer(
                        self.server.address, acks=acks, compression_codec=codec, linger_ms=5)
                    offsets = self.send(producer, topic, records)
                    if acks != "0":
                        self.assertEqual(sorted(offsets), list(range(1000)))
                    self.assert_stored(topic, records)

    def test_nulls_and_empties(self):
        topic = self.make_topic()
        records = [(None, b"no key", None), (b"no value", None, None), (None, None, None),
                   (b"", b"empty key", None), (b"empty value", b"", None), (b"", b"", None),
                   (b"\0\xff\x80", b"\0" * 9, None)]
        self.send(confluent_producer(self.server.address), topic, records)
        self.assert_stored(topic, records)

    def test_headers(self):
        topic = self.make_topic()
        records = [
            (None, b"1", [("a", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"1")]),
            (None, b"2", [("empty", b""), ("null", None), ("", b"nameless")]),
            (None, b"3", [(f"many{i}", b"x" * i) for i in range(200)]),
            (None, b"4", [("\u00e9\u4e2d", "\u00e9".encode())])]
        self.send(confluent_producer(self.server.address, compression_codec="lz4"), topic, records)
        self.assert_stored(topic, records)

    def test_a_mebibyte(self):
        topic = self.make_topic(settings={"max.message.bytes": "4194304"})
        for codec in CODECS:
            with self.subTest(codec=codec):
                base = case.raw.LATEST
                with case.raw.Client(self.server.port) as client:
                    first = client.list_offset(topic, 0, base)[2]
                value = random.Random(codec).randbytes(1 << 20)
                producer = confluent_producer(
                    self.server.address, message_max_bytes=4 << 20, compression_codec=codec)
                self.assertEqual(self.send(producer, topic, [(None, value, None)] * 5),
                                 list(range(first, first + 5)))
                got = read(self.server.address, [(topic, 0, first)], 5)
                self.assertEqual([hashlib.sha1(message.value()).digest() for message in got],
                                 [hashlib.sha1(value).digest()] * 5)

    def test_too_large_is_refused_and_the_producer_goes_on(self):
        topic = self.make_topic(settings={"max.message.bytes": "10000"})
        producer = confluent_producer(self.server.address, linger_ms=0)
        outcomes = []
        for size in (5000, 20000, 5000):
            producer.produce(topic, b"x" * size,
                             on_delivery=lambda error, message: outcomes.append(error))
            producer.flush(DEADLINE_S)
        self.assertEqual([error and error.name() for error in outcomes],
                         [None, "MSG_SIZE_TOO_LARGE", None])

    def test_a_hundred_partitions(self):
        topic = self.make_topic(100)
        producer = confluent_producer(self.server.address, compression_codec="snappy")
        sent = collections.defaultdict(list)
        for i in range(5000):
            partition = i * 37 % 100
            sent[partition].append(b"%d" % i)
            producer.produce(topic, b"%d" % i, partition=partition)
            producer.poll(0)
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        got = collections.defaultdict(list)
        for message in read(self.server.address, [(topic, p, 0) for p in range(100)], 5000):
            got[message.partition()].append(message.value())
        self.assertEqual(got, sent)

    def test_keys_choose_the_partition(self):
        topic = self.make_topic(10)
        producer = confluent_producer(self.server.address, partitioner="murmur2_random")
        for i in range(300):
            producer.produce(topic, b"v", key=b"key %d" % (i % 20))
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        where = collections.defaultdict(set)
        for message in read(self.server.address, [(topic, p, 0) for p in range(10)], 300):
            where[message.key()].add(message.partition())
        self.assertEqual({len(partitions) for partitions in where.values()}, {1})

    def test_producers_time_is_kept(self):
        topic = self.make_topic()
        now_ms = int(case.time.time() * 1000)
        producer = confluent_producer(self.server.address)
        producer.produce(topic, b"old", timestamp=now_ms - 86400000)
        producer.flush(DEADLINE_S)
        message = read(self.server.address, [(topic, 0, 0)], 1)[0]
        self.assertEqual(message.timestamp(),
                         (confluent_kafka.TIMESTAMP_CREATE_TIME, now_ms - 86400000))

    def test_servers_time_is_stamped(self):
        topic = self.make_topic(settings={"message.timestamp.type": "LogAppendTime"})
        before_ms = int(case.time.time() * 1000)
        producer = confluent_producer(self.server.address)
        producer.produce(topic, b"x", timestamp=1000)
        producer.flush(DEADLINE_S)
        kind, when_ms = read(self.server.address, [(topic, 0, 0)], 1)[0].timestamp()
        self.assertEqual(kind, confluent_kafka.TIMESTAMP_LOG_APPEND_TIME)
        self.assertGreaterEqual(when_ms, before_ms)
        self.assertLess(when_ms, before_ms + 60000)

    def test_a_time_far_in_the_future_is_refused(self):
        topic = self.make_topic()
        outcomes = []
        producer = confluent_producer(self.server.address)
        producer.produce(topic, b"x", timestamp=int(case.time.time() * 1000) + 7200000,
                         on_delivery=lambda error, message: outcomes.append(error))
        producer.flush(DEADLINE_S)
        self.assertEqual(outcomes[0] and outcomes[0].name(), "INVALID_TIMESTAMP")

    def test_topic_compresses_anew(self):
        for codec in CODECS[1:]:
            with self.subTest(codec=codec):
                topic = self.make_topic(settings={"compression.type": codec})
                records = [(None, b"value %d" % i * 30, None) for i in range(500)]
                self.send(confluent_producer(self.server.address, linger_ms=50), topic, records)
                self.assert_stored(topic, records)
                with case.raw.Client(self.server.port) as client:
                    _, _, data = client.fetch(topic, 0, 0)
                self.assertEqual(int.from_bytes(data[21:23], "big") & 7, CODECS.index(codec))


class KafkaPythonTest(case.ServerCase):

    def test_records(self):
        topic = self.make_topic(3)
        for codec in (None, "gzip"):
            for acks in (0, 1, "all"):
                with self.subTest(codec=codec, acks=acks):
                    self.round_trip(topic, codec, acks)

    def round_trip(self, topic, codec, acks):
        mark = f"{codec}/{acks}/".encode()
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.server.address, compression_type=codec, acks=acks)
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.server.address, consumer_timeout_ms=DEADLINE_S * 1000,
            auto_offset_reset="earliest", enable_auto_commit=False)
        try:
            for i in range(300):
                producer.send(topic, key=b"k%d" % i, value=mark + b"%d" % i, partition=i % 3,
                              headers=[("h", b"1"), ("h", b"")])
            producer.flush(DEADLINE_S)
            consumer.assign([kafka.TopicPartition(topic, p) for p in range(3)])
            consumer.seek_to_beginning()
            left = {mark + b"%d" % i for i in range(300)}
            for message in consumer:
                left.discard(message.value)
                self.assertEqual(message.headers, [("h", b"1"), ("h", b"")])
                if not left:
                    break
            self.assertEqual(left, set())
        finally:
            producer.close()
            consumer.close()


if __name__ == "__main__":
    unittest.main()
