#!/usr/bin/env python3
"""Subjects that are bound to topics: publishing to them appends, records come out on them."""
# SPDX-License-Identifier: Apache-2.0
import unittest

import confluent_kafka
from confluent_kafka import admin

import both
from lib import case
from lib import nats

DEADLINE_S = both.DEADLINE_S


class BoundCase(both.ViewsCase):

    def bind(self, subjects, partitions=1, **settings):
        topic = self.topic_name()
        self.create(topic, partitions, **{"nats.subjects": subjects}, **settings)
        return topic

    def alter(self, topic, subjects):
        maker = admin.AdminClient(case.connect(self.server.address))
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic,
                                        set_config={"nats.subjects": subjects})
        maker.alter_configs([resource])[resource].result(DEADLINE_S)

    def describe(self, topic):
        maker = admin.AdminClient(case.connect(self.server.address))
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic)
        return maker.describe_configs([resource])[resource].result(DEADLINE_S)[
            "nats.subjects"].value

    def subscribe(self, *subjects, queue=""):
        client = self.client()
        for number, subject in enumerate(subjects):
            client.send(f"SUB {subject} {queue} {number + 1}\r\n".encode())
        self.assertEqual(client.flush(), b"")
        return client

    def produce(self, topic, value, key=None, headers=None, **options):
        producer = confluent_kafka.Producer({**case.connect(self.server.address), **options})
        producer.produce(topic, value, key, 0, headers=headers)
        self.assertEqual(producer.flush(DEADLINE_S), 0)


