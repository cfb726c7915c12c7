#!/usr/bin/env python3
"""Kafka and NATS clients over one log: what one publishes the other reads."""
# SPDX-License-Identifier: Apache-2.0
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
        self.inbox = f"_INBOX.{next(case.names)}"
        client.send(f"SUB {self.inbox} 1\r\n".encode())
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
        self.send(subject, payload, lines, self.inbox)
        return self.answer()

    def answer(self):
        line, payload = self.client.message()
        assert line.startswith(f"MSG {self.inbox} 1 ".encode()), line
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
            reply = publisher.inbox if i % 3 else ""
            publisher.send("kafka." + topic, b"%d " % i * 100, reply=reply)
        answers = [publisher.answer() for _ in range(2000)]
        self.assertEqual([a["offset"] for a in answers], [i for i in range(3000) if i % 3])
        self.assertEqual(len({a["partition"] for a in answers}), 1)
        got = self.read(topic, 3000, answers[0]["partition"])
        self.assertEqual([m.value() for m in got], [b"%d " % i * 100 for i in range(3000)])

    def test_more_than_the_disk_takes_at_once(self):
        topic = self.topic_name()
        self.create(topic)
        publisher = self.publisher()
        message = b"x" * 2000
        for _ in range(200):
            publisher.client.send(b"PUB kafka.%s 2000\r\n%s\r\n" % (topic.encode(), message) * 100)
        self.assertEqual(publisher.ask("kafka." + topic, b"last")["offset"], 20000)

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
        self.assertEqual(self.codes(publisher.ask(subject, b"v" * 2000)), (400, 10054))
        for wrong in (subject + ".0", "kafka.a.b.c", "kafka.%41", "kafka.__consumer_offsets",
                      "kafka.__x", "kafka.a+b", "kafka.%2E"):
            self.assertIn("error", publisher.ask(wrong, b"v"), wrong)
        self.assertEqual(publisher.ask(subject, b"last")["offset"], 0)

    @staticmethod
    def codes(answer):
        return answer["error"]["code"], answer["error"]["err_code"]

    def test_what_the_topic_will_never_take_is_no_matter_of_trying_again(self):
        topic = self.topic_name()
        self.create(topic, 1, **{"cleanup.policy": "compact",
                                 "message.timestamp.before.max.ms": "1000"})
        publisher = self.publisher()
        subject = "kafka." + topic
        self.assertEqual(self.codes(publisher.ask(subject, b"v")), (400, 10003))
        self.assertEqual(
            self.codes(publisher.ask(subject, b"v", ["Leat-Key: k", "Leat-Timestamp: 5"])),
            (400, 10003))
        self.assertEqual(publisher.ask(subject, b"v", ["Leat-Key: k"])["offset"], 0)

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
        publisher.send("kafka." + topic, b"a", None, publisher.inbox)
        publisher.send("kafka." + topic, b"b", ["Leat-Timestamp: 5"], publisher.inbox)
        publisher.send("kafka." + topic, b"c", None, publisher.inbox)
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


def parse(message):
    """(subject, header lines, payload) of a message."""
    line, whole = message
    words = line.split()
    if words[0] == b"MSG":
        return words[1].decode(), [], whole
    assert words[0] == b"HMSG", line
    size = int(words[-2])
    head, payload = whole[:size], whole[size:]
    assert head.startswith(b"NATS/1.0\r\n") and head.endswith(b"\r\n\r\n"), head
    return words[1].decode(), head[10:-4].decode().split("\r\n"), payload


