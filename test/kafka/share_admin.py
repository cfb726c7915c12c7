"""Share groups as administrators see them: where they are, what is set for them, and their end."""
# SPDX-License-Identifier: Apache-2.0
import struct
import threading
import time
import unittest
import uuid

from lib import batch
from lib import case
from lib import flex
from lib import raw
from lib import share

DESCRIBE, DESCRIBE_OFFSETS, ALTER_OFFSETS, DELETE_OFFSETS = 77, 90, 91, 92
PRODUCE, INIT_PRODUCER, ADD_PARTITIONS, END = 0, 22, 24, 26
NONE, UNKNOWN_TOPIC, GROUP_ID, NOT_EMPTY, GROUP_UNKNOWN = 0, 3, 24, 68, 69
QUOTAS, INVALID_STATE, SERVER = 49, 121, -1
GROUP = 32
ACCEPT, RELEASE, RENEW = 1, 2, 4
TRANSACTIONAL = 16
STATE = "__share_group_state"
DEADLINE_S = share.DEADLINE_S


class Admin(flex.Client):

    def starts(self, group, topics=None):
        """DescribeShareGroupOffsets 1: {topic: {partition: (start, lag)}}, or an error code."""
        named = None if topics is None else [
            flex.string(name) + flex.array([struct.pack(">i", p) for p in parts]) + flex.TAGS
            for name, parts in topics.items()]
        reader = self.ask(DESCRIBE_OFFSETS, 1, flex.array(
            [flex.string(group) + flex.array(named) + flex.TAGS]) + flex.TAGS)
        reader.take("i")

        def part():
            index, start, _, lag, code = reader.take("iqiqh")
            reader.text()
            return index, (code or start, lag)

        def topic():
            name, _ = reader.text(), reader.uuid()
            return name, dict(reader.rows(part))

        def one():
            reader.text()
            found = dict(reader.rows(topic))
            code = reader.take("h")
            reader.text()
            return code or found
        return reader.rows(one)[0]

    def set_starts(self, group, topic, starts):
        """AlterShareGroupOffsets 0: the group's error, or one each."""
        rows = [struct.pack(">iq", p, start) + flex.TAGS for p, start in starts.items()]
        reader = self.ask(ALTER_OFFSETS, 0, flex.string(group) + flex.array(
            [flex.string(topic) + flex.array(rows) + flex.TAGS]) + flex.TAGS)
        reader.take("i")
        code = reader.take("h")
        reader.text()

        def part():
            index, error = reader.take("ih")
            reader.text()
            return index, error
        rows = reader.rows(lambda: (reader.text(), reader.uuid(), dict(reader.rows(part))))
        return code or rows[0][2]

    def forget(self, group, *topics):
        """DeleteShareGroupOffsets 0: the group's error, or one each."""
        reader = self.ask(DELETE_OFFSETS, 0, flex.string(group) + flex.array(
            [flex.string(topic) + flex.TAGS for topic in topics]) + flex.TAGS)
        reader.take("i")
        code = reader.take("h")
        reader.text()

        def topic():
            name, _, error = reader.text(), reader.uuid(), reader.take("h")
            reader.text()
            return name, error
        return code or dict(reader.rows(topic))

    def describe_share(self, group):
        """ShareGroupDescribe 1: (code, state, epoch, [member])."""
        reader = self.ask(DESCRIBE, 1, flex.array([flex.string(group)]) + b"\0" + flex.TAGS)
        reader.take("i")
        reader.varint()
        code = reader.take("h")
        reader.text()
        reader.text()
        state, epoch = reader.text(), reader.take("ii")[0]
        reader.text()

        def parts():
            found = reader.rows(lambda: (reader.uuid(), reader.text(),
                                         reader.values(lambda: reader.take("i"))))
            reader.tags()
            return {name: indexes for _, name, indexes in found}
        members = reader.rows(lambda: (reader.text(), reader.text(), reader.take("i"),
                                       reader.text(), reader.text(),
                                       reader.values(reader.text), parts()))
        return code, state, epoch, members


