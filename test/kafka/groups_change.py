"""Groups change from the classic to the newer protocol and back while they are in use."""
# SPDX-License-Identifier: Apache-2.0
import unittest

import confluent_kafka

from lib import case
from lib import flex
from groups_next import COORDINATOR_LOAD_IN_PROGRESS, DEADLINE_S, GROUP_NOT_FOUND, Member

SESSION_MS = 6000 * case.SLOWER


class ChangeTest(case.ServerCase):

    config = """
        kafka {
            offsets.topic.num.partitions: 3
            group.initial.rebalance.delay.ms: 0
        }
    """

    def client(self):
        client = flex.Client(self.server.port)
        self.addCleanup(client.close)
        return client

    def classic(self, group, topic, **more):
        """A real consumer of the classic protocol."""
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": group,
            "auto.offset.reset": "earliest", "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": 200, "enable.auto.commit": False, **more})
        self.addCleanup(consumer.close)
        consumer.subscribe([topic])
        return consumer

    @staticmethod
    def turn(consumers, members):
        for consumer in consumers:
            consumer.poll(0.02)
        for member in members:
            answer = member.beat()
            if answer["code"] not in (0, COORDINATOR_LOAD_IN_PROGRESS):
                raise AssertionError(answer)

    def held(self, consumers, members, topic_id):
        held = [[part.partition for part in consumer.assignment()] for consumer in consumers]
        return held + [member.owned.get(topic_id, []) for member in members]

    def settle(self, consumers, members, topic_id, counts):
        """Until they hold so many partitions each, all of them together."""

        def look():
            self.turn(consumers, members)
            held = self.held(consumers, members, topic_id)
            whole = sorted(p for parts in held for p in parts)
            return (sorted(len(parts) for parts in held) == sorted(counts)
                    and whole == list(range(sum(counts))))

        self.assertTrue(case.eventually(look, DEADLINE_S),
                        (self.held(consumers, members, topic_id), counts))

    def kind(self, client, group):
        return client.list_groups()[group][2]

    def change(self, strategy):
        client, topic = self.client(), self.make_topic(6)
        topic_id = client.topic_id(topic)
        consumers = [self.classic(topic, topic, **{"partition.assignment.strategy": strategy})
                     for _ in range(2)]
        self.settle(consumers, [], topic_id, [3, 3])
        self.assertEqual(self.kind(client, topic), "classic")
        consumers[0].commit(offsets=[confluent_kafka.TopicPartition(topic, 0, 5)],
                            asynchronous=False)
        member = Member(client, topic, "new", [topic])
        self.assertEqual(member.join()["code"], 0)
        self.assertEqual(self.kind(client, topic), "consumer")
        self.settle(consumers, [member], topic_id, [2, 2, 2])
        found = client.describe(topic)
        self.assertEqual(sorted(one["type"] for one in found["members"]), [0, 0, 1])
        self.assertEqual(client.committed(topic, None, -1, topic_id, 0)[0], 5)
        consumers[0].commit(offsets=[confluent_kafka.TopicPartition(topic, 0, 6)],
                            asynchronous=False)
        self.server.restart(kill=True)
        member.client = client = self.client()
        self.settle(consumers, [member], topic_id, [2, 2, 2])
        self.assertEqual(client.committed(topic, None, -1, topic_id, 0)[0], 6)
        self.assertEqual(member.leave()["code"], 0)
        self.assertEqual(self.kind(client, topic), "classic")
        self.settle(consumers, [], topic_id, [3, 3])
        self.assertEqual(client.describe(topic)["code"], GROUP_NOT_FOUND)
        self.server.restart(kill=True)
        self.settle(consumers, [], topic_id, [3, 3])
        client = self.client()
        self.assertEqual(self.kind(client, topic), "classic")
        self.assertEqual(client.committed(topic, None, -1, topic_id, 0)[0], 6)

    def test_to_the_newer_and_back_with_eager_members(self):
        self.change("range")

    def test_to_the_newer_and_back_with_cooperative_members(self):
        self.change("cooperative-sticky")

    def test_a_classic_member_joins_the_newer_group(self):
        client, topic = self.client(), self.make_topic(4)
        topic_id = client.topic_id(topic)
        member = Member(client, topic, "new", [topic])
        member.join()
        consumer = self.classic(topic, topic)
        self.settle([consumer], [member], topic_id, [2, 2])
        self.assertEqual(self.kind(client, topic), "consumer")
        consumer.close()
        self.settle([], [member], topic_id, [4])
        member.leave()
        self.assertEqual(client.list_groups()[topic], ["consumer", "Empty", "consumer"])
        # An empty group is of either kind, whoever comes first.
        again = self.classic(topic, topic)
        self.settle([again], [], topic_id, [4])
        self.assertEqual(self.kind(client, topic), "classic")
        again.close()
        late = Member(client, topic, "late", [topic])
        self.assertEqual(late.join()["assignment"], {topic_id: [0, 1, 2, 3]})
        self.assertEqual(self.kind(client, topic), "consumer")

    def test_other_groups_stay_what_they_are(self):
        client, topic = self.client(), self.make_topic(1)
        body = flex.raw.string(topic) + flex.struct.pack(">ii", 30000, 60000)
        body += flex.raw.string("") + flex.raw.string("connect")
        body += flex.raw.array([flex.raw.string("default") + flex.struct.pack(">i", 0)])
        reader = client.call(11, 2, body)
        self.assertEqual(reader.take("ih")[1], 0)
        answer = Member(client, topic, "new", [topic]).join()
        self.assertEqual(answer["code"], GROUP_NOT_FOUND)
        self.assertIn("not a consumer group", answer["words"])
        self.assertEqual(self.kind(client, topic), "classic")


if __name__ == "__main__":
    unittest.main(verbosity=2)