class Bound(BoundCase):

    def test_what_is_published_is_delivered_at_once_and_kept(self):
        topic = self.bind("orders.*,bills")
        taker = self.subscribe("orders.*", f"kafka.{topic}.0")
        publisher = self.publisher()
        self.assertEqual(publisher.ask("orders.1", b"one"),
                         {"stream": topic, "seq": 1, "partition": 0, "offset": 0})
        publisher.ask("bills", b"two", ["Leat-Key: ann", "Colour: x"])
        publisher.ask("orders.2", b"three", ["Leat-Subject: orders.2"])
        publisher.send("other", b"")
        self.assertEqual([(m.key(), m.value(), m.headers()) for m in self.read(topic, 3)], [
            (b"orders.1", b"one", None),
            (b"ann", b"two", [("Colour", b"x"), ("Leat-Subject", b"bills")]),
            (None, b"three", [("Leat-Subject", b"orders.2")])])
        at_once, later = [], []
        for _ in range(5):
            subject, lines, payload = both.parse(taker.message())
            (later if subject.startswith("kafka.") else at_once).append((subject, payload))
            self.assertEqual(subject.startswith("kafka."),
                             any(line.startswith("Leat-Offset") for line in lines))
        self.assertEqual(at_once, [("orders.1", b"one"), ("orders.2", b"three")])
        self.assertEqual([payload for _, payload in later], [b"one", b"two", b"three"])
        self.assertEqual(taker.flush(), b"")

    def test_records_from_kafka_come_out_on_their_subject(self):
        topic = self.bind("stock.*.in", 3)
        taker = self.subscribe("stock.>")
        self.produce(topic, b"a", b"stock.x.in")
        self.produce(topic, b"-", b"no.subject")
        self.produce(topic, b"-", b"stock.y")
        self.produce(topic, b"b", b"k", [("Leat-Subject", b"stock.y.in")], **{
            "compression.type": "zstd"})
        self.produce(topic, b"c", None, [("Leat-Subject", b"stock.z.in"), ("Colour", b"x")])
        self.produce(topic, None, b"stock.x.in")
        got = [both.parse(taker.message()) for _ in range(4)]
        kept = [(subject, [line for line in lines if not line.startswith("Leat-Timestamp")],
                 payload) for subject, lines, payload in got]
        self.assertEqual(kept, [
            ("stock.x.in", ["Leat-Offset: 0"], b"a"),
            ("stock.y.in", ["Leat-Offset: 3", "Leat-Key: k", "Leat-Subject: stock.y.in"], b"b"),
            ("stock.z.in", ["Leat-Offset: 4", "Leat-Subject: stock.z.in", "Colour: x"], b"c"),
            ("stock.x.in", ["Leat-Offset: 5", "Leat-Value: null"], b"")])
        self.assertEqual(taker.flush(), b"")

    def test_what_came_out_can_be_published_again(self):
        topic = self.bind("copy.*")
        taker = self.subscribe("copy.*")
        publisher = self.publisher()
        made = [(b"copy.1", None), (b"k", [("Leat-Subject", b"copy.2")]),
                (None, [("Leat-Subject", b"copy.3")]),
                (b"copy.4", [("Leat-Subject", b"copy.4"), ("A", b"1")])]
        for key, headers in made:
            self.produce(topic, b"v", key, headers)
        for subject, lines, payload in [both.parse(taker.message()) for _ in made]:
            publisher.ask(subject, payload, lines)
        got = self.read(topic, 8)
        self.assertEqual([(m.key(), m.headers(), m.timestamp()) for m in got[:4]],
                         [(m.key(), m.headers(), m.timestamp()) for m in got[4:]])

    def test_a_group_gets_each_once(self):
        topic = self.bind("shared.*")
        members = [self.subscribe("shared.*", queue="g") for _ in range(3)]
        producer = confluent_kafka.Producer(case.connect(self.server.address))
        for number in range(50):
            producer.produce(topic, b"k%d" % number, b"shared.1")
            producer.flush(DEADLINE_S)
        publisher = self.publisher()
        for number in range(50):
            publisher.ask("shared.2", b"n%d" % number)
        self.produce(topic, b"k50", b"shared.1")
        wanted = {b"k%d" % number for number in range(51)} | {b"n%d" % n for n in range(50)}
        for member in members:
            member.kept = []

        def take():
            for member in members:
                member.send(b"PING\r\n")
                while (line := member.spoken()) != b"PONG":
                    payload = member.take(int(line.split()[-1]) + 2)[:-2]
                    member.kept.append(payload.rpartition(b"\r\n")[2])
            return sum(len(member.kept) for member in members) >= len(wanted)

        self.assertTrue(case.eventually(take, DEADLINE_S))
        got = sorted(payload for member in members for payload in member.kept)
        self.assertEqual(got, sorted(wanted))

    def test_bindings_come_and_go(self):
        topic = self.bind("first")
        self.assertEqual(self.describe(topic), "first")
        taker = self.subscribe("first", "second")
        publisher = self.publisher()
        publisher.ask("first", b"1")
        self.alter(topic, "second, third.*")
        self.assertEqual(self.describe(topic), "second,third.*")
        publisher.send("first", b"2")
        self.assertEqual(publisher.ask("second", b"3")["offset"], 1)
        self.produce(topic, b"4", b"second")
        self.produce(topic, b"-", b"first")
        self.assertEqual([both.parse(taker.message())[::2] for _ in range(4)], [
            ("first", b"1"), ("first", b"2"), ("second", b"3"), ("second", b"4")])
        with self.assertRaises(confluent_kafka.KafkaException):
            self.bind("third.x")
        with self.assertRaises(confluent_kafka.KafkaException):
            self.alter(topic, "kafka.x")
        self.server.restart(kill=True)
        self.assertEqual(self.publisher().ask("third.x", b"5")["offset"], 4)
        maker = admin.AdminClient(case.connect(self.server.address))
        maker.create_partitions([admin.NewPartitions(topic, 2)])[topic].result(DEADLINE_S)
        taker = self.subscribe("third.*")
        self.produce(topic, b"6", b"third.y")
        self.assertEqual(both.parse(taker.message())[::2], ("third.y", b"6"))
        maker.delete_topics([topic])[topic].result(DEADLINE_S)
        again = self.bind("third.x")
        self.assertEqual(self.publisher().ask("third.x", b"7"),
                         {"stream": again, "seq": 1, "partition": 0, "offset": 0})

    def test_wildcards_do_not_catch_what_is_reserved(self):
        topic = self.bind("*.all.caught", 1)
        taker = self.subscribe("_INBOX.all.caught", "$JS.all.caught")
        publisher = self.publisher()
        for subject in ("_INBOX.all.caught", "$JS.all.caught", "$SYS.all.caught"):
            publisher.send(subject, b"x")
        self.assertEqual(publisher.ask("any.all.caught", b"y")["offset"], 0)
        self.produce(topic, b"-", b"_INBOX.all.caught")
        self.produce(topic, b"-", f"kafka.{topic}".encode())
        self.assertEqual(self.read(topic, 1)[0].value(), b"y")
        self.assertEqual(taker.message(), (b"MSG _INBOX.all.caught 1 1", b"x"))
        self.assertEqual(taker.message(), (b"MSG $JS.all.caught 2 1", b"x"))
        self.assertEqual(taker.flush(), b"")

    def test_what_cannot_be_kept_is_said(self):
        topic = self.bind("strict", **{"max.message.bytes": "1000"})
        publisher = self.publisher()
        for lines, payload in ((["Leat-Subject: loose"], b""), (["Nats-Msg-Id: 1"], b""),
                               (None, b"x" * 2000)):
            answer = publisher.ask("strict", payload, lines)
            self.assertEqual(answer["stream"], topic)
            self.assertIn("error", answer)
        self.assertEqual(publisher.ask("strict", b"")["offset"], 0)

    def test_order_of_each_subject(self):
        topic = self.bind("ordered.*", 4)
        taker = self.subscribe("ordered.*")
        publisher = self.publisher()
        for number in range(2000):
            publisher.send(f"ordered.{number % 10}", b"%d" % number)
        publisher.ask("ordered.0", b"2000")
        self.assertEqual([both.parse(taker.message())[2] for _ in range(2001)],
                         [b"%d" % number for number in range(2001)])
        total = 0
        for partition in range(4):
            maker = confluent_kafka.Consumer({**case.connect(self.server.address),
                                              "group.id": "n"})
            end = maker.get_watermark_offsets(
                confluent_kafka.TopicPartition(topic, partition), DEADLINE_S)[1]
            maker.close()
            last = {}
            for message in self.read(topic, end, partition) if end else []:
                self.assertGreater(int(message.value()), last.get(message.key(), -1))
                last[message.key()] = int(message.value())
            total += end
        self.assertEqual(total, 2001)


