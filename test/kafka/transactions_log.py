#!/usr/bin/env python3
"""Transactions as the log keeps them: what readers of committed records get, markers, producers."""
# SPDX-License-Identifier: Apache-2.0
import random
import struct
import time
import unittest

import confluent_kafka

from lib import batch
from lib import case
from lib import raw

DEADLINE_S = 60 * case.SLOWER
ADD_PARTITIONS_TO_TXN, END_TXN, WRITE_TXN_MARKERS, DESCRIBE_PRODUCERS = 24, 26, 27, 61
TRANSACTIONAL, CONTROL = 0x10, 0x20
UNKNOWN_TOPIC_OR_PARTITION, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE = 3, 47, 48
CONCURRENT_TRANSACTIONS, INVALID_TOPIC = 51, 17
COMMITTED = 1


def compact(text):
    data = text.encode()
    return bytes([len(data) + 1]) + data


class Producer:
    """A transactional producer made of bytes, which ends its transactions as it likes."""

    def __init__(self, test, name):
        self.client = test.raw()
        self.name = name
        self.sequences = {}
        body = raw.string(name) + struct.pack(">i", 60000)
        found = case.eventually(lambda: self._init(body), DEADLINE_S)
        test.assertIsNotNone(found)
        self.id, self.epoch = found

    def _init(self, body):
        reader = self.client.call(raw.INIT_PRODUCER_ID, 1, body)
        reader.take("i")
        code, producer_id, epoch = reader.take("hqh")
        return None if code else (producer_id, epoch)

    def _head(self):
        return raw.string(self.name) + struct.pack(">qh", self.id, self.epoch)

    def add(self, topic, partition=0):
        """The error code; waits while the transaction before is being ended."""
        body = self._head() + raw.array([raw.string(topic) + raw.array(
            [struct.pack(">i", partition)])])

        def once():
            reader = self.client.call(ADD_PARTITIONS_TO_TXN, 0, body)
            reader.take("i")
            answer = reader.array(lambda: (reader.string(), reader.array(
                lambda: reader.take("ih"))))
            code = answer[0][1][0][1]
            return None if code == CONCURRENT_TRANSACTIONS else (code,)

        return case.eventually(once, DEADLINE_S)[0]

    def end(self, commit):
        reader = self.client.call(END_TXN, 0, self._head() + struct.pack(">b", commit))
        reader.take("i")
        return reader.take("h")

    def put(self, topic, values, partition=0, attributes=TRANSACTIONAL):
        """(error code, base offset)."""
        sequence = self.sequences.get((topic, partition), 0)
        data = batch.build([(None, value, []) for value in values], int(time.time() * 1000),
                           attributes=attributes, producer_id=self.id,
                           producer_epoch=self.epoch, sequence=sequence)
        one = struct.pack(">ii", partition, len(data)) + data
        body = (raw.string(self.name) + struct.pack(">hi", -1, 30000)
                + raw.array([raw.string(topic) + raw.array([one])]))
        code, offset = raw.Client.produce_answer(
            self.client.call(raw.PRODUCE, 7, body))[:2]
        if code == 0:
            self.sequences[topic, partition] = sequence + len(values)
        return code, offset


class TransactionsCase(case.ServerCase):

    def fetch(self, topic, offset, client=None, **options):
        """(error code, high watermark, last stable offset, aborted, batches)."""
        body = bytearray(raw.Client.fetch_body(topic, 0, offset, **options))
        body[16] = options.get("isolation", COMMITTED)
        reader = (client or self.raw()).call(raw.FETCH, 4, bytes(body))
        reader.take("i")

        def partition():
            _, code, high, stable = reader.take("ihqq")
            aborted = reader.array(lambda: reader.take("qq"))
            return code, high, stable, aborted, list(batch.split(reader.blob()))

        return reader.array(lambda: (reader.string(), reader.array(partition)))[0][1][0]

    def list_offset(self, topic, timestamp, isolation=COMMITTED):
        one = raw.array([struct.pack(">iq", 0, timestamp)])
        body = struct.pack(">ib", -1, isolation) + raw.array([raw.string(topic) + one])
        reader = self.raw().call(raw.LIST_OFFSETS, 2, body)
        reader.take("i")
        found = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ihqq"))))
        return found[0][1][0][1], found[0][1][0][3]

    def mark(self, topic, producer_id, epoch, commit, partition=0):
        """The error code of WriteTxnMarkers for one partition."""
        marker = (struct.pack(">qhb", producer_id, epoch, commit) + b"\x02" + compact(topic)
                  + b"\x02" + struct.pack(">i", partition) + b"\0" + struct.pack(">i", 0) + b"\0")
        reader = self.raw().call_compact(WRITE_TXN_MARKERS, 1, b"\x02" + marker + b"\0")
        reader.take("b")
        self.assertEqual(reader.take("q"), producer_id)
        reader.take("b")
        reader.bytes_of(reader.take("b") - 1)
        reader.take("b")
        self.assertEqual(reader.take("i"), partition)
        return reader.take("h")

    def producers(self, topic, partition=0):
        """{producer id: (epoch, last sequence, coordinator epoch, start)} or the error code."""
        body = b"\x02" + compact(topic) + b"\x02" + struct.pack(">i", partition) + b"\0\0"
        reader = self.raw().call_compact(DESCRIBE_PRODUCERS, 0, body)
        reader.take("i")
        reader.take("b")
        reader.bytes_of(reader.take("b") - 1)
        reader.take("b")
        _, code, _ = reader.take("ihb")
        if code:
            return code
        found = {}
        for _ in range(reader.take("b") - 1):
            producer_id, epoch, sequence, _, coordinator, start, _ = reader.take("qiiqiqb")
            found[producer_id] = (epoch, sequence, coordinator, start)
        return found

    def stable(self, topic):
        return self.list_offset(topic, raw.LATEST)[1]

    def committed(self, topic):
        """What a reader makes of it by hand: aborted and control batches left out."""
        values, offset = [], 0
        while True:
            code, _, stable, aborted, batches = self.fetch(topic, offset, wait_ms=0)
            self.assertEqual(code, 0)
            if offset >= stable:
                return values
            self.assertEqual(aborted, sorted(aborted, key=lambda entry: entry[1]))
            gone = set()
            for one in batches:
                self.assertLess(one.offset + one.last_delta, stable)
                gone |= {producer for producer, first in aborted
                         if first <= one.offset and one.offset >= offset}
                if one.attributes & CONTROL:
                    gone.discard(one.producer_id)
                    aborted = [entry for entry in aborted
                               if entry[0] != one.producer_id or entry[1] > one.offset]
                elif not (one.attributes & TRANSACTIONAL and one.producer_id in gone):
                    values += [(at, value) for at, _, value, _ in one.records() if at >= offset]
                offset = one.offset + one.last_delta + 1


