"""The bytes that are fetched are the bytes that were produced, and what is wrong is refused."""
# SPDX-License-Identifier: Apache-2.0
import gzip
import struct
import time
import unittest

from lib import batch
from lib import case
from lib import raw

NONE, CORRUPT, TOO_LARGE, UNSUPPORTED_CODEC = 0, 2, 10, 76
OUT_OF_RANGE, UNKNOWN_TOPIC, INVALID_RECORD, OUT_OF_ORDER = 1, 3, 87, 45


def now_ms():
    return int(time.time() * 1000)


def records(count, size=20, start=0):
    return [(b"k%d" % i, b"v%d" % i + b"." * size, [(b"h", b"x"), (b"h", None)])
            for i in range(start, start + count)]


class ExactTest(case.ServerCase):

    def stored(self, client, topic, offset=0):
        code, _, data = client.fetch(topic, 0, offset)
        self.assertEqual(code, NONE)
        return list(batch.split(data))

    def assert_same(self, client, topic, sent):
        """sent: batches in order."""
        got = []
        offset = 0
        while len(got) < len(sent):
            more = self.stored(client, topic, offset)
            self.assertTrue(more, f"nothing at {offset}")
            got += more
            offset = got[-1].offset + got[-1].last_delta + 1
        self.assertEqual(len(got), len(sent))
        expected = 0
        for mine, theirs in zip(map(batch.Batch, sent), got):
            self.assertEqual(theirs.offset, expected)
            self.assertEqual(theirs.sent(), mine.sent())
            self.assertTrue(theirs.is_sound())
            expected += theirs.last_delta + 1

    def test_batches_are_not_touched(self):
        topic = self.make_topic()
        client = self.raw()
        sent = []
        for size in (0, 1, 100, 3000, 70000, 300000):
            for count in (1, 3):
                sent.append(batch.build(records(count, size), now_ms()))
                self.assertEqual(client.produce(topic, 0, sent[-1])[0], NONE)
        self.assert_same(client, topic, sent)
        self.server.restart()
        self.assert_same(self.raw(), topic, sent)
        self.server.restart(kill=True)
        self.assert_same(self.raw(), topic, sent)

    def test_compressed_batches_are_not_opened(self):
        topic = self.make_topic()
        client = self.raw()
        body = gzip.compress(b"".join(batch.record(i, b"k", b"v" * 50) for i in range(40)), 1)
        body += gzip.compress(b"")  # an unusual, legal tail that no encoder would write again
        sent = [batch.wrap(body, 40, now_ms(), attributes=1)]
        self.assertEqual(client.produce(topic, 0, sent[0])[0], NONE)
        self.assert_same(client, topic, sent)

    def test_answers_come_in_the_order_of_requests(self):
        topic = self.make_topic(4)
        client = self.raw()
        sent = []
        for i in range(40):
            data = batch.build(records(1, 200, i), now_ms())
            body = client.produce_body(topic, i % 4, data)
            sent.append((client.send(raw.PRODUCE, 7, body), i // 4))
            sent.append((client.send(raw.API_VERSIONS, 0, b""), None))
        for correlation, offset in sent:
            got, reader = client.receive()
            self.assertEqual(got, correlation)
            if offset is not None:
                self.assertEqual(client.produce_answer(reader)[:2], (NONE, offset))

    def test_acks_0_gets_no_answer(self):
        topic = self.make_topic()
        client = self.raw()
        body = client.produce_body(topic, 0, batch.build(records(2), now_ms()), acks=0)
        client.send(raw.PRODUCE, 7, body)
        self.assertEqual(client.api_versions()[0], NONE)  # the next answer is already this one
        found = case.eventually(lambda: client.list_offset(topic, 0, raw.LATEST)[2] == 2, 10)
        self.assertTrue(found)

    def test_acks_0_with_an_error_closes(self):
        topic = self.make_topic()
        client = self.raw()
        bad = batch.build(records(2), now_ms(), crc=1)
        client.send(raw.PRODUCE, 7, client.produce_body(topic, 0, bad, acks=0))
        with self.assertRaises(raw.Closed):
            client.receive()

    def test_wrong_batches_are_refused(self):
        topic = self.make_topic()
        client = self.raw()
        good = batch.build(records(2), now_ms())
        cases = {
            "crc": (batch.build(records(2), now_ms(), crc=7), {CORRUPT}),
            "magic 1": (batch.build(records(2), now_ms(), magic=1), {INVALID_RECORD, CORRUPT}),
            "magic 3": (batch.build(records(2), now_ms(), magic=3), {INVALID_RECORD, CORRUPT}),
            "two batches": (good + good, {INVALID_RECORD}),
            "count": (batch.build(records(2), now_ms(), count=3), {INVALID_RECORD, CORRUPT}),
            "count 0": (batch.build(records(2), now_ms(), count=0), {INVALID_RECORD, CORRUPT}),
            "last delta": (batch.build(records(2), now_ms(), last_delta=5),
                           {INVALID_RECORD, CORRUPT}),
            "control": (batch.build(records(1), now_ms(), attributes=32), {INVALID_RECORD}),
            "delivered": (batch.build(records(1), now_ms(), attributes=0x4000), {INVALID_RECORD}),
            "codec 7": (batch.build(records(1), now_ms(), attributes=7),
                        {INVALID_RECORD, CORRUPT, UNSUPPORTED_CODEC}),
            "cut": (good[:-5], {CORRUPT, INVALID_RECORD}),
            "tiny": (good[:20], {CORRUPT, INVALID_RECORD}),
            "empty": (b"", {CORRUPT, INVALID_RECORD}),
            "size -1": (batch.build(records(2), now_ms(), size=-1), {CORRUPT, INVALID_RECORD}),
            "size max": (batch.build(records(2), now_ms(), size=2**31 - 1),
                         {CORRUPT, INVALID_RECORD}),
            "too large": (batch.build(records(1, 1100000), now_ms()), {TOO_LARGE}),
        }
        for what, (data, codes) in cases.items():
            with self.subTest(what):
                self.assertIn(client.produce(topic, 0, data)[0], codes)
        self.assertEqual(client.list_offset(topic, 0, raw.LATEST)[2], 0)
        self.assertEqual(client.produce(topic, 0, good)[:2], (NONE, 0))

    def test_bytes_behind_a_batch_are_not_kept(self):
        """Kafka cuts off what is too short to be another batch."""
        topic = self.make_topic()
        client = self.raw()
        sent = [batch.build(records(2, start=i), now_ms()) for i in (0, 2)]
        for one in sent:
            self.assertEqual(client.produce(topic, 0, one + b"12345")[0], NONE)
        self.assert_same(client, topic, sent)
        _, _, data = client.fetch(topic, 0, 0)
        self.assertEqual(len(data), sum(map(len, sent)))

    def test_zstd_needs_a_new_produce(self):
        topic = self.make_topic()
        data = batch.wrap(b"not looked into", 1, now_ms(), attributes=4)
        self.assertEqual(self.raw().produce(topic, 0, data, version=3 + 3)[0], UNSUPPORTED_CODEC)

    def test_sequences(self):
        topic = self.make_topic()
        client = self.raw()
        code, producer, epoch = client.init_producer_id()
        self.assertEqual(code, NONE)

        def send(sequence, count=2):
            data = batch.build(records(count, start=sequence), now_ms(), producer_id=producer,
                               producer_epoch=epoch, sequence=sequence)
            return client.produce(topic, 0, data)[:2]

        self.assertEqual([send(at) for at in (0, 2, 4, 6, 8, 10)],
                         [(NONE, at) for at in (0, 2, 4, 6, 8, 10)])
        self.assertEqual(send(10), (NONE, 10))
        self.assertEqual(send(2), (NONE, 2))
        self.assertEqual(send(14)[0], OUT_OF_ORDER)
        self.server.restart(kill=True)
        client = self.raw()
        self.assertEqual(send(10), (NONE, 10))
        self.assertEqual(send(12), (NONE, 12))
        self.assertEqual(client.list_offset(topic, 0, raw.LATEST)[2], 14)
        self.assertNotEqual(client.init_producer_id()[1], producer)

    def test_a_fetch_may_begin_inside_a_batch(self):
        topic = self.make_topic()
        client = self.raw()
        client.produce(topic, 0, batch.build(records(10), now_ms()))
        first = self.stored(client, topic, 7)[0]
        self.assertEqual((first.offset, first.count), (0, 10))

    def test_at_least_one_batch_whatever_the_limit(self):
        topic = self.make_topic()
        client = self.raw()
        sent = batch.build(records(1, 200000), now_ms())
        client.produce(topic, 0, sent)
        client.produce(topic, 0, sent)
        _, _, data = client.fetch(topic, 0, 0, size=1000)
        self.assertEqual([each.sent() for each in batch.split(data)], [batch.Batch(sent).sent()])

    def test_offsets_out_of_range(self):
        topic = self.make_topic()
        client = self.raw()
        client.produce(topic, 0, batch.build(records(3), now_ms()))
        self.assertEqual(client.fetch(topic, 0, 4)[0], OUT_OF_RANGE)
        self.assertEqual(client.fetch(topic, 0, -1)[0], OUT_OF_RANGE)
        self.assertEqual(client.fetch(topic, 0, 3, wait_ms=0), (NONE, 3, b""))
        self.assertEqual(client.fetch(topic, 9, 0)[0], UNKNOWN_TOPIC)

    def test_unknown_version_of_api_versions(self):
        client = self.raw()
        client.correlation += 1
        body = struct.pack(">hhi", raw.API_VERSIONS, 99, client.correlation)
        body += raw.string("x") + b"\0\1\1\0"
        client.socket.sendall(struct.pack(">i", len(body)) + body)
        _, reader = client.receive()
        self.assertEqual(reader.take("h"), 35)
        keys = [key for key, _, _ in reader.array(lambda: reader.take("hhh"))]
        self.assertEqual(keys, [raw.API_VERSIONS])
        self.assertEqual(client.api_versions()[0], NONE)

    def test_versions_are_those_of_the_table(self):
        code, ranges = self.raw().api_versions()
        self.assertEqual(code, NONE)
        self.assertEqual(ranges[raw.PRODUCE], (0, 13))
        self.assertEqual(ranges[raw.FETCH], (4, 18))
        self.assertEqual(ranges[raw.LIST_OFFSETS], (1, 11))
        self.assertEqual(ranges[raw.METADATA], (0, 13))
        self.assertEqual(ranges[raw.API_VERSIONS], (0, 4))


if __name__ == "__main__":
    unittest.main()