class KafkaToNats(ViewsCase):

    def producer(self, **settings):
        return confluent_kafka.Producer({
            **case.connect(self.server.address), "linger.ms": 5,
            **{key.replace("_", "."): value for key, value in settings.items()}})

    def flush(self, producer):
        self.assertEqual(producer.flush(DEADLINE_S), 0)

    def subscribe(self, *filters, queue=""):
        client = self.client()
        for sid, each in enumerate(filters, 1):
            client.send(f"SUB {each} {queue} {sid}\r\n".encode())
        self.assertEqual(client.flush(), b"")
        return client

    def send_one(self, topic, value, partition=0, **more):
        producer = self.producer()
        producer.produce(topic, value, partition=partition, **more)
        self.flush(producer)

    def test_every_codec_in_order(self):
        topic = self.topic_name()
        self.create(topic)
        self.send_one(topic, b"before")
        client = self.subscribe(f"kafka.{topic}.0")
        offset = 1
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            producer = self.producer(compression_type=codec)
            for i in range(500):
                producer.produce(topic, b"%s %d " % (codec.encode(), i) * 20, partition=0)
            self.flush(producer)
            for i in range(500):
                subject, lines, payload = parse(client.message())
                self.assertEqual(subject, f"kafka.{topic}.0")
                self.assertEqual(lines[0], f"Leat-Offset: {offset}")
                self.assertEqual(payload, b"%s %d " % (codec.encode(), i) * 20)
                offset += 1
        self.assertEqual(client.flush(), b"")

    def test_keys_headers_times_and_nothing(self):
        topic = self.topic_name()
        self.create(topic)
        client = self.subscribe(f"kafka.{topic}.*")
        self.send_one(topic, None, key=b"k 1", timestamp=1700000000000,
                      headers=[("a", b"1"), ("a", None), ("b c", b"x"), ("Leat-Key", b"y")])
        self.send_one(topic, b"", key=b"\xff", timestamp=1700000000001)
        self.send_one(topic, b"v", timestamp=1700000000002)
        self.assertEqual(parse(client.message())[1:], ([
            "Leat-Offset: 0", "Leat-Timestamp: 1700000000000", "Leat-Key: k 1",
            "Leat-Value: null", "a: 1", "Leat-Header: YQ==:-", "Leat-Header: YiBj:eA==",
            "Leat-Header: TGVhdC1LZXk=:eQ=="], b""))
        self.assertEqual(parse(client.message())[1:], ([
            "Leat-Offset: 1", "Leat-Timestamp: 1700000000001", "Leat-Key-Base64: /w=="], b""))
        self.assertEqual(parse(client.message())[1:], (
            ["Leat-Offset: 2", "Leat-Timestamp: 1700000000002"], b"v"))

    def test_only_what_is_committed(self):
        topic = self.topic_name()
        self.create(topic)
        client = self.subscribe(f"kafka.{topic}.0")
        producer = self.producer(transactional_id=topic)
        producer.init_transactions(DEADLINE_S)
        for value, commit in ((b"one", False), (b"two", True), (b"three", False), (b"four", True)):
            producer.begin_transaction()
            producer.produce(topic, value, partition=0)
            self.flush(producer)
            self.send_one(topic, b"beside " + value)
            self.assertEqual(client.flush(), b"")  # it waits behind the transaction
            if commit:
                producer.commit_transaction(DEADLINE_S)
                self.assertEqual(parse(client.message())[2], value)
            else:
                producer.abort_transaction(DEADLINE_S)
            self.assertEqual(parse(client.message())[2], b"beside " + value)
        self.assertEqual(client.flush(), b"")

    def test_who_sees_what(self):
        topic = self.topic_name() + ".dots"
        token = topic.replace(".", "%2E")
        self.create(topic, 3)
        one = self.subscribe(f"kafka.{token}.1")
        both = self.subscribe(f"kafka.{token}.*", "kafka.>")
        nobody = self.subscribe(">", "*.*.*", f"*.{token}.1", "kafka", f"kafka.{token}")
        for partition in range(3):
            self.send_one(topic, b"%d" % partition, partition)
        self.assertEqual(parse(one.message())[::2], (f"kafka.{token}.1", b"1"))
        got = sorted(parse(both.message())[::2] for _ in range(6))
        self.assertEqual(got, sorted([(f"kafka.{token}.{p}", b"%d" % p) for p in range(3)] * 2))
        for client in (one, both, nobody):
            self.assertEqual(client.flush(), b"")

    def test_what_nats_publishes_nats_sees(self):
        topic = self.topic_name()
        publisher = self.publisher()
        client = self.subscribe(f"kafka.{topic}.*")
        publisher.ask(f"kafka.{topic}", b"v", ["Leat-Key: k", "A: 1"])
        subject, lines, payload = parse(client.message())
        self.assertEqual((subject, payload), (f"kafka.{topic}.0", b"v"))
        self.assertEqual([lines[0], *lines[2:]], ["Leat-Offset: 0", "Leat-Key: k", "A: 1"])

    def test_a_topic_that_comes_later_and_grows(self):
        topic = self.topic_name()
        client = self.subscribe(f"kafka.{topic}.>")
        self.create(topic)
        self.send_one(topic, b"first")
        self.assertEqual(parse(client.message())[2], b"first")
        maker = admin.AdminClient(case.connect(self.server.address))
        maker.create_partitions([admin.NewPartitions(topic, 2)])[topic].result(DEADLINE_S)
        self.assertTrue(case.eventually(
            lambda: len(maker.list_topics(topic, DEADLINE_S).topics[topic].partitions) == 2,
            DEADLINE_S))
        self.send_one(topic, b"second", 1)
        self.assertEqual(parse(client.message())[::2], (f"kafka.{topic}.1", b"second"))
        maker.delete_topics([topic])[topic].result(DEADLINE_S)
        self.create(topic)
        self.send_one(topic, b"again")
        self.assertEqual(parse(client.message())[::2], (f"kafka.{topic}.0", b"again"))

    def test_unsubscribed_and_back_sees_only_what_is_new(self):
        topic = self.topic_name()
        self.create(topic)
        for i in range(10):
            client = self.subscribe(f"kafka.{topic}.0")
            self.send_one(topic, b"seen %d" % i)
            self.assertEqual(parse(client.message())[2], b"seen %d" % i)
            client.send(b"UNSUB 1\r\n")
            self.assertEqual(client.flush(), b"")
            self.send_one(topic, b"unseen")

    def test_a_queue_group_shares(self):
        topic = self.topic_name()
        self.create(topic)
        members = [self.subscribe(f"kafka.{topic}.0", queue="g") for _ in range(3)]
        producer = self.producer()
        for i in range(300):
            producer.produce(topic, b"%d" % i, partition=0)
        self.flush(producer)
        got = []
        whole = self.subscribe(f"kafka.{topic}.0")
        self.send_one(topic, b"end")
        self.assertEqual(parse(whole.message())[2], b"end")
        for member in members:
            member.send(b"PING\r\n")
            line = member.line()
            while line != b"PONG":
                if line.startswith(b"HMSG"):
                    size = [int(word) for word in line.split()[-2:]]
                    got.append(member.take(size[1] + 2)[size[0]:-2])
                line = member.line()
        self.assertEqual(sorted(got), sorted([b"%d" % i for i in range(300)] + [b"end"]))

    def test_records_over_the_limit_of_nats(self):
        topic = self.topic_name()
        self.create(topic, 1, **{"max.message.bytes": "4000000"})
        client = self.subscribe(f"kafka.{topic}.0")
        producer = self.producer(message_max_bytes=4000000, compression_type="lz4")
        producer.produce(topic, b"x" * 2000000, b"k", partition=0, timestamp=5)
        self.flush(producer)
        self.send_one(topic, b"small")
        self.assertEqual(parse(client.message())[1:], (
            ["Leat-Offset: 0", "Leat-Timestamp: 5", "Leat-Key: k", "Leat-Size: 2000000"], b""))
        self.assertEqual(parse(client.message())[2], b"small")

    def test_restart_in_between(self):
        topic = self.topic_name()
        self.create(topic)
        client = self.subscribe(f"kafka.{topic}.0")
        self.send_one(topic, b"one")
        self.assertEqual(parse(client.message())[1][0], "Leat-Offset: 0")
        self.server.restart(kill=True)
        client = self.subscribe(f"kafka.{topic}.0")
        answer = self.publisher().ask(f"kafka.{topic}", b"two")
        self.assertEqual(answer["offset"], 1)
        self.assertEqual(parse(client.message())[1][0], "Leat-Offset: 1")
        self.server.restart()

    def test_many_records_to_a_reader_that_takes_its_time(self):
        topic = self.topic_name()
        self.create(topic)
        client = self.subscribe(f"kafka.{topic}.0")
        producer = self.producer(compression_type="zstd")
        for i in range(20000):
            producer.produce(topic, b"%d " % i * 200, partition=0)
            producer.poll(0)
        self.flush(producer)
        for i in range(20000):
            self.assertEqual(parse(client.message())[2], b"%d " % i * 200)


