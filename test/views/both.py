#!/usr/bin/env python3
"""Kafka and NATS clients over one log: what one publishes the other reads."""
# SPDX-License-Identifier: Apache-2.0
import base64
import json
import unittest

import confluent_kafka
from confluent_kafka import admin

from lib import case
from lib import nats

DEADLINE_S = 30 * case.SLOWER


def block(lines):
    return ("NATS/1.0\r\n" + "".join(line + "\r\n" for line in lines) + "\r\n").encode("latin-1")


class Publisher:
    """Publishes and asks for answers on one raw connection."""

    def __init__(self, client):
        self.client = client
        client.send(b"SUB _INBOX.me 1\r\n")
        client.flush()

    def send(self, subject, payload, lines=None, reply=""):
        if lines:
            head = block(lines)
            self.client.send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n"
                             .encode() + head + payload + b"\r\n")
        else:
            self.client.send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() +
                             payload + b"\r\n")

    def ask(self, subject, payload, lines=None):
        self.send(subject, payload, lines, "_INBOX.me")
        return self.answer()

    def answer(self):
        line, payload = self.client.message()
        assert line.startswith(b"MSG _INBOX.me 1 "), line
        return json.loads(payload)


class ViewsCase(case.ServerCase):
    nats = True

    def client(self):
        client = nats.Client(self.server.nats_port, DEADLINE_S)
        self.addCleanup(client.close)
        return client

    def publisher(self):
        return Publisher(self.client())

    def create(self, topic, partitions=1, **settings):
        maker = admin.AdminClient(case.connect(self.server.address))
        new = admin.NewTopic(topic, partitions, 1, config=settings)
        maker.create_topics([new])[topic].result(DEADLINE_S)

    def read(self, topic, count, partition=0):
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": "nobody",
            "enable.auto.commit": False, "auto.offset.reset": "error"})
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0)])
            got = []
            deadline = case.time.monotonic() + DEADLINE_S
            while len(got) < count and case.time.monotonic() < deadline:
                for message in consumer.consume(count - len(got), 0.5):
                    if message.error():
                        raise confluent_kafka.KafkaException(message.error())
                    got.append(message)
            self.assertEqual(len(got), count)
            return got
        finally:
            consumer.close()


