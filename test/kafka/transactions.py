"""Transactions with librdkafka: all or nothing, across partitions, offsets, crashes and zombies."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import random
import subprocess
import sys
import threading
import unittest

import confluent_kafka

from lib import case

DEADLINE_S = 30 * case.SLOWER
RECORDS = 400 // min(case.SLOWER, 2)
WORKER = pathlib.Path(__file__).resolve().parent.parent / "lib" / "transform.py"


class TransactionsCase(case.ServerCase):
    """What the tests share."""

    def producer(self, name, **more):
        settings = {key.replace("_", "."): value for key, value in more.items()}
        producer = confluent_kafka.Producer({
            **case.connect(self.server.address), "transactional.id": name, "linger.ms": 1,
            **settings})
        producer.init_transactions(DEADLINE_S)
        producer.list_topics(name, DEADLINE_S)  # or it would look for the topic once a second
        return producer

    def consumer(self, **settings):
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": self.topic_name("reader"),
            "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "enable.partition.eof": True, **settings})
        self.addCleanup(consumer.close)
        return consumer

    def read(self, topic, partitions, level="read_committed"):
        """All values up to where a reader of this level may read now."""
        consumer = self.consumer(**{"isolation.level": level})
        consumer.assign([confluent_kafka.TopicPartition(topic, index, 0)
                         for index in range(partitions)])
        values, ended = [], set()

        def done():
            for message in consumer.consume(500, 0.1):
                if not message.error():
                    values.append(message.value().decode())
                elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
            return len(ended) == partitions

        self.assertTrue(case.eventually(done, DEADLINE_S), f"{values} {ended}")
        return values

    def write(self, producer, topic, values):
        """In the open transaction; all are in the log afterwards."""
        errors = []
        for at, value in enumerate(values):
            producer.produce(topic, value, partition=at % 2,
                             on_delivery=lambda error, _: error and errors.append(error))
        try:
            self.assertEqual(producer.flush(DEADLINE_S), 0)
        except confluent_kafka.KafkaException as raised:  # a producer that is done for
            errors.append(raised.args[0])
        return errors


class Transactions(TransactionsCase):
    """One server, nothing crashes."""

    def test_committed_is_seen_and_aborted_is_not(self):
        topic = self.make_topic(2)
        producer = self.producer(topic)
        committed, everything = [], []
        for turn in range(8):
            values = [f"{turn}-{index}" for index in range(20)]
            producer.begin_transaction()
            self.assertEqual(self.write(producer, topic, values), [])
            everything += values
            if turn % 3 == 1:
                producer.abort_transaction(DEADLINE_S)
            else:
                producer.commit_transaction(DEADLINE_S)
                committed += values
        self.assertTrue(case.eventually(
            lambda: sorted(self.read(topic, 2)) == sorted(committed), DEADLINE_S))
        self.assertEqual(sorted(self.read(topic, 2, "read_uncommitted")), sorted(everything))

    def test_what_is_open_holds_readers_back(self):
        topic = self.make_topic(2)
        producer = self.producer(topic)
        producer.begin_transaction()
        self.write(producer, topic, ["a", "b"])
        other = confluent_kafka.Producer(case.connect(self.server.address))
        self.assertEqual(self.write(other, topic, ["c", "d"]), [])
        self.assertEqual(self.read(topic, 2), [])
        self.assertEqual(sorted(self.read(topic, 2, "read_uncommitted")), ["a", "b", "c", "d"])
        producer.abort_transaction(DEADLINE_S)
        self.assertTrue(case.eventually(lambda: sorted(self.read(topic, 2)) == ["c", "d"],
                                        DEADLINE_S))

    def test_an_older_instance_is_fenced(self):
        topic = self.make_topic(2)
        zombie = self.producer(topic)
        zombie.begin_transaction()
        self.write(zombie, topic, ["old"])
        living = self.producer(topic)
        self.assertEqual(self.read(topic, 2), [])
        living.begin_transaction()
        self.write(living, topic, ["new"])
        errors = self.write(zombie, topic, ["more of the old"])
        with self.assertRaises(confluent_kafka.KafkaException) as raised:
            zombie.commit_transaction(DEADLINE_S)
        self.assertTrue(errors or raised.exception.args[0].fatal())
        living.commit_transaction(DEADLINE_S)
        self.assertTrue(case.eventually(lambda: self.read(topic, 2) == ["new"], DEADLINE_S))
        self.assertNotIn("more of the old", self.read(topic, 2, "read_uncommitted"))

    def test_offsets_go_with_the_transaction(self):
        topic = self.make_topic(2)
        producer, consumer = self.producer(topic), self.consumer()

        def commit(offset, end):
            producer.begin_transaction()
            self.write(producer, topic, ["x"])
            producer.send_offsets_to_transaction(
                [confluent_kafka.TopicPartition(topic, 0, offset)],
                consumer.consumer_group_metadata(), DEADLINE_S)
            end(DEADLINE_S)
            return consumer.committed([confluent_kafka.TopicPartition(topic, 0)],
                                      DEADLINE_S)[0].offset

        self.assertEqual(commit(5, producer.commit_transaction), 5)
        self.assertEqual(commit(6, producer.abort_transaction), 5)
        self.assertEqual(commit(7, producer.commit_transaction), 7)
        self.server.restart(kill=True)
        self.assertEqual(consumer.committed([confluent_kafka.TopicPartition(topic, 0)],
                                            DEADLINE_S)[0].offset, 7)

    def test_what_takes_too_long_is_aborted(self):
        topic = self.make_topic(2)
        producer = self.producer(topic, transaction_timeout_ms=1000)
        producer.begin_transaction()
        self.write(producer, topic, ["late"])
        other = confluent_kafka.Producer(case.connect(self.server.address))
        self.assertEqual(self.write(other, topic, ["a", "b"]), [])
        self.assertTrue(case.eventually(lambda: sorted(self.read(topic, 2)) == ["a", "b"],
                                        DEADLINE_S))
        with self.assertRaises(confluent_kafka.KafkaException):
            producer.commit_transaction(DEADLINE_S)
        self.assertEqual(sorted(self.read(topic, 2)), ["a", "b"])

    def test_the_longest_timeout_is_the_servers(self):
        with self.assertRaises(confluent_kafka.KafkaException) as raised:
            self.producer("patient", transaction_timeout_ms=900001)
        self.assertEqual(raised.exception.args[0].code(),
                         confluent_kafka.KafkaError.INVALID_TRANSACTION_TIMEOUT)

    def test_what_was_decided_is_done_after_a_crash(self):
        topic = self.make_topic(2)
        producer = self.producer(topic)
        producer.begin_transaction()
        self.write(producer, topic, ["decided", "too"])
        producer.commit_transaction(DEADLINE_S)
        self.server.restart(kill=True)
        self.assertTrue(case.eventually(
            lambda: sorted(self.read(topic, 2)) == ["decided", "too"], DEADLINE_S))
        producer.begin_transaction()
        self.write(producer, topic, ["open"])
        self.server.restart(kill=True)
        self.assertNotIn("open", self.read(topic, 2))
        self.producer(topic)
        self.assertTrue(case.eventually(
            lambda: sorted(self.read(topic, 2)) == ["decided", "too"], DEADLINE_S))


class ExactlyOnce(TransactionsCase):
    """Workers copy a topic into another while they and the server are killed."""

    def start_worker(self, source, target, index):
        environment = {**os.environ, "PYTHONPATH": str(WORKER.parent.parent)}
        worker = subprocess.Popen(
            [sys.executable, str(WORKER), self.server.address, source, target, str(index),
             str(self.random.random())[2:12]],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        self.addCleanup(self.end_worker, worker)
        return worker

    @staticmethod
    def end_worker(worker):
        worker.kill()
        worker.wait()
        worker.stdout.close()

    def fill(self, topic):
        producer = confluent_kafka.Producer(case.connect(self.server.address))
        values = [str(index) for index in range(RECORDS)]
        self.assertEqual(self.write(producer, topic, values), [])
        return values

    def test_every_record_arrives_once(self):
        self.random = random.Random(20261122)
        source, target = self.make_topic(2), self.make_topic(3)
        values = self.fill(source)
        workers = [self.start_worker(source, target, index) for index in range(2)]
        pause = threading.Event()
        for turn in range(3):
            workers[turn % 2].stdout.readline()  # it is at work, or has ended
            pause.wait(self.random.uniform(0.05, 0.4) * case.SLOWER)
            if turn % 2 == 0:
                self.server.restart(kill=True)
            index = turn % 2
            self.end_worker(workers[index])
            workers[index] = self.start_worker(source, target, index)

        def complete():
            for index, worker in enumerate(workers):
                if worker.poll() is not None:  # a fatal error: it begins anew
                    workers[index] = self.start_worker(source, target, index)
            return len(self.read(target, 3)) >= len(values)

        self.assertTrue(case.eventually(complete, 2 * DEADLINE_S, 0.2))
        for worker in workers:
            self.end_worker(worker)
        self.assertEqual(sorted(self.read(target, 3)), sorted(values))


if __name__ == "__main__":
    unittest.main()