class ShareAdminTest(case.ServerCase):

    config = """
        kafka {
            offsets.topic.num.partitions: 3
            share.coordinator.state.topic.num.partitions: 2
        }
    """

    def setUp(self):
        super().setUp()
        self.topic = self.make_topic()
        self.group = "g" + self.topic
        self.plain = self.raw()
        self.admin = self.connect()

    def connect(self):
        client = Admin(self.server.port)
        self.addCleanup(client.close)
        return client

    def member(self, name="m", topic=None):
        topic = topic or self.topic
        one = share.Member(self, self.group, name, self.admin.topic_id(topic))
        self.assertEqual(one.heartbeat(0, [topic])["code"], 0)
        return one

    def leave(self, member):
        self.assertEqual(member.heartbeat(-1)["code"], 0)
        member.client.close()

    def produce(self, count=10, topic=None, **fields):
        records = [(None, b"v%d" % i) for i in range(count)]
        data = batch.build(records, int(time.time() * 1000), **fields)
        code = self.plain.produce(topic or self.topic, 0, data)
        self.assertEqual(code[0] if isinstance(code, tuple) else code, 0)

    def set(self, key, value):
        self.assertEqual(self.plain.alter_setting(GROUP, self.group, key, value)[0], 0)

    def start(self, topics=None):
        return self.admin.starts(self.group, topics)

    def test_what_is_acknowledged_while_it_is_forgotten(self):
        """Answers of one write end calls, and with the last of them the state that was erased."""
        self.produce(10)
        topic_id = self.admin.topic_id(self.topic)
        readers = [share.Member(self, self.group, name, topic_id) for name in "ab"]
        forget = flex.string(self.group) + flex.array([flex.string(self.topic) + flex.TAGS])
        for _ in range(20):
            self.assertEqual(self.admin.set_starts(self.group, self.topic, {0: 0}), {0: 0})
            taken = [reader.take(count=1)[0][0] for reader in readers]
            for reader, first in zip(readers, taken):
                reader.client.send(share.ACKNOWLEDGE, 2, reader.acknowledgement((first, first, 1)))
            self.admin.send(DELETE_OFFSETS, 0, flex.TAGS + forget + flex.TAGS)
            for client in [reader.client for reader in readers] + [self.admin]:
                client.receive()
            for reader in readers:
                reader.epoch += 1

    def test_starts_are_told_set_and_forgotten(self):
        admin, group, topic = self.admin, self.group, self.topic
        self.assertEqual(self.start(), {})
        self.assertEqual(self.start({topic: [0, 7], "no": [1]}),
                         {topic: {0: (-1, -1), 7: (-1, -1)}, "no": {1: (-1, -1)}})
        self.assertEqual(admin.forget(group, topic), GROUP_UNKNOWN)
        self.assertEqual(admin.set_starts("", topic, {0: 1}), GROUP_ID)
        self.produce(10)
        self.assertEqual(admin.set_starts(group, "no", {0: 1}), {0: UNKNOWN_TOPIC})
        self.assertEqual(admin.describe_share(group)[0], GROUP_UNKNOWN)
        self.assertEqual(admin.set_starts(group, topic, {0: 4, 1: 4}), {0: 0, 1: UNKNOWN_TOPIC})
        self.assertEqual(self.start(), {topic: {0: (4, 6)}})
        member = self.member()
        self.assertEqual(self.start({topic: [0]}), {topic: {0: (4, 6)}})
        self.assertEqual(member.take(), [(4, 9, 1)])
        self.assertEqual(admin.set_starts(group, topic, {0: 1}), NOT_EMPTY)
        self.assertEqual(admin.forget(group, topic), NOT_EMPTY)
        self.assertEqual(member.acknowledge((4, 4, ACCEPT), (6, 7, ACCEPT))["ack"], {0: 0})
        self.assertEqual(self.start(), {topic: {0: (5, 3)}})  # 5, 8 and 9 are left
        self.leave(member)
        self.assertEqual(admin.set_starts(group, topic, {0: 0}), {0: 0})
        self.server.restart(kill=True)
        self.admin = admin = self.connect()
        self.assertEqual(self.start(), {topic: {0: (0, 10)}})
        member = self.member()
        self.assertEqual(member.take(), [(0, 9, 1)])
        self.leave(member)
        self.assertEqual(admin.forget(group, topic, "no"), {topic: 0, "no": UNKNOWN_TOPIC})
        self.assertEqual(admin.forget(group, topic), {topic: UNKNOWN_TOPIC})
        self.assertEqual(self.start(), {})
        self.assertEqual(self.start({topic: [0]}), {topic: {0: (-1, -1)}})

    def test_members_and_epochs_survive_a_kill(self):
        one, two = self.member("one"), self.member("two")
        code, state, epoch, members = self.admin.describe_share(self.group)
        self.assertEqual((code, state, epoch, len(members)), (0, "Stable", 3, 2))
        now = one.heartbeat(2)
        self.assertEqual((now["code"], now["epoch"]), (0, 3))
        self.server.restart(kill=True)
        self.admin = self.connect()
        again = share.Member(self, self.group, "one", one.topic_id).heartbeat(3)
        self.assertEqual((again["code"], again["epoch"], again["assignment"]), (0, 3, None))
        self.assertEqual(self.admin.describe_share(self.group), (code, state, epoch, [
            (name, rack, 3, *rest) for name, rack, _, *rest in members]))
        lost = share.Member(self, self.group, "two", two.topic_id)
        self.assertEqual(lost.heartbeat(9)["code"], 110)
        self.assertEqual(lost.heartbeat(-1)["epoch"], -1)
        self.assertEqual(len(self.admin.describe_share(self.group)[3]), 1)

    def test_listed_described_and_deleted(self):
        admin, group = self.admin, self.group
        member = self.member()
        self.assertEqual(admin.list_groups()[group], ["share", "Stable", "share"])
        self.assertIn(group, admin.list_groups(types=["Share"], states=["stable"]))
        self.assertNotIn(group, admin.list_groups(types=["classic", "consumer"]))
        self.assertEqual(admin.describe_classic(group),
                         (GROUP_UNKNOWN, f"Group {group} is not a classic group.", "Dead"))
        self.assertEqual(admin.delete_group(group), NOT_EMPTY)
        self.produce(5)
        case.eventually(lambda: self.start()[self.topic][0][0] >= 0 or member.fetch(count=1),
                        DEADLINE_S)
        self.leave(member)
        self.assertEqual(admin.list_groups()[group], ["share", "Empty", "share"])
        self.assertEqual(admin.delete_group(group), 0)
        self.assertEqual(admin.delete_group(group), GROUP_UNKNOWN)
        self.assertEqual(self.living(), [])
        for _ in range(2):
            self.assertNotIn(group, admin.list_groups())
            self.assertEqual(admin.starts(group), {})
            self.server.restart(kill=True)
            admin = self.connect()

    def living(self):
        """Topic ids of this test's group of which there is state in the log."""
        state = {}
        for index in range(2):
            offset, high = 0, 1
            while offset < high:
                code, high, data = self.plain.fetch(STATE, index, offset, wait_ms=0)
                self.assertEqual(code, 0)
                for one in batch.split(data):
                    offset = one.offset + one.last_delta + 1
                    state.update({record[1]: record[2] for record in one.records()})
                high = high if data else 0
        size = len(self.group)
        return [uuid.UUID(bytes=key[4 + size:20 + size]) for key, value in state.items()
                if key[4:4 + size] == self.group.encode() and value is not None]

    def test_state_of_a_deleted_topic_goes(self):
        member = self.member()
        case.eventually(lambda: not member.fetch(wait_ms=100)["error"].get(0) and self.living(),
                        DEADLINE_S)
        self.assertEqual(self.living(), [member.topic_id])
        self.plain.delete_topic(self.topic)
        self.assertEqual(case.eventually(lambda: self.living() == [], DEADLINE_S), True)
        self.assertEqual(self.start(), {})

    def test_where_a_group_begins(self):
        self.produce(4)
        self.set("share.auto.offset.reset", "earliest")
        self.assertEqual(self.member().take(), [(0, 3, 1)])
        self.group += "x"
        self.set("share.auto.offset.reset", "by_duration:PT1H")
        self.assertEqual(self.member().take(), [(0, 3, 1)])

    def test_who_never_joined_reads_nothing(self):
        stranger = share.Member(self, self.group, "m", self.admin.topic_id(self.topic))
        self.assertEqual(stranger.fetch()["code"], 0)
        self.assertEqual(stranger.fetch(wait_ms=100)["error"], {0: SERVER})
        self.assertEqual(self.living(), [])

    def transaction(self, commit, count=3):
        name = "t" + self.topic
        quoted = struct.pack(">h", len(name)) + name.encode()
        reader = self.plain.call(INIT_PRODUCER, 1, quoted + struct.pack(">i", 60000))
        reader.take("i")
        code, producer, epoch = reader.take("hqh")
        self.assertEqual(code, 0)
        who = quoted + struct.pack(">qh", producer, epoch)
        topic = struct.pack(">h", len(self.topic)) + self.topic.encode()
        self.plain.call(ADD_PARTITIONS, 0,
                        who + struct.pack(">i", 1) + topic + struct.pack(">ii", 1, 0))
        data = batch.build([(None, b"t")] * count, int(time.time() * 1000), sequence=0,
                           attributes=TRANSACTIONAL, producer_id=producer, producer_epoch=epoch)
        body = quoted + self.plain.produce_body(self.topic, 0, data)[2:]
        self.assertEqual(self.plain.produce_answer(self.plain.call(PRODUCE, 7, body))[0], 0)
        reader = self.plain.call(END, 0, who + struct.pack(">b", commit))
        self.assertEqual(reader.take("ih")[1], 0)

    def test_read_committed_hides_what_was_aborted(self):
        self.set("share.auto.offset.reset", "earliest")
        self.set("share.isolation.level", "read_committed")
        self.transaction(commit=False)  # 0 to 2, its marker is 3
        self.transaction(commit=True)   # 4 to 6, 7
        self.produce(2)                 # 8, 9
        member, seen = self.member(), []
        acks = ()
        while len(seen) < 5:
            taken = member.take(acks=acks)
            seen += [offset for first, last, _ in taken for offset in range(first, last + 1)]
            acks = [(first, last, ACCEPT) for first, last, _ in taken]
        self.assertEqual(seen, [4, 5, 6, 8, 9])
        self.group += "x"
        self.set("share.auto.offset.reset", "earliest")
        self.assertEqual(self.member().take(), [(0, 2, 1), (4, 6, 1), (8, 9, 1)])

    def test_settings_of_the_group(self):
        self.set("share.auto.offset.reset", "earliest")
        self.set("share.delivery.count.limit", "2")
        self.set("share.record.lock.duration.ms", "20000")
        self.set("share.heartbeat.interval.ms", "6000")
        self.set("share.renew.acknowledge.enable", "false")
        self.produce(2)
        member = self.member()
        self.assertEqual(member.heartbeat(2)["interval"], 6000)
        answer = case.eventually(lambda: (lambda a: a["acquired"] and a)(member.fetch(wait_ms=100)),
                                 DEADLINE_S)
        self.assertEqual((answer["lock_ms"], answer["acquired"]), (20000, [(0, 1, 1)]))
        self.assertEqual(member.acknowledge((0, 1, RENEW), renew=True)["ack"], {0: INVALID_STATE})
        self.assertEqual(member.acknowledge((0, 1, RELEASE))["ack"], {0: 0})
        self.assertEqual(member.take(), [(0, 1, 2)])
        self.assertEqual(member.acknowledge((0, 1, RELEASE))["ack"], {0: 0})
        self.produce(1)
        self.assertEqual(member.take(), [(2, 2, 1)])  # twice is enough

    def test_how_much_one_answer_has(self):
        self.set("share.auto.offset.reset", "earliest")
        for _ in range(4):
            self.produce(3)
        member = self.member()
        self.assertEqual(member.take(count=2), [(0, 1, 1)])
        self.assertEqual(member.take(count=2, exact=False), [(2, 5, 1)])
        self.assertEqual(member.take(count=6, exact=False, split=3), [(6, 8, 1), (9, 11, 1)])
        self.produce(3)
        answer = member.fetch(count=500, min_bytes=100000, wait_ms=300)
        self.assertEqual(answer["acquired"], [(12, 14, 1)])  # time is up: what there is
        began = time.monotonic()
        other = threading.Thread(target=lambda: [self.produce(1) for _ in range(9)])
        other.start()
        self.assertEqual(member.fetch(count=500, min_bytes=400, wait_ms=30000)["acquired"][0][0],
                         15)
        self.assertLess(time.monotonic() - began, 25)
        other.join()

    def limit(self, rate):
        """AlterClientQuotas 0: what clients of this name may fetch in a second."""
        op = raw.string("consumer_byte_rate") + struct.pack(">db", rate or 0, rate is None)
        entity = raw.array([raw.string("client-id") + raw.string("next")])
        reader = self.plain.call(QUOTAS, 0, raw.array([entity + raw.array([op])]) + b"\0")
        reader.take("ii")
        self.assertEqual(reader.take("h"), 0)

    def test_fetched_records_count_against_the_quota(self):
        self.set("share.auto.offset.reset", "earliest")
        for _ in range(2):
            data = batch.build([(None, bytes(9000))], int(time.time() * 1000))
            self.assertEqual(self.plain.produce(self.topic, 0, data)[0], 0)
        member = self.member()
        self.limit(1000)
        self.addCleanup(self.limit, None)
        told = []
        while len(told) < 2:
            answer = member.fetch(count=1, wait_ms=500)
            if answer["acquired"]:
                told.append(answer["throttle_ms"])
        self.assertEqual(told[0], 0)
        self.assertGreater(told[1], 0)


if __name__ == "__main__":
    unittest.main()
