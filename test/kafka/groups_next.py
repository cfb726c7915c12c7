"""The newer group protocol, byte by byte: the server assigns, members give up before they take."""
# SPDX-License-Identifier: Apache-2.0
import struct
import unittest

from lib import case
from lib import flex
from lib import raw

COORDINATOR_LOAD_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER = 14, 22, 25
REBALANCE_IN_PROGRESS, INVALID_REQUEST, NON_EMPTY_GROUP, GROUP_NOT_FOUND = 27, 42, 68, 69
MEMBER_ID_REQUIRED, GROUP_FULL, FENCED_INSTANCE = 79, 81, 82
SUBSCRIBED = 86
FENCED_EPOCH, UNRELEASED_INSTANCE, UNSUPPORTED_ASSIGNOR, STALE_EPOCH = 110, 111, 112, 113
INVALID_REGEX = 128
DEADLINE_S = 30 * case.SLOWER


class Member:
    """A client that does as it is told."""

    def __init__(self, client, group, name, topics, **options):
        self.client, self.group, self.name = client, group, name
        self.topics, self.options = topics, options
        self.epoch, self.owned, self.pending = 0, {}, None

    def join(self):
        answer = self.client.heartbeat(self.group, self.name, 0, topics=self.topics, owned={},
                                       rebalance_ms=30000, **self.options)
        return self.take(answer)

    def beat(self):
        """Says what it holds when that has changed, as clients do."""
        owned, self.pending = self.pending, None
        return self.take(self.client.heartbeat(self.group, self.name, self.epoch, owned=owned,
                                               instance=self.options.get("instance")))

    def leave(self, epoch=-1):
        return self.client.heartbeat(self.group, self.name, epoch,
                                     instance=self.options.get("instance"))

    def take(self, answer):
        if answer["code"] == 0:
            self.epoch = answer["epoch"]
            if answer["assignment"] is not None and answer["assignment"] != self.owned:
                self.owned = self.pending = answer["assignment"]
        return answer

    def count(self):
        return sum(len(partitions) for partitions in self.owned.values())


