"""Share groups, byte by byte: records are taken one by one, and each is accepted once."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import struct
import threading
import time
import unittest

from lib import batch
from lib import case
from lib import flex
from lib import share

UNKNOWN_MEMBER, INVALID_REQUEST, GROUP_UNKNOWN, FENCED_EPOCH = 25, 42, 69, 110
INVALID_STATE, NO_SESSION, INVALID_EPOCH = 121, 122, 123
UNKNOWN_TOPIC_ID = 100
GAP, ACCEPT, RELEASE, REJECT, RENEW = range(5)
LOCK_MS = 1000
DELIVERIES = 3
DEADLINE_S = share.DEADLINE_S


class ShareTest(case.ServerCase):

    config = f"""
        kafka {{
            offsets.topic.num.partitions: 3
            share.coordinator.state.topic.num.partitions: 3
            group.share.record.lock.duration.ms: {LOCK_MS}
            group.share.min.record.lock.duration.ms: {LOCK_MS}
            group.share.delivery.count.limit: {DELIVERIES}
        }}
    """

    def setUp(self):
        super().setUp()
        self.topic = self.make_topic()
        self.plain = self.raw()
        with flex.Client(self.server.port) as client:
            self.topic_id = client.topic_id(self.topic)

    def member(self, name="m", group="g"):
        return share.Member(self, group + self.topic, name, self.topic_id)

    def produce(self, count, topic=None):
        records = [(None, b"v%d" % i) for i in range(count)]
        data = batch.build(records, int(time.time() * 1000))
        code = self.plain.produce(topic or self.topic, 0, data)
        self.assertEqual(code[0] if isinstance(code, tuple) else code, 0)

    def begin(self, name="m", group="g"):
        """A member whose group begins at what comes next."""
        member = self.member(name, group)
        self.assertEqual(member.heartbeat(0, [self.topic])["code"], 0)
        self.assertEqual(member.fetch(count=1, wait_ms=0)["code"], 0)
        case.eventually(lambda: not member.fetch(count=1, wait_ms=100)["error"].get(0), DEADLINE_S)
        return member

    def test_a_stop_while_a_member_waits_leaves_nothing(self):
        member, other = self.begin(), self.begin("other")

        def wait():
            with contextlib.suppress(OSError, EOFError):
                member.fetch(count=1, wait_ms=60000)

        waiter = threading.Thread(target=wait)
        waiter.start()
        for _ in range(3):
            other.heartbeat(1, [self.topic])
        self.assertEqual(self.server.stop(), 0)
        waiter.join(DEADLINE_S)
        self.server.start()

    def test_heartbeats_assign_and_fence(self):
        topic = self.make_topic(partitions=4)
        one, two = self.member("one"), self.member("two")
        self.assertEqual(one.heartbeat(0)["code"], INVALID_REQUEST)
        self.assertEqual(one.heartbeat(3)["code"], GROUP_UNKNOWN)
        first = one.heartbeat(0, [topic])
        self.assertEqual(first["code"], 0)
        self.assertEqual([len(p) for p in first["assignment"].values()], [4])
        second = two.heartbeat(0, [topic])
        self.assertEqual([len(p) for p in second["assignment"].values()], [2])
        again = one.heartbeat(first["epoch"])
        self.assertEqual([len(p) for p in again["assignment"].values()], [2])
        self.assertIsNone(one.heartbeat(again["epoch"])["assignment"])
        self.assertEqual(self.member("three").heartbeat(3)["code"], UNKNOWN_MEMBER)
        self.assertEqual(one.heartbeat(again["epoch"] + 7)["code"], FENCED_EPOCH)
        self.assertEqual(two.heartbeat(-1)["epoch"], -1)
        alone = one.heartbeat(again["epoch"])
        self.assertEqual([len(p) for p in alone["assignment"].values()], [4])

    def test_a_group_is_of_one_kind(self):
        one = self.member()
        self.assertEqual(one.heartbeat(0, [self.topic])["code"], 0)
        answer = one.client.heartbeat(one.group, "c", 0, topics=[self.topic], owned={},
                                        rebalance_ms=30000)
        self.assertEqual(answer["code"], GROUP_UNKNOWN)
        other = self.member(group="h")
        answer = one.client.heartbeat(other.group, "c", 0, topics=[self.topic], owned={},
                                        rebalance_ms=30000)
        self.assertEqual(answer["code"], 0)
        self.assertEqual(other.heartbeat(0, [self.topic])["code"], GROUP_UNKNOWN)

    def test_every_record_is_accepted_once(self):
        members = [self.begin("one"), self.begin("two")]
        seen = []
        for _ in range(4):
            self.produce(25)
        end = time.monotonic() + DEADLINE_S
        acks = [(), ()]
        while len(seen) < 100 and time.monotonic() < end:
            for i, member in enumerate(members):
                answer = member.fetch(acks=acks[i], count=10, wait_ms=100)
                self.assertEqual(answer["code"], 0)
                self.assertFalse(answer["ack"].get(0), answer)
                for first, last, count in answer["acquired"]:
                    self.assertEqual(count, 1)
                    seen += range(first, last + 1)
                    self.assertTrue(set(range(first, last + 1)) <= set(answer["records"]))
                acks[i] = [(first, last, ACCEPT) for first, last, _ in answer["acquired"]]
        self.assertEqual(sorted(seen), list(range(100)))

    def test_release_reject_and_what_is_not_held(self):
        member, other = self.begin("one"), self.begin("two")
        self.produce(10)
        self.assertEqual(member.take(), [(0, 9, 1)])
        self.assertEqual(other.acknowledge((0, 0, ACCEPT))["ack"], {0: INVALID_STATE})
        verbs = [ACCEPT, RELEASE, REJECT] + [ACCEPT] * 7
        self.assertEqual(member.acknowledge((0, 9, *verbs))["ack"], {0: 0})
        self.assertEqual(member.acknowledge((0, 0, ACCEPT))["ack"], {0: 0})  # before the start
        self.assertEqual(other.take(), [(1, 1, 2)])
        self.assertEqual(other.acknowledge((1, 1, ACCEPT))["ack"], {0: 0})
        self.assertEqual(other.acknowledge((11, 11, ACCEPT))["ack"], {0: INVALID_REQUEST})
        self.produce(1)
        self.assertEqual(other.take(), [(10, 10, 1)])

    def test_a_lock_ends_and_a_poisoned_record_too(self):
        member = self.begin()
        self.produce(1)
        for count in range(1, DELIVERIES + 1):
            self.assertEqual(member.take(), [(0, 0, count)])
        self.produce(1)
        self.assertEqual(member.take(), [(1, 1, 1)])

    def test_a_lock_is_renewed(self):
        member, other = self.begin("one"), self.begin("two")
        self.produce(1)
        self.assertEqual(member.take(), [(0, 0, 1)])
        for _ in range(5):
            self.assertEqual(other.fetch(wait_ms=LOCK_MS // 3)["acquired"], [])
            answer = member.acknowledge((0, 0, RENEW), renew=True)
            self.assertEqual(answer["ack"], {0: 0})
        self.assertEqual(member.acknowledge((0, 0, ACCEPT))["ack"], {0: 0})

    def test_what_is_held_of_a_topic_that_goes(self):
        member = self.begin()
        self.produce(2)
        self.assertEqual(member.take(count=2), [(0, 1, 1)])
        self.assertEqual(self.plain.delete_topic(self.topic), 0)
        self.assertEqual(member.acknowledge((0, 0, ACCEPT))["ack"], {0: UNKNOWN_TOPIC_ID})
        self.assertEqual(member.fetch(acks=[(1, 1, ACCEPT)])["ack"], {0: UNKNOWN_TOPIC_ID})

    def test_a_connection_that_goes_gives_back_what_it_held(self):
        member, other = self.begin("one"), self.begin("two")
        self.produce(3)
        self.assertEqual(member.take(), [(0, 2, 1)])
        member.client.close()
        began = time.monotonic()
        self.assertEqual(other.take(), [(0, 2, 1)])  # not counted: it was not read
        self.assertLess(time.monotonic() - began, DEADLINE_S)

    def test_sessions(self):
        member = self.member()
        self.assertEqual(member.fetch(epoch=5)["code"], NO_SESSION)
        self.assertEqual(member.acknowledge((0, 0, ACCEPT), epoch=0)["code"], INVALID_EPOCH)
        self.begin()
        member = self.begin("other")
        self.assertEqual(member.fetch(epoch=99)["code"], INVALID_EPOCH)
        self.assertEqual(member.fetch(epoch=0, acks=[(0, 0, ACCEPT)])["code"], INVALID_REQUEST)
        self.produce(2)
        self.assertEqual(member.take(), [(0, 1, 1)])
        self.assertEqual(member.fetch(epoch=-1, acks=[(0, 0, ACCEPT)])["code"], 0)
        self.assertEqual(member.fetch(epoch=member.epoch)["code"], NO_SESSION)
        self.assertEqual(self.member("third").take(), [(1, 1, 1)])

    def test_what_was_accepted_is_known_after_a_kill(self):
        member = self.begin()
        self.produce(10)
        self.assertEqual(member.take(), [(0, 9, 1)])
        self.assertEqual(member.acknowledge((0, 3, ACCEPT), (6, 6, ACCEPT))["ack"], {0: 0})
        self.server.restart(kill=True)
        member = self.member()
        taken = member.take()
        self.assertEqual([(first, last) for first, last, _ in taken], [(4, 5), (7, 9)])


if __name__ == "__main__":
    unittest.main()