class NatsToKafka(ViewsCase):

    def test_what_is_published_is_a_record(self):
        topic = self.topic_name()
        self.create(topic)
        publisher = self.publisher()
        subject = "kafka." + topic
        self.assertEqual(publisher.ask(subject, b"one"),
                         {"stream": topic, "seq": 1, "partition": 0, "offset": 0})
        publisher.ask(subject, b"two", ["Leat-Key: user 1", "A: 1", "A: 2", "B: "])
        publisher.ask(subject, b"", ["Leat-Key-Base64: /wA=", "Leat-Value: null",
                                     "Leat-Header: YSBi:-", "Leat-Timestamp: 1700000000000"])
        publisher.ask(subject, b"", ["Odd:1"])
        got = self.read(topic, 4)
        self.assertEqual([(m.offset(), m.key(), m.value(), m.headers()) for m in got], [
            (0, None, b"one", None),
            (1, b"user 1", b"two", [("A", b"1"), ("A", b"2"), ("B", b"")]),
            (2, b"\xff\0", None, [("a b", None)]),
            (3, None, b"", [("Leat-Block", b"NATS/1.0\r\nOdd:1\r\n\r\n")])])
        self.assertEqual(got[2].timestamp(), (1, 1700000000000))

    def test_an_answer_outlives_kill(self):
        topic = self.topic_name()
        publisher = self.publisher()
        for i in range(20):
            self.assertEqual(publisher.ask("kafka." + topic, b"%d" % i)["offset"], i)
        self.server.restart(kill=True)
        self.assertEqual([m.value() for m in self.read(topic, 20)], [b"%d" % i for i in range(20)])
        self.assertEqual(self.publisher().ask("kafka." + topic, b"x")["seq"], 21)

    def test_many_in_order_with_and_without_answers(self):
        topic = self.topic_name()
        self.create(topic, 4)
        publisher = self.publisher()
        for i in range(3000):
            publisher.send("kafka." + topic, b"%d " % i * 100, reply="_INBOX.me" if i % 3 else "")
        answers = [publisher.answer() for _ in range(2000)]
        self.assertEqual([a["offset"] for a in answers], [i for i in range(3000) if i % 3])
        self.assertEqual(len({a["partition"] for a in answers}), 1)
        got = self.read(topic, 3000, answers[0]["partition"])
        self.assertEqual([m.value() for m in got], [b"%d " % i * 100 for i in range(3000)])

    def test_keys_go_where_kafka_puts_them(self):
        topic = self.topic_name()
        self.create(topic, 7)
        publisher = self.publisher()
        producer = confluent_kafka.Producer({**case.connect(self.server.address),
                                             "partitioner": "murmur2"})
        theirs = {}

        def delivered(_, message):
            theirs[message.key().decode()] = message.partition()

        for i in range(40):
            producer.produce(topic, b"", b"key %d" % i, on_delivery=delivered)
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        ours = {f"key {i}": publisher.ask("kafka." + topic, b"", [f"Leat-Key: key {i}"])
                ["partition"] for i in range(40)}
        self.assertEqual(ours, theirs)

    def test_a_dot_in_the_name(self):
        topic = self.topic_name() + ".x"
        answer = self.publisher().ask("kafka." + topic.replace(".", "%2E"), b"v")
        self.assertEqual((answer["stream"], answer["seq"]), (topic, 1))
        self.assertEqual(self.read(topic, 1)[0].value(), b"v")

    def test_what_cannot_be_is_refused(self):
        topic = self.topic_name()
        self.create(topic, 1, **{"max.message.bytes": "1000"})
        publisher = self.publisher()
        subject = "kafka." + topic
        for line in ("Nats-Msg-Id: 1", "Nats-Expected-Stream: x", "Nats-Rollup: all",
                     "Nats-TTL: 1s", "Leat-What: 1", "Leat-Timestamp: x"):
            answer = publisher.ask(subject, b"v", [line])
            self.assertEqual(answer["error"]["code"], 400, answer)
            self.assertIn(line.split(":", 1)[0], answer["error"]["description"])
        self.assertEqual(publisher.ask(subject, b"v" * 2000)["error"]["code"], 400)
        for wrong in (subject + ".0", "kafka.a.b.c", "kafka.%41", "kafka.__consumer_offsets",
                      "kafka.__x", "kafka.a+b", "kafka.%2E"):
            self.assertIn("error", publisher.ask(wrong, b"v"), wrong)
        self.assertEqual(publisher.ask(subject, b"last")["offset"], 0)

    def test_who_wants_no_answer_still_hears_of_a_refusal(self):
        client = self.client()
        client.send(b"PUB kafka.a.0 1\r\nx\r\n")
        self.assertEqual(client.flush(),
                         b"-ERR 'Permissions Violation for Publish to \"kafka.a.0\": "
                         b"records are published to the subject of their topic'\r\n")

    def test_one_bad_time_fails_alone(self):
        topic = self.topic_name()
        self.create(topic, 1, **{"message.timestamp.before.max.ms": "1000"})
        publisher = self.publisher()
        publisher.client.send(b"")
        publisher.send("kafka." + topic, b"a", None, "_INBOX.me")
        publisher.send("kafka." + topic, b"b", ["Leat-Timestamp: 5"], "_INBOX.me")
        publisher.send("kafka." + topic, b"c", None, "_INBOX.me")
        answers = [publisher.answer() for _ in range(3)]
        self.assertEqual(sorted("error" in a for a in answers), [False, False, True])
        self.assertEqual([m.value() for m in self.read(topic, 2)], [b"a", b"c"])

    def test_a_publisher_that_leaves_at_once(self):
        topic = self.topic_name()
        client = self.client()
        client.send(b"PUB kafka." + topic.encode() + b" 1\r\nx\r\n")
        client.close()
        self.create(topic + "-other")
        self.assertIsNotNone(case.eventually(
            lambda: topic in admin.AdminClient(case.connect(self.server.address))
            .list_topics(timeout=DEADLINE_S).topics, DEADLINE_S))
        self.assertEqual(self.read(topic, 1)[0].value(), b"x")


class NoTopicsByThemselves(ViewsCase):
    config = "kafka {\n  auto.create.topics.enable: false\n}\n"

    def test_unknown_topics_are_refused(self):
        answer = self.publisher().ask("kafka.unknown", b"v")
        self.assertEqual(answer["error"]["code"], 404)


if __name__ == "__main__":
    unittest.main()