class ManyCores(KafkaToNats):
    cores = 3


class OtherPrefix(ViewsCase):
    config = "leat_view: logs\n"

    def test_the_prefix_is_a_setting(self):
        topic = self.topic_name()
        publisher = self.publisher()
        client = self.client()
        client.send(f"SUB logs.{topic}.0 1\r\nSUB kafka.{topic} 2\r\n".encode())
        client.flush()
        publisher.send("kafka." + topic, b"ordinary")
        self.assertEqual(publisher.ask("logs." + topic, b"record")["offset"], 0)
        self.assertEqual(client.message(), (f"MSG kafka.{topic} 2 8".encode(), b"ordinary"))
        self.assertEqual(parse(client.message())[::2], (f"logs.{topic}.0", b"record"))


class NoView(ViewsCase):
    config = "leat_view: false\n"

    def test_subjects_are_ordinary(self):
        client = self.client()
        client.send(b"SUB > 1\r\nPUB kafka.t 1\r\nx\r\nPUB kafka.t.0 1\r\ny\r\n")
        self.assertEqual(client.message(), (b"MSG kafka.t 1 1", b"x"))
        self.assertEqual(client.message(), (b"MSG kafka.t.0 1 1", b"y"))


class Permissions(ViewsCase):
    config = """
authorization {
  users: [
    {user: all, password: x},
    {user: some, password: x, permissions: {
      publish: {deny: "kafka.secret"}, subscribe: {deny: "kafka.secret.0"}}}
  ]
}
kafka { anonymous: true }
"""

    def login(self, user):
        client = nats.Client(self.server.nats_port, DEADLINE_S, user=user, **{"pass": "x"})
        self.addCleanup(client.close)
        return client

    def test_denies_hold_in_the_view(self):
        everything = Publisher(self.login("all"))
        client = self.login("some")
        client.send(b"SUB kafka.secret.0 1\r\nSUB kafka.> 2\r\nPUB kafka.secret 1\r\nx\r\n")
        self.assertEqual(
            client.flush(),
            b"-ERR 'Permissions Violation for Subscription to \"kafka.secret.0\"'\r\n"
            b"-ERR 'Permissions Violation for Publish to \"kafka.secret\"'\r\n")
        self.assertEqual(everything.ask("kafka.secret", b"hidden")["offset"], 0)
        self.assertEqual(everything.ask("kafka.open", b"shown")["offset"], 0)
        self.assertEqual(parse(client.message())[::2], ("kafka.open.0", b"shown"))
        self.assertEqual(client.flush(), b"")


class NoTopicsByThemselves(ViewsCase):
    config = "kafka {\n  auto.create.topics.enable: false\n}\n"

    def test_unknown_topics_are_refused(self):
        answer = self.publisher().ask("kafka.unknown", b"v")
        self.assertEqual(answer["error"]["code"], 404)


if __name__ == "__main__":
    unittest.main()