class LogTest(TransactionsCase):

    def begun(self, topic):
        producer = Producer(self, topic)
        self.assertEqual(producer.add(topic), 0)
        return producer

    def test_nothing_open_is_seen(self):
        topic = self.make_topic()
        producer = self.begun(topic)
        self.assertEqual(producer.put(topic, [b"a", b"b"]), (0, 0))
        self.assertEqual(self.fetch(topic, 0, wait_ms=0), (0, 2, 0, [], []))
        self.assertEqual(self.list_offset(topic, raw.LATEST), (0, 0))
        self.assertEqual(self.list_offset(topic, raw.LATEST, isolation=0), (0, 2))
        self.assertEqual(self.list_offset(topic, 1), (0, -1))
        self.assertEqual(self.list_offset(topic, 1, isolation=0), (0, 0))
        uncommitted = self.fetch(topic, 0, isolation=0)
        self.assertEqual((uncommitted[:4], len(uncommitted[4])), ((0, 2, 0, []), 1))
        self.assertEqual(producer.end(commit=True), 0)
        self.assertIsNotNone(case.eventually(lambda: self.stable(topic) == 3, DEADLINE_S))
        code, high, stable, aborted, batches = self.fetch(topic, 0)
        self.assertEqual((code, high, stable, aborted), (0, 3, 3, []))
        self.assertEqual([one.attributes for one in batches],
                         [TRANSACTIONAL, TRANSACTIONAL | CONTROL])
        self.assertTrue(all(one.is_sound() for one in batches))
        self.assertEqual(list(batches[1].records())[0][:2], (2, b"\0\0\0\1"))
        self.assertEqual(self.list_offset(topic, 1), (0, 0))

    def test_a_reader_who_waits_is_woken_by_the_marker(self):
        topic = self.make_topic()
        producer = self.begun(topic)
        reader = self.raw()
        producer.put(topic, [b"a"])
        body = bytearray(raw.Client.fetch_body(topic, 0, 0, wait_ms=600000))
        body[16] = COMMITTED
        reader.send(raw.FETCH, 4, bytes(body))
        producer.put(topic, [b"b"])
        self.assertEqual(producer.end(commit=False), 0)
        answer = reader.receive()[1]
        answer.take("i")
        answer.take("i")
        answer.string()
        answer.take("i")
        self.assertEqual(answer.take("ihqq"), (0, 0, 3, 3))
        self.assertEqual(answer.array(lambda: answer.take("qq")), [(producer.id, 0)])

    def test_an_aborted_transaction_is_told_wherever_it_is_met(self):
        topic = self.make_topic()
        one, two = self.begun(topic), Producer(self, topic + "-2")
        self.assertEqual(two.add(topic), 0)
        one.put(topic, [b"1"])
        two.put(topic, [b"2"])
        one.put(topic, [b"3"])
        self.assertEqual(self.mark(topic, one.id, one.epoch, False), 0)
        two.put(topic, [b"4"])
        self.assertEqual(self.mark(topic, two.id, two.epoch, True), 0)
        two.put(topic, [b"5"])
        self.assertEqual(self.mark(topic, two.id, two.epoch, False), 0)
        self.assertEqual(self.stable(topic), 8)
        self.assertEqual(self.fetch(topic, 0)[3], [(one.id, 0), (two.id, 6)])
        self.assertEqual(self.fetch(topic, 0, size=1)[3], [(one.id, 0)])
        self.assertEqual(self.fetch(topic, 2)[3], [(one.id, 0), (two.id, 6)])
        self.assertEqual(self.fetch(topic, 4)[3], [(two.id, 6)])
        self.assertEqual(self.fetch(topic, 0, isolation=0)[3], [])
        self.assertEqual(self.committed(topic), [(1, b"2"), (4, b"4")])
        self.assertEqual(self.raw().delete_records(topic, 0, 4), (4, 0))
        self.assertEqual(self.fetch(topic, 4)[3], [(two.id, 6)])
        self.assertEqual(self.committed_from(topic, 4), [(4, b"4")])

    def committed_from(self, topic, offset):
        code, _, _, aborted, batches = self.fetch(topic, offset)
        self.assertEqual(code, 0)
        gone = {producer for producer, _ in aborted}
        return [each[::2] for one in batches if not one.attributes & CONTROL
                and not (one.producer_id in gone and one.offset >= aborted[0][1])
                for each in one.records()]

    def test_markers_and_producers(self):
        topic = self.make_topic()
        self.assertEqual(self.producers(topic), {})
        self.assertEqual(self.producers(topic, 1), UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.producers("no topic"), INVALID_TOPIC)
        producer = self.begun(topic)
        producer.put(topic, [b"a", b"b"])
        self.assertEqual(self.producers(topic), {producer.id: (producer.epoch, 1, -1, 0)})
        self.assertEqual(producer.put(topic, [b"plain"], attributes=0)[0], INVALID_TXN_STATE)
        self.assertEqual(self.mark(topic, producer.id, producer.epoch, False, partition=1),
                         UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.mark(topic, producer.id, producer.epoch + 1, False), 0)
        self.assertEqual(self.producers(topic), {producer.id: (producer.epoch + 1, -1, 0, -1)})
        self.assertEqual(self.mark(topic, producer.id, producer.epoch, False),
                         INVALID_PRODUCER_EPOCH)
        self.assertEqual(producer.put(topic, [b"c"])[0], INVALID_PRODUCER_EPOCH)
        self.assertEqual(self.stable(topic), 3)

    def test_what_is_not_in_a_transaction_is_refused(self):
        topic = self.make_topic()
        producer = Producer(self, topic)
        self.assertEqual(producer.put(topic, [b"a"])[0], INVALID_TXN_STATE)
        self.assertEqual(producer.add(topic), 0)
        self.assertEqual(producer.put(topic, [b"a"]), (0, 0))


