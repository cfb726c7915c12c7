"""Transactions request by request: pipelined batches, both versions of KIP-890, every code."""
# SPDX-License-Identifier: Apache-2.0
import struct
import time
import unittest

from lib import batch
from lib import case
from lib import raw

ADD_PARTITIONS, ADD_OFFSETS, END, MARKERS, TXN_COMMIT, OFFSET_FETCH = 24, 25, 26, 27, 28, 9
OUT_OF_ORDER, OLD_EPOCH, BAD_STATE, BAD_MAPPING = 45, 47, 48, 49
NOT_AUTHORIZED, NOT_ATTEMPTED, UNKNOWN_TOPIC, FENCED = 53, 55, 3, 90
UNSTABLE, ABORTABLE, TOPIC_NOT_AUTHORIZED, INVALID_GROUP = 88, 120, 29, 24
GROUPS = "__consumer_offsets"
GROUP_PARTITIONS = 50
BATCHES = 20
TRANSACTIONAL = 0x10


def places(indexes):
    return raw.compact_array([struct.pack(">i", index) for index in indexes])


def topics_of(reader):
    """{topic: [(partition, code), ...]}."""
    def topic():
        name = reader.compact()
        parts = reader.compact_array(lambda: reader.take("ihb")[:2])
        reader.take("b")
        return name, parts
    return dict(reader.compact_array(topic))


def partition_of_group(group):
    number = 0
    for char in group:
        number = (number * 31 + ord(char)) & 0xFFFFFFFF
    return min(number, 2**32 - number) % GROUP_PARTITIONS  # 2**31, whose magnitude is 0, never


class Producer:
    """A producer that a test leads by the hand; version 1 adds partitions, version 2 does not."""

    def __init__(self, client, name, version):
        self.client, self.name, self.version = client, name, version
        self.sequence = 0
        reader = client.call(raw.INIT_PRODUCER_ID, 1, raw.string(name) + struct.pack(">i", 60000))
        reader.take("i")
        self.code, self.id, self.epoch = reader.take("hqh")

    def batch(self, **fields):
        fields = {"attributes": TRANSACTIONAL, "producer_id": self.id,
                  "producer_epoch": self.epoch, "sequence": self.sequence, **fields}
        self.sequence += 1
        return batch.build([(None, b"x", ())], int(time.time() * 1000), **fields)

    def send(self, topic, partition=0, name=..., **fields):
        """Sends one batch and waits for nothing."""
        data = self.batch(**fields)
        name = self.name if name is ... else name
        head = struct.pack(">hi", -1, 30000)
        if self.version == 1:
            one = struct.pack(">ii", partition, len(data)) + data
            self.client.send(raw.PRODUCE, 7, raw.string(name) + head + raw.array(
                [raw.string(topic) + raw.array([one])]))
            return
        one = struct.pack(">i", partition) + raw.varint(len(data) + 1) + data + b"\0"
        self.client.send(raw.PRODUCE, 12, b"\0" + raw.compact(name) + head + raw.compact_array(
            [raw.compact(topic) + raw.compact_array([one]) + b"\0"]) + b"\0")

    def answer(self):
        """(code, base offset) of the next answer."""
        _, reader = self.client.receive()
        if self.version == 1:
            return self.client.produce_answer(reader)[:2]
        reader.take("b")
        found = reader.compact_array(
            lambda: (reader.compact(), reader.compact_array(lambda: reader.take("ihq"))[0]))
        return found[0][1][1:]

    def produce(self, topic, partition=0, **fields):
        self.send(topic, partition, **fields)
        return self.answer()[0]

    def add(self, topics, version=1):
        """{(topic, partition): code}."""
        body = raw.string(self.name) + struct.pack(">qh", self.id, self.epoch) + raw.array(
            [raw.string(topic) + raw.array([struct.pack(">i", index) for index in indexes])
             for topic, indexes in topics.items()])
        reader = self.client.call(ADD_PARTITIONS, version, body)
        reader.take("i")
        found = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ih"))))
        return {(topic, index): code for topic, parts in found for index, code in parts}

    def verify(self, topic, indexes):
        """Version 4, for brokers: {partition: code}."""
        one = (raw.compact(self.name) + struct.pack(">qh?", self.id, self.epoch, True)
               + raw.compact_array([raw.compact(topic) + places(indexes) + b"\0"]) + b"\0")
        reader = self.client.call_compact(ADD_PARTITIONS, 4, raw.compact_array([one]) + b"\0")
        reader.take("ih")
        found = reader.compact_array(
            lambda: (reader.compact(), topics_of(reader), reader.take("b")))
        return dict(found[0][1][topic])

    def commit_offset(self, group, topic, offset, version):
        """TxnOffsetCommit: the code."""
        one = struct.pack(">iqi", 0, offset, -1) + raw.compact("") + b"\0"
        body = (raw.compact(self.name) + raw.compact(group) + struct.pack(">qhi", self.id,
                self.epoch, -1) + raw.compact("") + raw.compact(None) + raw.compact_array(
                    [raw.compact(topic) + raw.compact_array([one]) + b"\0"]) + b"\0")
        reader = self.client.call_compact(TXN_COMMIT, version, body)
        reader.take("i")
        return topics_of(reader)[topic][0][1]

    def mark(self, topic, partition, commit):
        """WriteTxnMarkers, as an administrator does it: the code."""
        one = (struct.pack(">qh?", self.id, self.epoch, commit) + raw.compact_array(
            [raw.compact(topic) + places([partition]) + b"\0"]) + struct.pack(">i", 0) + b"\0")
        reader = self.client.call_compact(MARKERS, 1, raw.compact_array([one]) + b"\0")
        found = reader.compact_array(lambda: (reader.take("q"), topics_of(reader)))
        return found[0][1][topic][0][1]

    def end(self, commit, version=None, epoch=None):
        """The code; with version 5 the new epoch is taken up."""
        version = version or (1 if self.version == 1 else 5)
        tail = struct.pack(">qh?", self.id, self.epoch if epoch is None else epoch, commit)
        if version < 3:
            reader = self.client.call(END, version, raw.string(self.name) + tail)
            return reader.take("ih")[1]
        reader = self.client.call_compact(END, version, raw.compact(self.name) + tail + b"\0")
        _, code, producer_id, new = reader.take("ihqh")
        if code == 0:
            self.sequence = 0 if new != self.epoch else self.sequence
            self.id, self.epoch = producer_id, new
        return code


