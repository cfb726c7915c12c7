"""Topics, partitions, settings and record deletion through the clients' administration calls."""
# SPDX-License-Identifier: Apache-2.0
import time
import unittest

import confluent_kafka
import confluent_kafka.admin
import kafka
import kafka.admin
import kafka.errors

from lib import batch
from lib import case
from lib import raw

DEADLINE_S = 60 * case.SLOWER
NONE, UNKNOWN_TOPIC, INVALID_TOPIC, EXISTS, INVALID_PARTITIONS = 0, 3, 17, 36, 37
OUT_OF_RANGE, INVALID_CONFIG = 1, 40


class AdminTest(case.ServerCase):

    def setUp(self):
        super().setUp()
        self.admin = confluent_kafka.admin.AdminClient(case.connect(self.server.address))

    def result(self, futures):
        (future,) = futures.values()
        return future.result(DEADLINE_S)

    def code_of(self, futures):
        with self.assertRaises(confluent_kafka.KafkaException) as caught:
            self.result(futures)
        return caught.exception.args[0].code()

    def test_create_list_delete(self):
        name = self.topic_name()
        new = confluent_kafka.admin.NewTopic(name, 5, 1, config={"retention.ms": "1000000"})
        self.result(self.admin.create_topics([new]))
        topics = self.admin.list_topics(timeout=DEADLINE_S).topics
        self.assertEqual(sorted(topics[name].partitions), [0, 1, 2, 3, 4])
        self.assertEqual(self.code_of(self.admin.create_topics([new])), EXISTS)
        self.result(self.admin.delete_topics([name]))
        self.assertNotIn(name, self.admin.list_topics(timeout=DEADLINE_S).topics)
        self.assertEqual(self.code_of(self.admin.delete_topics([name])), UNKNOWN_TOPIC)

    def test_a_new_topic_of_an_old_name_is_empty(self):
        name = self.make_topic()
        client = self.raw()
        one = batch.build([(None, b"old", ())], int(time.time() * 1000))
        self.assertEqual(client.produce(name, 0, one)[:2], (NONE, 0))
        self.assertEqual(client.delete_topic(name), NONE)
        self.assertEqual(client.fetch(name, 0, 0)[0], UNKNOWN_TOPIC)
        self.assertEqual(client.produce(name, 0, one)[0], UNKNOWN_TOPIC)
        self.make_topic(name=name)
        self.assertEqual(client.list_offset(name, 0, raw.LATEST)[2], 0)
        self.assertEqual(client.produce(name, 0, one)[:2], (NONE, 0))
        self.server.restart(kill=True)
        client = self.raw()
        self.assertEqual(client.list_offset(name, 0, raw.LATEST)[2], 1)

    def test_topics_survive(self):
        names = [self.make_topic(3, {"retention.bytes": "123456789"}) for _ in range(20)]
        gone = names.pop()
        self.assertEqual(self.raw().delete_topic(gone), NONE)
        for kill in (False, True):
            self.server.restart(kill=kill)
            client = self.raw()
            found = client.metadata()
            self.assertNotIn(gone, found)
            for name in names:
                self.assertEqual(found[name], (NONE, {0: 0, 1: 0, 2: 0}))
            self.assertEqual(client.describe_topic(names[0])["retention.bytes"], "123456789")

    def test_names(self):
        client = self.raw()
        for name in ("", ".", "..", "a b", "a/b", "../x", "a" * 250, "\u00e9", "a\0b", "a:b"):
            with self.subTest(name=name):
                self.assertEqual(client.create_topic(name)[0], INVALID_TOPIC)
        for name in ("a" * 249, "A.b_c-9", "...", "-"):
            with self.subTest(name=name):
                self.assertEqual(client.create_topic(name)[0], NONE)
                self.assertEqual(client.delete_topic(name), NONE)

    def test_partition_counts(self):
        client = self.raw()
        self.assertEqual(client.create_topic(self.topic_name(), 0)[0], INVALID_PARTITIONS)
        self.assertEqual(client.create_topic(self.topic_name(), -5)[0], INVALID_PARTITIONS)
        self.assertNotEqual(client.create_topic(self.topic_name(), 2**31 - 1)[0], NONE)
        self.assertEqual(client.api_versions()[0], NONE)

    def test_create_partitions(self):
        name = self.make_topic(2)
        new = confluent_kafka.admin.NewPartitions(name, 6)
        self.result(self.admin.create_partitions([new]))
        topics = self.admin.list_topics(timeout=DEADLINE_S).topics
        self.assertEqual(sorted(topics[name].partitions), list(range(6)))
        client = self.raw()
        one = batch.build([(None, b"x", ())], int(time.time() * 1000))
        self.assertEqual(client.produce(name, 5, one)[:2], (NONE, 0))
        for count in (6, 3):
            self.assertEqual(client.create_partitions(name, count)[1], INVALID_PARTITIONS)
        self.assertEqual(client.create_partitions("missing", 3)[1], UNKNOWN_TOPIC)

    def test_describe_and_alter_settings(self):
        name = self.make_topic()
        resource = confluent_kafka.admin.ConfigResource("topic", name)
        found = self.result(self.admin.describe_configs([resource]))
        self.assertEqual(found["retention.ms"].value, "604800000")
        self.assertTrue(found["retention.ms"].is_default)
        self.assertEqual(found["cleanup.policy"].value, "delete")
        self.assertEqual(found["max.message.bytes"].value, "1048588")
        client = self.raw()
        self.assertEqual(client.alter_topic(name, "retention.ms", "7200000"), (NONE, None))
        self.assertEqual(client.alter_topic(name, "max.message.bytes", "5000"), (NONE, None))
        found = self.result(self.admin.describe_configs([resource]))
        self.assertEqual(found["retention.ms"].value, "7200000")
        self.assertFalse(found["retention.ms"].is_default)
        big = batch.build([(None, b"x" * 6000, ())], int(time.time() * 1000))
        self.assertEqual(client.produce(name, 0, big)[0], 10)
        self.assertEqual(client.alter_topic(name, "max.message.bytes", None, op=1), (NONE, None))
        self.assertEqual(client.produce(name, 0, big)[0], NONE)
        self.assertEqual(client.describe_topic(name)["max.message.bytes"], "1048588")

    def test_no_names_of_settings_are_all(self):
        name = self.make_topic()
        client = self.raw()
        everything = client.describe_settings(raw.TOPIC, name)
        self.assertIn("retention.ms", everything)
        self.assertEqual(client.describe_settings(raw.TOPIC, name, []), everything)
        self.assertEqual(client.describe_settings(raw.TOPIC, name, ["retention.ms"]),
                         {"retention.ms": "604800000"})

    def test_brokers_own_settings_beat_the_default_of_all(self):
        key, own = "log.retention.bytes", "1"
        client = self.raw()

        def now(name):
            return client.describe_settings(raw.BROKER, name, [key])

        for name, value, expected in [("", "7000000", "7000000"), (own, "8000000", "8000000"),
                                      (own, None, "7000000"), ("", None, "-1")]:
            with self.subTest(name=name, value=value):
                op = 0 if value else 1
                self.assertEqual(client.alter_setting(raw.BROKER, name, key, value, op)[0], NONE)
                self.assertEqual(now(own), {key: expected})
        self.assertEqual(now(""), {})

    def test_new_topics_settings_have_values(self):
        client = self.raw()
        self.assertEqual(client.create_topic("nothing", settings={"retention.ms": None})[0],
                         INVALID_CONFIG)
        self.assertEqual(client.metadata(["nothing"])["nothing"][0], UNKNOWN_TOPIC)

    def test_old_alter_configs_replaces_everything(self):
        name = self.make_topic(settings={"retention.ms": "5000000", "segment.ms": "60000"})
        resource = confluent_kafka.admin.ConfigResource("topic", name)
        resource.set_config("retention.bytes", "1000000")
        self.result(self.admin.alter_configs([resource]))
        found = self.raw().describe_topic(name)
        self.assertEqual((found["retention.bytes"], found["retention.ms"], found["segment.ms"]),
                         ("1000000", "604800000", "604800000"))

    def test_what_is_not_honoured_is_refused_by_name(self):
        name = self.make_topic()
        client = self.raw()
        wrong = [("no.such.setting", "1"), ("cleanup.policy", "shred"), ("preallocate", "true"),
                 ("retention.ms", "soon"), ("retention.ms", "-2"), ("segment.bytes", "1000"),
                 ("min.insync.replicas", "2"), ("remote.storage.enable", "true"),
                 ("unclean.leader.election.enable", "true"), ("compression.type", "brotli")]
        for key, value in wrong:
            with self.subTest(key=key, value=value):
                code, words = client.alter_topic(name, key, value)
                self.assertEqual(code, INVALID_CONFIG)
                self.assertIn(key, words)
                code, words = client.create_topic(self.topic_name(), 1, {key: value})
                self.assertEqual(code, INVALID_CONFIG)
                self.assertIn(key, words)
        before = client.describe_topic(name)
        self.server.restart()
        self.assertEqual(self.raw().describe_topic(name), before)

    def test_defaults_of_what_is_not_honoured_are_accepted(self):
        name = self.make_topic(settings={"preallocate": "false",
                                         "unclean.leader.election.enable": "false"})
        self.assertEqual(self.raw().describe_topic(name)["preallocate"], "false")

    def test_delete_records(self):
        name = self.make_topic()
        client = self.raw()
        for i in range(10):
            one = batch.build([(None, b"%d" % i, ())] * 10, int(time.time() * 1000))
            self.assertEqual(client.produce(name, 0, one)[0], NONE)
        self.assertEqual(client.delete_records(name, 0, 35), (35, NONE))
        self.assertEqual(client.list_offset(name, 0, raw.EARLIEST)[2], 35)
        self.assertEqual(client.fetch(name, 0, 34)[0], OUT_OF_RANGE)
        code, _, data = client.fetch(name, 0, 35)
        self.assertEqual((code, next(batch.split(data)).offset), (NONE, 30))
        self.assertEqual(client.delete_records(name, 0, 20), (35, NONE))
        self.assertEqual(client.delete_records(name, 0, 101)[1], OUT_OF_RANGE)
        self.server.restart(kill=True)
        client = self.raw()
        self.assertEqual(client.list_offset(name, 0, raw.EARLIEST)[2], 35)
        self.assertEqual(client.delete_records(name, 0, -1), (100, NONE))
        self.assertEqual(client.list_offset(name, 0, raw.EARLIEST)[2], 100)
        one = batch.build([(None, b"next", ())], int(time.time() * 1000))
        self.assertEqual(client.produce(name, 0, one)[:2], (NONE, 100))

    def test_kafka_python(self):
        admin = kafka.admin.KafkaAdminClient(bootstrap_servers=self.server.address)
        self.addCleanup(admin.close)
        name = self.topic_name("py")
        admin.create_topics([kafka.admin.NewTopic(name, 2, 1)], timeout_ms=30000)
        with self.assertRaises(kafka.errors.TopicAlreadyExistsError):
            admin.create_topics([kafka.admin.NewTopic(name, 2, 1)], timeout_ms=30000)
        self.assertIn(name, admin.list_topics())
        resource = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, name)
        (answer,) = admin.describe_configs([resource])
        settings = {row[0]: row[1] for row in answer.resources[0][4]}
        self.assertEqual(settings["retention.ms"], "604800000")
        admin.delete_topics([name], timeout_ms=30000)
        self.assertNotIn(name, admin.list_topics())

    def test_broker_settings(self):
        node = next(iter(self.admin.list_topics(timeout=DEADLINE_S).brokers))
        resource = confluent_kafka.admin.ConfigResource("broker", str(node))
        found = self.result(self.admin.describe_configs([resource]))
        self.assertEqual(found["num.partitions"].value, "1")
        self.assertEqual(found["log.retention.ms"].value, "604800000")


class NoAutoCreateTest(case.ServerCase):

    config = "kafka {\n  auto.create.topics.enable: false\n  num.partitions: 4\n}\n"

    def test_unknown_topics_stay_unknown(self):
        client = self.raw()
        self.assertEqual(client.metadata(["nobody"])["nobody"][0], UNKNOWN_TOPIC)
        self.assertNotIn("nobody", client.metadata())

    def test_default_partition_count(self):
        name = self.make_topic(-1)
        self.assertEqual(len(self.raw().metadata([name])[name][1]), 4)


if __name__ == "__main__":
    unittest.main()