class HistoryTest(TransactionsCase):
    """Transactions that overlap, at random, through kill -9: each reader gets exactly its part."""

    def reader(self, topic, isolation):
        return confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": topic + isolation,
            "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "isolation.level": isolation, "enable.partition.eof": True})

    def read_all(self, topic, isolation):
        consumer = self.reader(topic, isolation)
        got = []
        deadline = case.time.monotonic() + DEADLINE_S
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
            while True:
                message = consumer.poll(DEADLINE_S)
                self.assertIsNotNone(message)
                self.assertLess(case.time.monotonic(), deadline)
                if not message.error():
                    got.append((message.offset(), message.value()))
                elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    return got
        finally:
            consumer.close()

    def test_a_random_history(self):
        topic = self.make_topic(settings={"segment.bytes": "1048576"})
        dice = random.Random(7)
        opened, written, kept, number = {}, [], [], 0
        producers = [Producer(self, f"{topic}-{i}") for i in range(4)]
        for step in range(400):
            producer = dice.choice(producers)
            if producer not in opened:
                self.assertEqual(producer.add(topic), 0)
                opened[producer] = []
            if opened[producer] and dice.random() < 0.3:
                commit = dice.random() < 0.6
                self.assertEqual(producer.end(commit), 0)
                records = opened.pop(producer)
                kept += records if commit else []
                continue
            values = [b"%d " % (number + i) + b"x" * dice.randrange(6000)
                      for i in range(dice.randrange(1, 4))]
            number += len(values)
            code, offset = producer.put(topic, values)
            self.assertEqual(code, 0)
            found = [(offset + i, value) for i, value in enumerate(values)]
            written += found
            opened[producer] += found
            if step in (150, 300):
                self.server.restart(kill=True)
                for each in producers:
                    each.client = self.raw()
        for producer in list(opened):
            self.assertEqual(producer.end(commit=False), 0)
        # every transaction has ended once the last marker is there
        self.assertIsNotNone(case.eventually(
            lambda: self.stable(topic) == self.list_offset(topic, raw.LATEST, 0)[1]
            and all(start < 0 for _, _, _, start in self.producers(topic).values()), DEADLINE_S))
        self.assertEqual(self.committed(topic), sorted(kept))
        self.assertEqual(self.read_all(topic, "read_committed"), sorted(kept))
        self.assertEqual(self.read_all(topic, "read_uncommitted"), sorted(written))


if __name__ == "__main__":
    unittest.main()
