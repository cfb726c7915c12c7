"""Reading from wherever one likes, waiting for what is not there yet, and going on afterwards."""
# SPDX-License-Identifier: Apache-2.0
import statistics
import struct
import threading
import time
import unittest

import confluent_kafka

from lib import batch
from lib import case
from lib import flex
from lib import raw

DEADLINE_S = 60 * case.SLOWER
WAKE_MEDIAN_S = 0.1 * case.SLOWER


def values(consumer, count, deadline_s=DEADLINE_S):
    got = []
    deadline = time.monotonic() + deadline_s
    while len(got) < count and time.monotonic() < deadline:
        for message in consumer.consume(count - len(got), 0.5):
            if message.error():
                raise confluent_kafka.KafkaException(message.error())
            got.append(message.value())
    return got


class ConsumeTest(case.ServerCase):

    def consumer(self, **settings):
        made = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": self.topic_name("reader"),
            "enable.auto.commit": False, "auto.offset.reset": "earliest",
            **{key.replace("_", "."): value for key, value in settings.items()}})
        self.addCleanup(made.close)
        return made

    def producer(self):
        return confluent_kafka.Producer(case.connect(self.server.address))

    def fill(self, topic, count, first=0, first_ms=None):
        producer = self.producer()
        for i in range(first, first + count):
            options = {} if first_ms is None else {"timestamp": first_ms + i * 1000}
            producer.produce(topic, b"%d" % i, partition=0, **options)
        self.assertEqual(producer.flush(DEADLINE_S), 0)

    def assert_reads_from(self, topic, offset, first, count):
        consumer = self.consumer()
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, offset)])
        self.assertEqual(values(consumer, count), [b"%d" % i for i in range(first, first + count)])

    def test_beginning_offset_and_tail(self):
        topic = self.make_topic()
        self.fill(topic, 1000)
        self.assert_reads_from(topic, confluent_kafka.OFFSET_BEGINNING, 0, 1000)
        self.assert_reads_from(topic, 640, 640, 360)
        self.assert_reads_from(topic, 999, 999, 1)

    def test_end(self):
        topic = self.make_topic()
        self.fill(topic, 10)
        consumer = self.consumer()
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_END)])
        self.assertIsNone(consumer.poll(0.5))
        self.assertEqual(consumer.get_watermark_offsets(
            confluent_kafka.TopicPartition(topic, 0), DEADLINE_S), (0, 10))
        self.fill(topic, 5, first=10)
        self.assertEqual(values(consumer, 5), [b"%d" % i for i in range(10, 15)])

    def test_timestamp(self):
        topic = self.make_topic()
        first_ms = int(time.time() * 1000) - 10**7
        for start in range(0, 500, 50):
            self.fill(topic, 50, start, first_ms)
        consumer = self.consumer()
        ask = [(first_ms - 5, 0), (first_ms, 0), (first_ms + 77000, 77), (first_ms + 77001, 78),
               (first_ms + 499000, 499)]
        for when_ms, offset in ask:
            with self.subTest(offset=offset):
                part = confluent_kafka.TopicPartition(topic, 0, when_ms)
                found = consumer.offsets_for_times([part], DEADLINE_S)[0]
                self.assertEqual(found.offset, offset)
        part = confluent_kafka.TopicPartition(topic, 0, first_ms + 10**6)
        self.assertEqual(consumer.offsets_for_times([part], DEADLINE_S)[0].offset,
                         confluent_kafka.OFFSET_END)

    def test_list_offsets(self):
        topic = self.make_topic()
        client = self.raw()
        self.assertEqual(client.list_offset(topic, 0, raw.EARLIEST)[2], 0)
        self.assertEqual(client.list_offset(topic, 0, raw.LATEST)[2], 0)
        self.assertEqual(client.list_offset(topic, 0, 12345), (0, -1, -1))
        now_ms = int(time.time() * 1000)
        for shift in (0, 5000, 3000):
            one = batch.build([(None, b"x", ())], now_ms - 10000 + shift)
            self.assertEqual(client.produce(topic, 0, one)[0], 0)
        self.assertEqual(client.list_offset(topic, 0, raw.LATEST)[2], 3)
        self.assertEqual(client.list_offset(topic, 0, now_ms - 9000), (0, now_ms - 5000, 1))
        self.assertEqual(client.list_offset(topic, 7, raw.LATEST)[0], 3)

    def test_the_ends_of_an_empty_log_have_the_leaders_epoch(self):
        topic = self.make_topic()
        for timestamp in (raw.EARLIEST, raw.LATEST):
            part = raw.array([struct.pack(">iiq", 0, -1, timestamp)])
            reader = self.raw().call(raw.LIST_OFFSETS, 4, struct.pack(">ib", -1, 0) +
                                     raw.array([raw.string(topic) + part]))
            reader.take("i")
            found = reader.array(
                lambda: (reader.string(), reader.array(lambda: reader.take("ihqqi"))))
            self.assertEqual(found, [(topic, [(0, 0, -1, 0, 0)])])

    def test_what_is_never_found_is_looked_for_in_the_right_epoch(self):
        topic = self.make_topic()
        client = flex.Client(self.server.port)
        self.addCleanup(client.close)
        for timestamp in (-5, -6):
            for epoch, code in ((-1, 0), (0, 0), (1, 75)):
                part = struct.pack(">iiq", 0, epoch, timestamp) + flex.TAGS
                reader = client.ask(raw.LIST_OFFSETS, 11, struct.pack(">ib", -1, 0) + flex.array(
                    [flex.string(topic) + flex.array([part]) + flex.TAGS])
                    + struct.pack(">i", 1000) + flex.TAGS)
                reader.take("i")
                found = reader.rows(
                    lambda: (reader.text(), reader.rows(lambda: reader.take("ihqqi"))))
                self.assertEqual(found, [(topic, [(0, code, -1, -1, -1)])])

    def test_a_waiting_reader_is_woken_at_once(self):
        topic = self.make_topic()
        producer_side, reader_side = self.raw(), self.raw()
        delays = []
        for i in range(60):
            reader_side.send(raw.FETCH, 4, reader_side.fetch_body(topic, 0, i, wait_ms=20000))
            one = batch.build([(None, b"%d" % i, ())], int(time.time() * 1000))
            began = time.monotonic()
            self.assertEqual(producer_side.produce(topic, 0, one)[:2], (0, i))
            code, high, data = reader_side.fetch_answer(reader_side.receive()[1])
            delays.append(time.monotonic() - began)
            self.assertEqual((code, high), (0, i + 1))
            self.assertEqual([each.offset for each in batch.split(data)], [i])
        self.report_delays("raw client", delays)

    def test_a_waiting_librdkafka_is_woken_at_once(self):
        topic = self.make_topic()
        consumer = self.consumer(fetch_wait_max_ms=10000)
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        producer = confluent_kafka.Producer({
            **case.connect(self.server.address), "linger.ms": 0})
        arrivals = {}
        ready = threading.Condition()

        def read():
            while len(arrivals) < 60:
                message = consumer.poll(0.5)
                if message is not None and not message.error():
                    with ready:
                        arrivals[message.offset()] = time.monotonic()
                        ready.notify()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        delays = []
        for i in range(60):
            began = time.monotonic()
            producer.produce(topic, b"%d" % i, partition=0)
            producer.flush(DEADLINE_S)
            with ready:
                self.assertTrue(ready.wait_for(lambda i=i: i in arrivals, DEADLINE_S))
            delays.append(arrivals[i] - began)
        reader.join(DEADLINE_S)
        self.report_delays("librdkafka", delays[1:])

    def report_delays(self, who, delays):
        median = statistics.median(delays)
        print(f"\n{who}: produce to consume: median {median * 1e3:.2f} ms, "
              f"worst {max(delays) * 1e3:.2f} ms of {len(delays)}", flush=True)
        self.assertLess(median, WAKE_MEDIAN_S)

    def test_a_long_poll_ends_when_its_time_is_up(self):
        topic = self.make_topic()
        client = self.raw()
        began = time.monotonic()
        self.assertEqual(client.fetch(topic, 0, 0, wait_ms=700), (0, 0, b""))
        took = time.monotonic() - began
        self.assertGreaterEqual(took, 0.65)
        self.assertLess(took, 0.7 + 0.5 * case.SLOWER)

    def test_a_long_poll_waits_for_its_bytes(self):
        topic = self.make_topic()
        reader, writer = self.raw(), self.raw()
        reader.send(raw.FETCH, 4, reader.fetch_body(topic, 0, 0, wait_ms=20000, min_bytes=1000))
        for _ in range(5):
            one = batch.build([(None, b"." * 300, ())], int(time.time() * 1000))
            self.assertEqual(writer.produce(topic, 0, one)[0], 0)
        _, _, data = reader.fetch_answer(reader.receive()[1])
        self.assertGreaterEqual(len(data), 1000)

    def test_reader_and_writer_go_on_after_a_restart(self):
        topic = self.make_topic()
        producer, consumer = self.producer(), self.consumer()
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        expected = []
        for life in range(4):
            for i in range(100):
                expected.append(b"%d/%d" % (life, i))
                producer.produce(topic, expected[-1], partition=0)
            self.assertEqual(producer.flush(DEADLINE_S), 0)
            self.assertEqual(values(consumer, 100), expected[-100:])
            self.server.restart(kill=life % 2 == 1)
        consumer = self.consumer()
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        self.assertEqual(values(consumer, 400), expected)

    def test_a_stop_wakes_long_polls(self):
        topic = self.make_topic()
        client = self.raw()
        client.send(raw.FETCH, 4, client.fetch_body(topic, 0, 0, wait_ms=60000))
        self.assertEqual(self.raw().api_versions()[0], 0)
        began = time.monotonic()
        self.assertEqual(self.server.stop(), 0)
        self.assertLess(time.monotonic() - began, 10 * case.SLOWER)


if __name__ == "__main__":
    unittest.main()
