"""Settings of single groups: what is taken, told and in force at the next heartbeat."""
# SPDX-License-Identifier: Apache-2.0
import struct
import unittest

from lib import case
from lib import flex
from lib import raw

ALTER_CONFIGS, LIST = 33, 74
NONE, INVALID_CONFIG, INVALID_REQUEST = 0, 40, 42
COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE = 14, 15
GROUP = 32
SET, DELETE = 0, 1
SHORT_MS = 300
DEADLINE_S = 20 * case.SLOWER


class GroupSettingsTest(case.ServerCase):
    cores = 2
    config = f"""
        kafka {{
            offsets.topic.num.partitions: 2
            group.consumer.min.session.timeout.ms: {SHORT_MS}
            group.consumer.heartbeat.interval.ms: 200
            group.consumer.min.heartbeat.interval.ms: 100
        }}
    """

    def setUp(self):
        super().setUp()
        self.client = self.next_client()

    def next_client(self):
        client = flex.Client(self.server.port)
        self.addCleanup(client.close)
        return client

    def put(self, group, key, value, op=SET):
        return self.client.alter_setting(GROUP, group, key, value, op)[0]

    def described(self, group):
        return self.client.describe_settings(GROUP, group)

    def listed(self):
        reader = self.client.call_compact(LIST, 1, raw.compact_array([b"\x20"]) + b"\0")
        self.assertEqual(reader.take("ih"), (0, NONE))

        def resource():
            name, _, _ = reader.compact(), reader.take("b"), reader.take("b")
            return name

        return sorted(reader.compact_array(resource))

    def beat(self, group, epoch, **options):
        def once():
            answer = self.client.heartbeat(group, "m", epoch, **options)
            waits = answer["code"] in (COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE)
            return None if waits else answer

        answer = case.eventually(once, DEADLINE_S)
        self.assertEqual(answer["code"], NONE, answer)
        return answer

    def join(self, group, topic):
        return self.beat(group, 0, topics=[topic], owned={}, rebalance_ms=60000)

    def test_a_change_is_told_with_the_next_heartbeat(self):
        topic, group = self.make_topic(), self.topic_name("g")
        answer = self.join(group, topic)
        self.assertEqual(answer["interval_ms"], 200)
        self.assertEqual(self.put(group, "consumer.heartbeat.interval.ms", "101"), NONE)
        self.assertEqual(self.beat(group, answer["epoch"])["interval_ms"], 101)
        self.assertEqual(self.put(group, "consumer.heartbeat.interval.ms", None, DELETE), NONE)
        self.assertEqual(self.beat(group, answer["epoch"])["interval_ms"], 200)

    def test_silence_is_borne_as_long_as_the_group_says(self):
        topic, short, usual = self.make_topic(), self.topic_name("g"), self.topic_name("g")
        self.assertEqual(self.put(short, "consumer.session.timeout.ms", str(SHORT_MS)), NONE)
        self.join(short, topic)
        self.join(usual, topic)
        self.assertTrue(case.eventually(
            lambda: self.client.describe(short)["state"] == "Empty", DEADLINE_S))
        self.assertEqual(len(self.client.describe(usual)["members"]), 1)

    def test_what_is_set_is_there_after_a_kill(self):
        group = self.topic_name("g")
        before = self.described(group)
        self.assertEqual(before["share.auto.offset.reset"], "latest")
        for key, value in (("share.auto.offset.reset", "by_duration:PT2H"),
                           ("share.isolation.level", "read_committed"),
                           ("consumer.session.timeout.ms", "1000")):
            self.assertEqual(self.put(group, key, value), NONE)
        self.server.restart(kill=True)
        self.client = self.next_client()
        after = self.described(group)
        self.assertEqual({key: value for key, value in after.items() if value != before[key]},
                         {"share.auto.offset.reset": "by_duration:PT2H",
                          "share.isolation.level": "read_committed",
                          "consumer.session.timeout.ms": "1000"})
        self.assertIn(group, self.listed())
        for key in after:
            self.assertEqual(self.put(group, key, None, DELETE), NONE)
        self.assertEqual(self.described(group), before)
        self.assertNotIn(group, self.listed())

    def test_all_at_once(self):
        group = self.topic_name("g")
        self.assertEqual(self.put(group, "share.delivery.count.limit", "3"), NONE)
        one = raw.string("share.renew.acknowledge.enable") + raw.string("false")
        body = raw.array([struct.pack(">b", GROUP) + raw.string(group) + raw.array([one])]) + b"\0"
        reader = self.client.call(ALTER_CONFIGS, 1, body)
        self.assertEqual(reader.take("iih"), (0, 1, NONE))
        found = self.described(group)
        self.assertEqual((found["share.delivery.count.limit"],
                          found["share.renew.acknowledge.enable"]), ("5", "false"))

    def test_refusals(self):
        group = self.topic_name("g")
        for key, value in (("consumer.session.timeout.ms", str(SHORT_MS - 1)),
                           ("consumer.session.timeout.ms", "60001"),
                           ("share.session.timeout.ms", "44999"),
                           ("share.auto.offset.reset", "none"),
                           ("streams.session.timeout.ms", "45000"), ("no.such", "1")):
            self.assertEqual(self.put(group, key, value), INVALID_CONFIG, key)
        self.assertEqual(self.put("", "consumer.session.timeout.ms", "1000"), INVALID_REQUEST)
        self.assertEqual(self.described(""), INVALID_REQUEST)
        self.assertEqual(self.put(group, "no.such", None, DELETE), NONE)
        self.assertEqual(self.listed(), [name for name in self.listed() if name != group])


if __name__ == "__main__":
    unittest.main()
