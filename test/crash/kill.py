"""Kills a server under load again and again, and looks for what it lost, doubled or made up."""
# SPDX-License-Identifier: Apache-2.0
import os
import random
import threading
import time
import unittest

import confluent_kafka

from lib import case
from lib import history
from lib import raw

KILLS = int(os.environ.get("LEAT_KILLS", "50"))
SEED = int(os.environ.get("LEAT_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
PARTITIONS = 4
UNDER_WAY_MAX = 300
DEADLINE_S = 60 * case.SLOWER
LIFE_S = (0.02, 1.2)


class Producer(threading.Thread):
    """Sends values that nobody else sends and writes down what came of each."""

    def __init__(self, name, address, topic, idempotent):
        super().__init__(daemon=True, name=name)
        self.topic = topic
        self.idempotent = idempotent
        self.dice = random.Random(f"{SEED}/{name}")
        self.sends = []
        self.under_way = 0
        self.fatal = None
        self.ended = threading.Event()
        settings = {
            **case.connect(address), "acks": "all", "linger.ms": self.dice.choice([0, 1, 5]),
            "enable.idempotence": idempotent, "retry.backoff.ms": 20,
            "compression.codec": self.dice.choice(["none", "lz4", "zstd", "gzip", "snappy"]),
            "socket.timeout.ms": 10000 * case.SLOWER, "batch.num.messages": 100,
            "message.timeout.ms": DEADLINE_S * 1000, "error_cb": self._error,
            "max.in.flight.requests.per.connection": 5}
        if not idempotent:
            settings["message.send.max.retries"] = 1000
        self.client = confluent_kafka.Producer(settings)

    def _error(self, error):
        if error.fatal():
            self.fatal = error

    def run(self):
        sequences = [0] * PARTITIONS
        number = 0
        while not self.ended.is_set() and not self.fatal:
            while self.under_way >= UNDER_WAY_MAX and not self.fatal:
                self.client.poll(0.1)
            partition = self.dice.randrange(PARTITIONS)
            value = f"{self.name}-{number}-".encode() + b"." * self.dice.randrange(300)
            send = history.Send(value, partition, self.name, sequences[partition],
                                self.idempotent, time.monotonic_ns())
            self.sends.append(send)
            self.under_way += 1
            self.client.produce(self.topic, value, partition=partition,
                                on_delivery=lambda error, message, send=send: self._delivered(
                                    error, message, send))
            sequences[partition] += 1
            number += 1
            self.client.poll(0.001 if number % 10 else 0.01)
        self.left = self.client.flush(DEADLINE_S)

    def _delivered(self, error, message, send):
        self.under_way -= 1
        if error is None:
            send.ended_ns = time.monotonic_ns()
            send.outcome = history.ACKNOWLEDGED
            send.offset = message.offset()

    def stop(self):
        self.ended.set()
        self.join(DEADLINE_S * 2)


class Reader(threading.Thread):
    """Follows all partitions and writes down what it is given."""

    def __init__(self, address, topic):
        super().__init__(daemon=True)
        self.polls = []
        self.client = confluent_kafka.Consumer({
            **case.connect(address), "group.id": "reader", "enable.auto.commit": False,
            "auto.offset.reset": "error", "check.crcs": True, "fetch.wait.max.ms": 100})
        self.client.assign([confluent_kafka.TopicPartition(topic, p, 0)
                            for p in range(PARTITIONS)])
        self.ended = threading.Event()
        self.errors = []

    def run(self):
        while not self.ended.is_set():
            began = time.monotonic_ns()
            for message in self.client.consume(500, 0.1):
                if not message.error():
                    self.polls.append(history.Poll(
                        "reader", message.partition(), [(message.offset(), message.value())],
                        began))
                elif not message.error().retriable():
                    self.note(message.error())
        self.client.close()

    def note(self, error):
        # Lost connections are what this test is about; anything else is not.
        if error.code() not in (confluent_kafka.KafkaError._TRANSPORT,
                                confluent_kafka.KafkaError._ALL_BROKERS_DOWN,
                                confluent_kafka.KafkaError._RESOLVE):
            self.errors.append(error)

    def stop(self):
        self.ended.set()
        self.join(DEADLINE_S)


def scan(port, topic, partition):
    """Everything the partition holds, and its end."""
    consumer = confluent_kafka.Consumer({
        **case.connect(f"127.0.0.1:{port}"), "group.id": "scan", "check.crcs": True,
        "auto.offset.reset": "error"})
    try:
        part = confluent_kafka.TopicPartition(topic, partition, 0)
        _, end = consumer.get_watermark_offsets(part, DEADLINE_S)
        consumer.assign([part])
        records = []
        deadline = time.monotonic() + DEADLINE_S
        while (not records or records[-1][0] < end - 1) and end and time.monotonic() < deadline:
            for message in consumer.consume(1000, 1):
                if message.error():
                    raise confluent_kafka.KafkaException(message.error())
                records.append((message.offset(), message.value()))
        return records, end
    finally:
        consumer.close()


class KillTest(case.ServerCase):

    def ask_ends(self, client, topic, made):
        for partition in range(PARTITIONS):
            began = time.monotonic_ns()
            code, _, offset = client.list_offset(topic, partition, raw.LATEST)
            self.assertEqual(code, 0)
            made.ends.append(history.End(partition, offset, began, time.monotonic_ns()))

    def test_kill(self):
        dice = random.Random(SEED)
        topic = self.make_topic(PARTITIONS)
        made = history.History()
        producers = [Producer(f"{'once' if i % 2 else 'plain'}{i}", self.server.address, topic,
                              idempotent=bool(i % 2)) for i in range(4)]
        reader = Reader(self.server.address, topic)
        for thread in (*producers, reader):
            thread.start()
        pause = threading.Event()
        starts = []
        for _ in range(KILLS):
            pause.wait(dice.uniform(*LIFE_S))
            self.assertTrue(self.server.is_alive(), f"ended by itself (LEAT_SEED={SEED})")
            with raw.Client(self.server.port, timeout_s=DEADLINE_S) as client:
                self.ask_ends(client, topic, made)
            self.server.restart(kill=True)
            starts.append(self.server.start_s)
        for producer in producers:
            producer.stop()
        reached = case.eventually(
            lambda: len(reader.polls) >= sum(
                send.outcome == history.ACKNOWLEDGED for p in producers for send in p.sends), 30)
        reader.stop()
        self.judge(topic, made, producers, reader)
        self.assertTrue(reached, "the reader did not get all that was acknowledged")
        print(f"starts: worst {max(starts) * 1e3:.0f} ms", flush=True)

    def judge(self, topic, made, producers, reader):
        made.sends = [send for producer in producers for send in producer.sends]
        made.polls = reader.polls
        total = 0
        for partition in range(PARTITIONS):
            records, end = scan(self.server.port, topic, partition)
            total += len(records)
            made.scans.append(history.Scan(partition, records))
            self.assertEqual(len(records), end)
        acknowledged = sum(send.outcome == history.ACKNOWLEDGED for send in made.sends)
        print(f"\n{KILLS} kills (LEAT_SEED={SEED}): {len(made.sends)} sent, {acknowledged} "
              f"acknowledged, {total} stored, {len(made.polls)} read while it went on", flush=True)
        anomalies = made.check()
        self.assertFalse(anomalies, f"LEAT_SEED={SEED}\n{history.report(anomalies)}")
        self.assertEqual([producer.fatal for producer in producers if producer.fatal], [])
        self.assertEqual(reader.errors, [])
        self.assertGreater(acknowledged, KILLS * 20)
        self.assertEqual(acknowledged, len(made.sends), "some were given up")


if __name__ == "__main__":
    unittest.main()