class ManyCores(Bound):
    cores = 3


class Names(BoundCase):
    """Permissions are asked on both names."""

    config = """
authorization {
  users: [
    {user: all, password: x},
    {user: topic, password: x, permissions: {
      publish: {allow: ["kafka.named", "kafka.named.*"]}}},
    {user: subject, password: x, permissions: {publish: {allow: "names.a"}}},
    {user: bare, password: x, permissions: {publish: {allow: "kafka.named"}}},
    {user: deaf, password: x, permissions: {subscribe: {deny: "names.secret"}}},
  ]
}
kafka { anonymous: true }
"""

    def login(self, user):
        client = nats.Client(self.server.nats_port, DEADLINE_S, user=user, **{"pass": "x"})
        self.addCleanup(client.close)
        return both.Publisher(client)

    def test_both_names_are_asked(self):
        self.create("named", 1, **{"nats.subjects": "names.a,names.b"})
        user = {name: self.login(name) for name in ("all", "topic", "subject", "bare", "deaf")}
        self.assertEqual(user["subject"].ask("names.a", b"0")["offset"], 0)
        self.assertEqual(user["topic"].ask("kafka.named", b"1")["offset"], 1)
        for name, lines in (("topic", ["Leat-Key: names.a"]),
                            ("topic", ["Leat-Subject: names.b"]), ("bare", None)):
            answer = user[name].ask("kafka.named", b"", lines)
            self.assertIn("may not be published", answer["error"]["description"])
        self.assertEqual(user["all"].ask("kafka.named", b"2", ["Leat-Key: names.a"])["offset"], 2)

    def test_denied_on_one_name_is_denied(self):
        self.create("hidden", 1, **{"nats.subjects": "names.secret"})
        everything, deaf = self.login("all"), self.login("deaf")
        deaf.client.send(b"SUB kafka.hidden.0 7\r\n")
        self.assertEqual(deaf.client.flush(), b"")
        self.assertEqual(everything.ask("names.secret", b"hidden")["offset"], 0)
        self.assertEqual(everything.ask("kafka.hidden", b"hidden",
                                        ["Leat-Key: names.secret"])["offset"], 1)
        self.assertEqual(everything.ask("kafka.hidden", b"shown")["offset"], 2)
        self.assertEqual(both.parse(deaf.client.message())[2], b"shown")


if __name__ == "__main__":
    unittest.main()
