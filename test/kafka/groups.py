"""Consumer groups of several members: who gets what, what is committed, what survives a restart."""
# SPDX-License-Identifier: Apache-2.0
import collections
import threading
import time
import unittest

import confluent_kafka
import confluent_kafka.admin
import kafka
import kafka.admin

from lib import case

DEADLINE_S = 60 * case.SLOWER
FATAL = confluent_kafka.KafkaError._FATAL  # pylint: disable=protected-access
MOVED_ON = (confluent_kafka.KafkaError.ILLEGAL_GENERATION,
            confluent_kafka.KafkaError.REBALANCE_IN_PROGRESS)
FAST = "kafka {\n  group.initial.rebalance.delay.ms: 100\n}\n"


class Member(threading.Thread):
    """A consumer that reads in a thread of its own until it is told to leave."""

    def __init__(self, address, group, topic, **settings):
        super().__init__(daemon=True)
        self.errors = []
        self.consumer = confluent_kafka.Consumer({
            **case.connect(address), "group.id": group, "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "session.timeout.ms": 6000 * case.SLOWER,
            "heartbeat.interval.ms": 200,
            **{key.replace("_", "."): value for key, value in settings.items()}})
        self.topic = topic
        self.assigned = set()
        self.seen = collections.Counter()
        self.calls = 0  # of the group to take or give up something
        self.leave = threading.Event()
        self.say_goodbye = True
        self.start()

    def run(self):
        def given(consumer, parts):
            self.calls += 1
            self.assigned |= {part.partition for part in parts}

        def taken(consumer, parts):
            self.calls += 1
            self.assigned -= {part.partition for part in parts}

        self.consumer.subscribe([self.topic], on_assign=given, on_revoke=taken, on_lost=taken)
        read = []  # and not committed
        while read or not self.leave.is_set():
            message = self.consumer.poll(0.05)
            if message is not None and not message.error():
                self.seen[message.value()] += 1
                read.append(message)
            elif message is not None and message.error().code() == FATAL:
                self.errors.append(message.error())
            read = [each for each in read if not self.commit(each)]
        if self.say_goodbye:
            self.consumer.close()

    def commit(self, message):
        """False: the group moved on while the commit was under way, it has to be given again."""
        if message.partition() not in self.assigned:
            return True  # whoever has it now reads that again
        try:
            self.consumer.commit(message, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            if error.args[0].code() in MOVED_ON:
                return False
            self.errors.append(error)
        return True

    def stop(self):
        self.leave.set()
        self.join(DEADLINE_S)


class GroupsTest(case.ServerCase):

    config = FAST

    def member(self, group, topic, **settings):
        made = Member(self.server.address, group, topic, **settings)
        self.addCleanup(made.stop)
        return made

    def fill(self, topic, partitions, numbers):
        producer = confluent_kafka.Producer(case.connect(self.server.address))
        for i in numbers:
            producer.produce(topic, b"%d" % i, partition=i % partitions)
        self.assertEqual(producer.flush(DEADLINE_S), 0)

    def assert_shared(self, members, partitions):
        """Waits until every partition has exactly one member and every member its share."""
        def shared():
            owned = [partition for member in members for partition in set(member.assigned)]
            return sorted(owned) == list(range(partitions)) and all(
                member.assigned for member in members)

        self.assertTrue(case.eventually(shared, DEADLINE_S),
                        [sorted(member.assigned) for member in members])

    def assert_seen(self, members, numbers):
        wanted = {b"%d" % i for i in numbers}

        def all_seen():
            return wanted <= set().union(*(member.seen for member in members))

        self.assertTrue(case.eventually(all_seen, DEADLINE_S))

    def committed(self, group, topic, partitions):
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": group})
        try:
            found = consumer.committed(
                [confluent_kafka.TopicPartition(topic, p) for p in range(partitions)], DEADLINE_S)
            return [part.offset for part in found]
        finally:
            consumer.close()

    def join_and_leave(self, strategy):
        topic, group = self.make_topic(6), self.topic_name("group")
        members = [self.member(group, topic, partition_assignment_strategy=strategy)]
        self.assert_shared(members, 6)
        for _ in range(2):
            members.append(self.member(group, topic, partition_assignment_strategy=strategy))
            self.assert_shared(members, 6)
        self.fill(topic, 6, range(300))
        self.assert_seen(members, range(300))
        members.pop(0).stop()
        self.assert_shared(members, 6)
        self.fill(topic, 6, range(300, 600))
        self.assert_seen(members, range(300, 600))
        for member in members:
            member.stop()
            self.assertEqual(member.errors, [])
        self.assertEqual(self.committed(group, topic, 6), [100] * 6)

    def test_members_come_and_go(self):
        self.join_and_leave("range")

    def test_members_come_and_go_cooperatively(self):
        self.join_and_leave("cooperative-sticky")

    def test_commits_survive(self):
        topic, group = self.make_topic(3), self.topic_name("group")
        self.fill(topic, 3, range(30))
        for kill in (False, True):
            members = [self.member(group, topic)]
            self.assert_shared(members, 3)
            self.fill(topic, 3, range(30, 60))
            self.assert_seen(members, range(30, 60))
            members[0].stop()
            before = self.committed(group, topic, 3)
            self.server.restart(kill=kill)
            self.assertEqual(self.committed(group, topic, 3), before)

    def test_members_go_on_after_a_restart(self):
        topic, group = self.make_topic(4), self.topic_name("group")
        members = [self.member(group, topic) for _ in range(2)]
        self.assert_shared(members, 4)
        for life in range(3):
            numbers = range(life * 40, life * 40 + 40)
            self.fill(topic, 4, numbers)
            self.assert_seen(members, numbers)
            self.server.restart(kill=life != 1)
        self.fill(topic, 4, range(120, 160))
        self.assert_seen(members, range(120, 160))
        self.assert_shared(members, 4)

    def test_a_silent_member_is_replaced(self):
        topic, group = self.make_topic(2), self.topic_name("group")
        lost = self.member(group, topic)
        self.assert_shared([lost], 2)
        lost.say_goodbye = False
        lost.leave.set()
        lost.join(DEADLINE_S)
        del lost.consumer  # closes its sockets without a word to the group
        other = self.member(group, topic)
        self.assert_shared([other], 2)

    def test_static_members_keep_their_share(self):
        topic, group = self.make_topic(4), self.topic_name("group")
        members = [self.member(group, topic, group_instance_id=f"host{i}") for i in range(2)]
        self.assert_shared(members, 4)
        share = set(members[0].assigned)
        members[0].stop()
        back = self.member(group, topic, group_instance_id="host0")
        self.assert_shared([back, members[1]], 4)
        self.assertEqual(back.assigned, share)

    def test_a_static_member_comes_back_unnoticed(self):
        """It has its share again before its session ends; nobody else hears of it."""
        topic, group = self.make_topic(4), self.topic_name("group")
        settings = {"partition_assignment_strategy": "range", "session_timeout_ms": 30000}
        members = [self.member(group, topic, group_instance_id=f"host{i}", **settings)
                   for i in range(2)]
        self.assert_shared(members, 4)
        share, calls = set(members[0].assigned), members[1].calls
        members[0].say_goodbye = False
        members[0].stop()
        back = self.member(group, topic, group_instance_id="host0", **settings)
        self.assertTrue(case.eventually(lambda: back.assigned, DEADLINE_S))
        self.assertEqual(back.assigned, share)
        self.fill(topic, 4, range(40))
        self.assert_seen([back, members[1]], range(40))
        self.assertEqual(members[1].calls, calls)
        self.assertEqual(back.errors + members[1].errors, [])

    def test_of_two_with_one_instance_id_the_older_is_fenced(self):
        topic, group = self.make_topic(2), self.topic_name("group")
        older = self.member(group, topic, group_instance_id="host")
        self.assert_shared([older], 2)
        newer = self.member(group, topic, group_instance_id="host")
        self.assertTrue(case.eventually(lambda: older.errors, DEADLINE_S))
        self.assertIn("fenced by other consumer", older.errors[0].str())
        self.assertTrue(case.eventually(lambda: newer.assigned == {0, 1}, DEADLINE_S))
        self.assertEqual(newer.errors, [])

    def test_a_simple_commit_without_members(self):
        topic, group = self.make_topic(2), self.topic_name("group")
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": group})
        self.addCleanup(consumer.close)
        consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 1, 42)],
                        asynchronous=False)
        self.assertEqual(self.committed(group, topic, 2)[1], 42)
        self.server.restart(kill=True)
        self.assertEqual(self.committed(group, topic, 2)[1], 42)

    def test_kafka_python(self):
        topic, group = self.make_topic(2), self.topic_name("py")
        self.fill(topic, 2, range(100))
        consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=self.server.address, group_id=group,
            auto_offset_reset="earliest", consumer_timeout_ms=DEADLINE_S * 1000)
        seen = set()
        for message in consumer:
            seen.add(int(message.value))
            if len(seen) == 100:
                break
        consumer.close()
        self.assertEqual(seen, set(range(100)))
        self.assertEqual(self.committed(group, topic, 2), [50, 50])
        admin = kafka.admin.KafkaAdminClient(bootstrap_servers=self.server.address)
        self.addCleanup(admin.close)
        self.assertIn((group, "consumer"), admin.list_consumer_groups())
        (described,) = admin.describe_consumer_groups([group])
        self.assertEqual((described.state, described.members), ("Empty", []))
        offsets = admin.list_consumer_group_offsets(group)
        self.assertEqual(sorted(each.offset for each in offsets.values()), [50, 50])
        ((_, error),) = admin.delete_consumer_groups([group])
        self.assertEqual(error.errno, 0)
        self.assertNotIn((group, "consumer"), admin.list_consumer_groups())

    def test_five_members_of_kafka_python(self):
        topic, group = self.make_topic(10), self.topic_name("py")
        ended = threading.Event()
        shares = {}

        def member(number):
            consumer = kafka.KafkaConsumer(
                topic, bootstrap_servers=self.server.address, group_id=group,
                heartbeat_interval_ms=200, session_timeout_ms=6000 * case.SLOWER)
            while not ended.is_set():
                consumer.poll(50)
                shares[number] = {part.partition for part in consumer.assignment()}
            consumer.close()

        threads = [threading.Thread(target=member, args=(i,), daemon=True) for i in range(5)]
        for thread in threads:
            thread.start()

        def shared():
            owned = [partition for share in list(shares.values()) for partition in share]
            return len(shares) == 5 and sorted(owned) == list(range(10))

        try:
            self.assertTrue(case.eventually(shared, DEADLINE_S), shares)
        finally:
            ended.set()
            for thread in threads:
                thread.join(DEADLINE_S)


class InitialDelayTest(case.ServerCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 0\n}\n"

    def test_no_delay_when_none_is_set(self):
        topic = self.make_topic(1)
        one = case.batch.build([(None, b"x", ())], int(time.time() * 1000))
        self.assertEqual(self.raw().produce(topic, 0, one)[0], 0)
        began = time.monotonic()
        member = Member(self.server.address, self.topic_name("group"), topic)
        self.addCleanup(member.stop)
        self.assertTrue(case.eventually(lambda: member.seen, DEADLINE_S))
        print(f"\nfirst record of a new group after {time.monotonic() - began:.3f} s", flush=True)


if __name__ == "__main__":
    unittest.main()