class NextGroupsTest(case.ServerCase):

    config = """
        kafka {
            offsets.topic.num.partitions: 3
            group.initial.rebalance.delay.ms: 0
            group.consumer.heartbeat.interval.ms: 700
            group.consumer.min.heartbeat.interval.ms: 500
            group.consumer.max.size: 12
        }
    """

    def client(self):
        client = flex.Client(self.server.port)
        self.addCleanup(client.close)
        return client

    def first(self, ask, *arguments, **options):
        """The answer, once the state has been read back."""
        return case.eventually(lambda: self._loaded(ask(*arguments, **options)), DEADLINE_S)

    @staticmethod
    def _loaded(answer):
        return None if answer["code"] == COORDINATOR_LOAD_IN_PROGRESS else answer

    def settle(self, members):
        """Beats until nobody has anything to do; no partition is ever held by two."""
        for _ in range(20):
            before = [(member.epoch, member.owned) for member in members]
            for member in members:
                self.assertEqual(member.beat()["code"], 0)
                self.assert_apart(members)
            if before == [(member.epoch, member.owned) for member in members]:
                return
        self.fail("the group does not come to rest")

    def assert_apart(self, members):
        held = [(topic, p) for member in members for topic, ps in member.owned.items() for p in ps]
        self.assertEqual(len(held), len(set(held)))

    def test_one_member_gets_everything_and_keeps_it_over_a_crash(self):
        client, topic = self.client(), self.make_topic(5)
        topic_id = client.topic_id(topic)
        member = Member(client, topic, "alone", [topic])
        answer = member.join()
        self.assertEqual((answer["code"], answer["epoch"], answer["interval_ms"]), (0, 2, 700))
        self.assertEqual(answer["assignment"], {topic_id: [0, 1, 2, 3, 4]})
        answer = member.beat()
        self.assertEqual((answer["code"], answer["assignment"]), (0, None))
        self.assertEqual(client.commit(topic, "alone", 2, topic_id, 3, 7), 0)
        self.assertEqual(client.commit(topic, "alone", 3, topic_id, 3, 8), STALE_EPOCH)
        self.assertEqual(client.commit(topic, "other", 1, topic_id, 3, 8), UNKNOWN_MEMBER)
        self.server.restart(kill=True)
        member.client = again = self.client()
        answer = self.first(member.beat)
        self.assertEqual((answer["code"], answer["epoch"]), (0, 2))
        self.assertEqual(again.committed(topic, "alone", 2, topic_id, 3), (7, 0))
        self.assertEqual(again.committed(topic, "alone", 3, topic_id, 3)[1], STALE_EPOCH)
        self.assertEqual(again.committed(topic, None, -1, topic_id, 3), (7, 0))
        found = again.describe(topic)
        self.assertEqual((found["state"], found["epoch"], found["assignor"]),
                         ("Stable", 2, "uniform"))
        self.assertEqual(found["members"][0]["assignment"], {topic: [0, 1, 2, 3, 4]})
        self.assertEqual(member.leave()["epoch"], -1)
        self.assertEqual(again.describe(topic)["state"], "Empty")
        self.assertEqual(again.delete_group(topic), 0)
        self.assertEqual(again.describe(topic)["code"], GROUP_NOT_FOUND)
        self.server.restart(kill=True)
        self.assertEqual(self.first(self.client().describe, topic)["code"], GROUP_NOT_FOUND)

    def test_blanks_are_no_names(self):
        client = self.client()
        for group, member in ((" ", "m"), ("g", " \t"), ("", "m")):
            answer = client.heartbeat(group, member, 0, topics=[], owned={}, rebalance_ms=1000)
            self.assertEqual(answer["code"], INVALID_REQUEST)

    def test_partitions_are_given_up_before_others_get_them(self):
        client, topic = self.client(), self.make_topic(6)
        topic_id = client.topic_id(topic)
        first, second = (Member(client, topic, name, [topic]) for name in ("a", "b"))
        self.assertEqual(first.join()["assignment"], {topic_id: list(range(6))})
        answer = second.join()
        self.assertEqual((answer["epoch"], answer["assignment"]), (3, {}))
        self.assertEqual(client.describe(topic)["state"], "Reconciling")
        answer = client.heartbeat(topic, "a", 2)
        self.assertEqual(answer["epoch"], 2)
        kept = answer["assignment"]
        self.assertEqual(len(kept[topic_id]), 3)
        self.assertEqual(second.beat()["assignment"], None)
        answer = client.heartbeat(topic, "a", 2, owned=kept)
        self.assertEqual(answer["epoch"], 3)
        answer = second.beat()
        self.assertEqual(answer["epoch"], 3)
        self.assertEqual(sorted(answer["assignment"][topic_id] + kept[topic_id]), list(range(6)))
        self.assertEqual(client.describe(topic)["state"], "Stable")
        # The answer with a new epoch was lost: the one before is still good.
        self.assertEqual(client.heartbeat(topic, "a", 2, owned=kept)["code"], 0)
        self.assertEqual(client.heartbeat(topic, "a", 4)["code"], FENCED_EPOCH)
        self.assertEqual(client.heartbeat(topic, "a", 2)["code"], FENCED_EPOCH)
        self.assertEqual(client.delete_group(topic), NON_EMPTY_GROUP)

    def test_many_come_and_go_and_topics_grow(self):
        client, topic, other = self.client(), self.make_topic(7), self.make_topic(4)
        members = [Member(client, topic, f"m{i}", [topic, other][:1 + i % 2]) for i in range(9)]
        for number, member in enumerate(members):
            self.assertEqual(member.join()["code"], 0)
            if number % 3 == 0:
                self.settle(members[:number + 1])
        self.settle(members)
        self.assertEqual(sum(member.count() for member in members), 11)
        self.assertLessEqual(max(member.count() for member in members), 2)
        self.grow(client, topic, 12)
        self.settle(members)
        self.assertEqual(sum(member.count() for member in members), 16)
        for member in members[:5]:
            member.leave()
        self.settle(members[5:])
        self.assertEqual(sum(member.count() for member in members[5:]), 16)
        self.assertEqual(client.delete_topic(other), 0)
        self.settle(members[5:])
        self.assertEqual(sum(member.count() for member in members[5:]), 12)

    def grow(self, client, topic, count):
        one = raw.string(topic) + struct.pack(">i", count) + struct.pack(">i", -1)
        reader = client.call(raw.CREATE_PARTITIONS, 1, raw.array([one])
                             + struct.pack(">ib", 30000, 0))
        reader.take("i")
        rows = reader.array(lambda: (reader.string(), reader.take("h"), reader.string()))
        self.assertEqual(rows[0][1], 0, rows)

    def test_what_is_wrong_is_said(self):
        client, topic = self.client(), self.make_topic(2)
        good = {"topics": [topic], "owned": {}, "rebalance_ms": 1000}
        for changes, member, epoch, code in (
                ({"topics": None}, "m", 0, INVALID_REQUEST),
                ({"owned": None}, "m", 0, INVALID_REQUEST),
                ({"owned": {client.topic_id(topic): [0]}}, "m", 0, INVALID_REQUEST),
                ({"rebalance_ms": -1}, "m", 0, INVALID_REQUEST),
                ({"instance": ""}, "m", 0, INVALID_REQUEST),
                ({"rack": ""}, "m", 0, INVALID_REQUEST),
                ({}, "", 0, INVALID_REQUEST),
                ({}, "m", -3, INVALID_REQUEST),
                ({}, "m", -2, INVALID_REQUEST),
                ({"assignor": "best"}, "m", 0, UNSUPPORTED_ASSIGNOR),
                ({"topics": None, "regex": "a(b"}, "m", 0, INVALID_REGEX),
                ({"topics": None, "regex": "(?=a)"}, "m", 0, INVALID_REGEX),
                ({}, "m", 1, GROUP_NOT_FOUND),
                ({}, "m", -1, GROUP_NOT_FOUND)):
            with self.subTest(changes=changes, epoch=epoch):
                answer = client.heartbeat(topic, member, epoch, **{**good, **changes})
                self.assertEqual(answer["code"], code)
                self.assertTrue(answer["words"])
        self.assertEqual(client.list_groups().get(topic), None)
        answer = client.heartbeat(topic, "", 0, version=0, **good)
        self.assertEqual((answer["code"], len(answer["member"])), (0, 22))
        self.assertEqual(client.heartbeat(topic, "nobody", 1)["code"], UNKNOWN_MEMBER)
        for number in range(11):
            self.assertEqual(client.heartbeat(topic, f"m{number}", 0, **good)["code"], 0)
        self.assertEqual(client.heartbeat(topic, "late", 0, **good)["code"], GROUP_FULL)

    def test_expressions_find_topics_as_they_appear(self):
        client, topic = self.client(), self.make_topic(2)
        first, second = topic + "-x1", topic + "-x2"
        self.assertEqual(client.create_topic(first, 3)[0], 0)
        member = Member(client, topic, "m", None, regex=f"{topic}-x[0-9]+")
        self.assertEqual(set(member.join()["assignment"]), {client.topic_id(first)})
        self.assertEqual(client.create_topic(second, 1)[0], 0)
        self.assertTrue(case.eventually(lambda: (member.beat(), len(member.owned) == 2)[1],
                                        DEADLINE_S, 0.1))
        self.assertEqual(client.describe(topic)["members"][0]["regex"], f"{topic}-x[0-9]+")
        self.server.restart(kill=True)
        member.client = again = self.client()
        answer = self.first(member.beat)
        self.assertEqual((answer["code"], answer["epoch"]), (0, member.epoch))
        other = Member(again, topic + "-other", "m", None, regex="__consumer_off.*")
        other.join()
        self.assertEqual(other.count(), 3)
        answer = again.heartbeat(topic, "m", member.epoch, topics=[topic], regex="")
        self.assertEqual(answer["assignment"], {})
        answer = again.heartbeat(topic, "m", member.epoch, owned={})
        self.assertEqual(answer["assignment"], {again.topic_id(topic): [0, 1]})

    def test_static_members_keep_what_they_have(self):
        client, topic = self.client(), self.make_topic(4)
        one = Member(client, topic, "one", [topic], instance="i1")
        two = Member(client, topic, "two", [topic], instance="i2")
        one.join()
        two.join()
        self.settle([one, two])
        again = Member(client, topic, "again", [topic], instance="i1")
        self.assertEqual(again.join()["code"], UNRELEASED_INSTANCE)
        held = one.owned
        self.assertEqual(one.leave(-2)["epoch"], -2)
        epoch = client.describe(topic)["epoch"]
        self.assertEqual(two.beat()["assignment"], None)
        answer = again.join()
        self.assertEqual((answer["code"], answer["epoch"], answer["assignment"]), (0, epoch, held))
        self.assertEqual(one.beat()["code"], FENCED_INSTANCE)
        self.assertEqual(again.leave()["code"], 0)
        self.settle([two])
        self.assertEqual(two.count(), 4)

    def test_range_cuts_in_order(self):
        client, topic, other = self.client(), self.make_topic(5), self.make_topic(5)
        members = [Member(client, topic, f"m{i}", [topic, other], assignor="range")
                   for i in range(2)]
        for member in members:
            member.join()
        self.settle(members)
        for member, wanted in zip(members, ([0, 1, 2], [3, 4])):
            self.assertEqual(list(member.owned.values()), [wanted, wanted])
        self.assertEqual(client.describe(topic)["assignor"], "range")

    def test_administrators_see_which_kind_it_is(self):
        client, topic = self.client(), self.make_topic(1)
        topic_id = client.topic_id(topic)
        member = Member(client, topic, "m", [topic])
        member.join()
        self.assertEqual(client.list_groups().get(topic), ["consumer", "Stable", "consumer"])
        self.assertIn(topic, client.list_groups(types=["Consumer"]))
        self.assertNotIn(topic, client.list_groups(types=["classic"]))
        self.assertNotIn(topic, client.list_groups(states=["empty"]))
        self.assertIn(topic, client.list_groups(states=["empty"] * 9999 + ["stable"]))
        code, words, state = client.describe_classic(topic)
        self.assertEqual((code, state), (GROUP_NOT_FOUND, "Dead"))
        self.assertIn("not a classic group", words)
        self.assertEqual(client.commit(topic, "m", 2, topic_id, 0, 3), 0)
        self.assertEqual(client.commit(topic, "", -1, topic_id, 0, 3), UNKNOWN_MEMBER)
        self.assertEqual(self.forget(client, topic), SUBSCRIBED)
        member.leave()
        self.assertEqual(client.commit(topic, "", -1, topic_id, 0, 4), 0)
        self.assertEqual(self.forget(client, topic), 0)
        self.assertEqual(client.committed(topic, None, -1, topic_id, 0), (-1, 0))

    def forget(self, client, topic):
        """OffsetDelete 0 of partition 0, the group's name is the topic's."""
        one = raw.string(topic) + raw.array([struct.pack(">i", 0)])
        reader = client.call(47, 0, raw.string(topic) + raw.array([one]))
        reader.take("hi")
        return reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ih"))))[
            0][1][0][1]

    def test_features_are_told(self):
        client = self.client()
        body = flex.string("test") + flex.string("1.0") + flex.TAGS
        client.correlation += 1
        head = struct.pack(">hhi", 18, 4, client.correlation) + raw.string("next") + flex.TAGS
        client.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        _, reader = client.receive()
        self.assertIn(b"group.version", reader.data)
        _, ranges = client.api_versions()
        self.assertEqual((ranges[68], ranges[69]), ((0, 1), (0, 1)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
