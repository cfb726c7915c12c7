#!/usr/bin/env python3
"""A million messages from NATS to Kafka and back, with a kill in between: none lost, none twice."""
# SPDX-License-Identifier: Apache-2.0
import re
import threading
import unittest

import confluent_kafka

import both
from lib import case
from lib import nats

DEADLINE_S = both.DEADLINE_S
COUNT = 1_000_000 // case.SLOWER
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 4
PUBLISHERS = 5
LOT = 10000
MESSAGE = re.compile(rb"HMSG kafka\.\S+\.(\d+) 1 \d+ \d+\r\nNATS/1\.0\r\nLeat-Offset: (\d+)\r\n"
                     rb"Leat-Timestamp: \d+\r\n\r\n(\d+)\.(\d+)\r\n")

BETWEEN = re.compile(rb"(?:PING|INFO [^\r]*)\r\n(?:(?:PING|INFO [^\r]*)\r\n)*")


class Taker(threading.Thread):
    """Reads messages of the partition view, so many, and keeps what they say."""

    def __init__(self, port, topic, count):
        super().__init__(daemon=True)
        self.client = nats.Client(port, DEADLINE_S)
        self.client.send(f"SUB kafka.{topic}.* 1\r\n".encode())
        assert self.client.flush() == b""
        self.count = count
        self.got = []
        self.error = None

    def run(self):
        rest = self.client.buffer
        try:
            while len(self.got) < self.count:
                data = self.client.socket.recv(1 << 20)
                if not data:
                    raise AssertionError("closed")
                rest += data
                at = 0
                for match in MESSAGE.finditer(rest):
                    if match.start() != at and not BETWEEN.fullmatch(rest, at, match.start()):
                        raise AssertionError(rest[at:match.start()])
                    at = match.end()
                    self.got.append(tuple(map(int, match.groups())))
                rest = rest[at:]
        except (AssertionError, OSError) as error:
            self.error = f"{error!r} after {len(self.got)} of {self.count} messages: {rest[:200]!r}"
        self.client.close()

    def result(self):
        self.join()
        if self.error:
            raise AssertionError(self.error)
        return self.got


class Million(both.ViewsCase):
    cores = 2
    memory = "256m"

    def publish(self, topic, number, numbers):
        """Without a key all of a connection goes to one partition; the last one is answered."""
        with nats.Client(self.server.nats_port, DEADLINE_S) as client:
            publisher = both.Publisher(client)
            for first in range(numbers.start, numbers.stop, LOT):
                texts = [b"%d.%d" % (number, each)
                         for each in range(first, min(first + LOT, numbers.stop))]
                client.send(b"".join(b"PUB kafka.%b %d\r\n%b\r\n"
                                     % (topic.encode(), len(text), text) for text in texts))
            answer = publisher.ask("kafka." + topic, b"%d.%d" % (number, numbers.stop))
            self.assertNotIn("error", answer)

    def publish_all(self, topic, numbers):
        threads = [threading.Thread(target=self.publish, args=(topic, number, numbers))
                   for number in range(PUBLISHERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def consume(self, topic, count):
        """(publisher, number) of all records, in order of each partition."""
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": "nobody",
            "enable.auto.commit": False, "auto.offset.reset": "error"})
        got = {partition: [] for partition in range(PARTITIONS)}
        left = count
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0)
                             for partition in range(PARTITIONS)])
            while left > 0:
                messages = consumer.consume(min(left, LOT), DEADLINE_S)
                if not messages:
                    raise AssertionError(f"{left} of {count} records did not come")
                for message in messages:
                    if message.error():
                        raise confluent_kafka.KafkaException(message.error())
                    of_partition = got[message.partition()]
                    if message.offset() != len(of_partition):
                        raise AssertionError(f"{message.offset()} after {len(of_partition)}")
                    of_partition.append(tuple(map(int, message.value().split(b"."))))
                left -= len(messages)
            self.assertEqual(consumer.consume(1, 0.2), [])
        finally:
            consumer.close()
        return got

    def check_series(self, got, series, count):
        """Each series of numbers is whole and in order, wherever its parts are."""
        following = [0] * series
        for number, each in got:
            if each != following[number]:
                self.fail(f"{number}.{each} instead of {following[number]}")
            following[number] += 1
        self.assertEqual(following, [count] * series)

    def test_nats_to_kafka(self):
        topic = self.topic_name()
        self.create(topic, PARTITIONS)
        half = COUNT // 2 // PUBLISHERS // 2
        self.publish_all(topic, range(0, half - 1))
        self.server.restart(kill=True)
        self.publish_all(topic, range(half, 2 * half - 1))
        got = self.consume(topic, 2 * half * PUBLISHERS)
        # Another connection may use another partition: only what one of them sent has an order.
        for part in (0, half):
            mine = [(number, each - part) for partition in got.values()
                    for number, each in partition if part <= each < part + half]
            self.check_series(mine, PUBLISHERS, half)

    def produce_all(self, topic, numbers):
        producers = [confluent_kafka.Producer({
            **case.connect(self.server.address), "compression.type": codec, "linger.ms": 5,
            "enable.idempotence": True, "queue.buffering.max.messages": 10_000_000})
                     for codec in CODECS]
        for first in range(numbers.start, numbers.stop, LOT):
            for number, producer in enumerate(producers):
                for each in range(first, min(first + LOT, numbers.stop)):
                    producer.produce(topic, b"%d.%d" % (number, each), None, number % PARTITIONS)
        for producer in producers:
            self.assertEqual(producer.flush(DEADLINE_S), 0)

    def test_kafka_to_nats(self):
        topic = self.topic_name()
        self.create(topic, PARTITIONS)
        half = COUNT // 2 // len(CODECS) // 2
        got = []
        for part in (0, half):
            taker = Taker(self.server.nats_port, topic, half * len(CODECS))
            taker.start()
            self.produce_all(topic, range(part, part + half))
            got += taker.result()
            if part == 0:
                self.server.restart(kill=True)
        following = [0] * PARTITIONS
        for partition, offset, _, _ in got:
            self.assertEqual(offset, following[partition])
            following[partition] += 1
        self.check_series([each[2:] for each in got], len(CODECS), 2 * half)


if __name__ == "__main__":
    unittest.main()