class TransactionsRaw(case.ServerCase):
    """Each test has a transactional id of its own."""

    def producer(self, version):
        producer = Producer(self.raw(), self.topic_name("id"), version)
        self.assertEqual(producer.code, 0)
        return producer

    def pipeline(self, version):
        """The first batches of a transaction are verified while others follow: order stays."""
        topic, producer = self.make_topic(1), self.producer(version)
        expected = 0
        for turn in range(4):
            if version == 1:
                self.assertEqual(producer.add({topic: [0]}), {(topic, 0): 0})
            for _ in range(BATCHES):
                producer.send(topic)
            for _ in range(BATCHES):
                self.assertEqual(producer.answer(), (0, expected))
                expected += 1
            self.assertEqual(producer.end(turn % 2 == 0), 0)
            expected += 1  # the marker

    def test_pipelined_batches_of_the_first_version(self):
        self.pipeline(1)

    def test_pipelined_batches_of_the_second_version(self):
        self.pipeline(2)

    def test_a_partition_must_have_been_added(self):
        topic, producer = self.make_topic(2), self.producer(1)
        self.assertEqual(producer.produce(topic), BAD_STATE)
        producer.sequence = 0
        self.assertEqual(producer.add({topic: [0]}), {(topic, 0): 0})
        self.assertEqual(producer.produce(topic), 0)
        self.assertEqual(producer.produce(topic, partition=1), BAD_STATE)
        self.assertEqual(producer.end(True), 0)
        self.assertEqual(producer.produce(topic), BAD_STATE)

    def test_unknown_partitions_stop_the_others(self):
        topic, producer = self.make_topic(1), self.producer(1)
        self.assertEqual(producer.add({topic: [0, 7]}),
                         {(topic, 0): NOT_ATTEMPTED, (topic, 7): UNKNOWN_TOPIC})
        self.assertEqual(producer.produce(topic), BAD_STATE)

    def test_internal_topics_are_the_servers(self):
        topic, producer = self.make_topic(1), self.producer(1)
        for internal in (GROUPS, "__transaction_state"):
            self.assertEqual(producer.add({topic: [0], internal: [3]}),
                             {(topic, 0): NOT_ATTEMPTED, (internal, 3): TOPIC_NOT_AUTHORIZED})
        self.assertEqual(producer.produce(topic), BAD_STATE)

    def test_who_was_fenced_is_told_by_version(self):
        topic, old = self.make_topic(1), self.producer(1)
        self.assertEqual(old.add({topic: [0]}), {(topic, 0): 0})
        self.assertEqual(old.produce(topic), 0)
        new = Producer(self.raw(), old.name, 1)
        self.assertEqual((new.code, new.id), (0, old.id))
        self.assertGreater(new.epoch, old.epoch)
        self.assertEqual(old.produce(topic), OLD_EPOCH)
        self.assertEqual(old.add({topic: [0]}), {(topic, 0): OLD_EPOCH})
        self.assertEqual(old.add({topic: [0]}, version=2), {(topic, 0): FENCED})
        self.assertEqual(old.end(True), OLD_EPOCH)
        self.assertEqual(old.end(True, version=2), FENCED)
        old.id += 1000
        self.assertEqual(old.end(True), BAD_MAPPING)

    def test_epochs_grow_and_retries_are_known(self):
        topic, producer = self.make_topic(1), self.producer(2)
        self.assertEqual(producer.end(True), BAD_STATE)
        self.assertEqual(producer.produce(topic), 0)
        before = producer.epoch
        self.assertEqual(producer.end(True), 0)
        self.assertEqual(producer.epoch, before + 1)
        self.assertEqual(producer.end(True, epoch=before), 0)
        self.assertEqual(producer.epoch, before + 1)
        self.assertEqual(producer.end(False, epoch=before), BAD_STATE)
        self.assertEqual(producer.produce(topic, producer_epoch=before), OLD_EPOCH)
        producer.sequence = 0
        self.assertEqual(producer.produce(topic), 0)
        self.assertEqual(producer.produce(topic, sequence=7), OUT_OF_ORDER)
        self.assertEqual(producer.end(False), 0)
        self.assertEqual(producer.end(False), 0)  # nothing was in it
        self.assertEqual(producer.epoch, before + 3)

    def fetch_offset(self, client, group, topic, stable=True):
        """(code, offset) of the first partition."""
        body = (raw.compact(group) + raw.compact_array([raw.compact(topic) + places([0]) + b"\0"])
                + struct.pack(">?", stable) + b"\0")
        reader = client.call_compact(OFFSET_FETCH, 7, body)
        reader.take("i")
        found = reader.compact_array(lambda: (reader.compact(), reader.compact_array(
            lambda: (reader.take("iqi"), reader.compact(), reader.take("hb"))), reader.take("b")))
        (_, offset, _), _, (code, _) = found[0][1][0]
        return code, offset

    def eventually_offset(self, client, group, topic, expected):
        self.assertTrue(case.eventually(
            lambda: self.fetch_offset(client, group, topic) == (0, expected), 10 * case.SLOWER))

    def test_brokers_verify_many_at_once(self):
        topic, producer = self.make_topic(3), self.producer(1)
        self.assertEqual(producer.add({topic: [0, 2]}), {(topic, 0): 0, (topic, 2): 0})
        self.assertEqual(producer.verify(topic, [0, 1, 2]), {0: 0, 1: ABORTABLE, 2: 0})
        producer.epoch += 1
        self.assertEqual(producer.verify(topic, [0]), {0: FENCED})

    def test_offsets_are_unstable_until_the_end(self):
        topic, producer, group = self.make_topic(1), self.producer(2), self.topic_name("group")
        for version in (3, 4, 5):
            self.assertEqual(producer.commit_offset("", topic, 5, version), INVALID_GROUP)
        self.assertEqual(producer.commit_offset(group, topic, 5, 3), BAD_STATE)
        self.assertEqual(producer.commit_offset(group, topic, 5, 4), ABORTABLE)
        self.assertEqual(producer.commit_offset(group, topic, 5, 5), 0)
        client = producer.client
        self.assertEqual(self.fetch_offset(client, group, topic), (UNSTABLE, -1))
        self.assertEqual(self.fetch_offset(client, group, topic, stable=False), (0, -1))
        self.server.restart(kill=True)
        client = producer.client = self.raw()
        self.assertEqual(self.fetch_offset(client, group, topic), (UNSTABLE, -1))
        self.assertEqual(producer.end(True), 0)
        self.eventually_offset(client, group, topic, 5)
        self.assertEqual(producer.commit_offset(group, topic, 6, 5), 0)
        self.assertEqual(self.fetch_offset(client, group, topic, stable=False), (0, 5))
        self.assertEqual(producer.end(False), 0)
        self.eventually_offset(client, group, topic, 5)

    def test_an_administrator_ends_promises_of_offsets(self):
        topic, producer, group = self.make_topic(1), self.producer(2), self.topic_name("group")
        self.assertEqual(producer.commit_offset(group, topic, 5, 5), 0)
        self.assertEqual(producer.mark(GROUPS, partition_of_group(group), False), 0)
        self.assertEqual(self.fetch_offset(producer.client, group, topic), (0, -1))

    def test_a_transactional_batch_needs_its_id(self):
        topic, producer = self.make_topic(1), self.producer(1)
        self.assertEqual(producer.produce(topic, name=None), NOT_AUTHORIZED)

    def test_the_server_goes_on_where_it_was_killed(self):
        topic, producer = self.make_topic(1), self.producer(2)
        self.assertEqual(producer.produce(topic), 0)
        self.server.restart(kill=True)
        producer.client = self.raw()
        self.assertEqual(producer.produce(topic), 0)
        self.assertEqual(producer.end(True), 0)
        self.server.restart(kill=True)
        producer.client = self.raw()
        self.assertEqual(producer.produce(topic), 0)
        self.assertEqual(producer.end(True), 0)


if __name__ == "__main__":
    unittest.main()
