"""leat group: lists, lag, seek, and the one reason why a group does not move."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
import signal
import struct
import subprocess
import unittest

import confluent_kafka
import kafka

from lib import case
from lib import command
from lib import flex
from lib import raw
from lib import share

OFFSET_COMMIT = 8
DEADLINE_S = 60 * case.SLOWER


class GroupsTest(command.CommandCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 0\n}\n"

    def why(self, group, *args, code=command.FAILED):
        found = self.leat_json("group", "why", group, *args, code=code)
        self.assertEqual(found["stuck"], code == command.FAILED)
        return found

    @contextlib.contextmanager
    def consumer(self, group, topic, **settings):
        """A consumer that has got its partitions."""
        client = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": group, "client.id": "worker",
            "auto.offset.reset": "earliest", "enable.auto.commit": False, **settings})
        assigned = []
        client.subscribe([topic], on_assign=lambda _, parts: assigned.extend(parts))
        first = []
        self.assertTrue(case.eventually(
            lambda: assigned or first.append(client.poll(0.05)), DEADLINE_S))
        try:
            yield client
        finally:
            client.close()

    def test_reading_in_a_group(self):
        name = self.make_topic(3)
        self.leat("produce", name, stdin="".join(f"{i}\n" for i in range(30)))
        found = self.leat("consume", name, "-g", "readers", "-e").split()
        self.assertEqual(sorted(map(int, found)), list(range(30)))
        self.leat("produce", name, "more")
        self.assertEqual(self.leat("consume", name, "-g", "readers", "-e").split(), ["more"])
        (row,) = [row for row in self.leat_json("group", "list") if row["group"] == "readers"]
        self.assertEqual(row["state"], "Empty")
        (lag,) = self.leat_json("group", "lag", "readers")
        self.assertEqual((lag["topic"], lag["lag"]), (name, 0))
        (described,) = self.leat_json("group", "describe", "readers")
        self.assertEqual(sum(row["committed"] for row in described["offsets"]), 31)
        self.leat("group", "describe", "raeders", code=command.NOT_FOUND)

    def test_a_group_with_many_partitions(self):
        """As many as would take long if each were looked for among all."""
        count = 10000 // case.SLOWER
        names = sorted(self.make_topic(count, name=self.topic_name()) for _ in range(2))
        asked = [raw.string(name) + raw.array([struct.pack(">iqh", partition, 0, -1)
                                               for partition in range(count)]) for name in names]
        self.raw().call(OFFSET_COMMIT, 2, raw.string("wide") + struct.pack(">i", -1)
                        + raw.string("") + struct.pack(">q", -1) + raw.array(asked))
        self.leat("produce", names[1], "-p", str(count - 1), "one")
        rows = self.leat_json("group", "lag", "wide")
        self.assertEqual([(row["topic"], row["partitions"], row["lag"]) for row in rows],
                         [(names[0], count, 0), (names[1], count, 1)])
        (described,) = self.leat_json("group", "describe", "wide")
        offsets = described["offsets"]
        self.assertEqual([(row["topic"], row["partition"]) for row in offsets],
                         [(name, partition) for name in names for partition in range(count)])
        self.assertEqual([row["lag"] for row in offsets], [0] * (2 * count - 1) + [1])

    def test_an_interrupted_reader_leaves_its_group(self):
        name = self.make_topic()
        self.leat("produce", name, "a")
        with subprocess.Popen([command.BINARY, "consume", name, "-g", "leavers"],
                              stdout=subprocess.PIPE,
                              env=command.environment(self.server.address)) as reader:
            self.assertEqual(reader.stdout.readline(), b"a\n")
            reader.send_signal(signal.SIGINT)
            self.assertEqual(reader.wait(DEADLINE_S), command.OK)
        (described,) = self.leat_json("group", "describe", "leavers")
        self.assertEqual((described["state"], described["members"]), ("Empty", []))
        self.assertEqual(described["offsets"][0]["committed"], 1)

    def test_seek(self):
        name = self.make_topic(2)
        for partition in "01":
            self.leat("produce", name, "-p", partition, "a", "b", "c")
        self.leat("consume", name, "-g", "seekers", "-e")
        self.leat("group", "seek", "seekers", "--to", "start", code=command.USAGE)
        self.leat("group", "seek", "seekers", "--to", "start", "--dry-run")
        self.assertEqual(self.leat("consume", name, "-g", "seekers", "-e"), "")
        rows = self.leat_json("group", "seek", "seekers", name, "-p", "1", "--to", "-2", "--yes")
        self.assertEqual(rows, [{"topic": name, "partition": 1, "before": 3, "after": 1}])
        self.assertEqual(self.leat("consume", name, "-g", "seekers", "-e").split(), ["b", "c"])
        self.leat("group", "seek", "seekers", "--to", "0", "--yes")
        self.assertEqual(len(self.leat("consume", name, "-g", "seekers", "-e").split()), 6)
        with self.consumer("seekers", name):
            done = self.leat_both("group", "seek", "seekers", "--to", "end", "--yes",
                                  code=command.FAILED)
            self.assertIn("running member", done.err)
            self.leat("group", "delete", "seekers", "--yes", code=command.FAILED)
            self.leat("group", "forget", "seekers", name, "--yes", code=command.FAILED)
        self.leat("group", "forget", "seekers", name, "--dry-run")
        self.assertEqual(len(self.leat_json("group", "describe", "seekers")[0]["offsets"]), 2)
        self.leat("group", "forget", "seekers", name, "--yes")
        self.leat("group", "forget", "seekers", name, "--yes", code=command.NOT_FOUND)
        self.leat("consume", name, "-g", "seekers", "-e")
        done = command.run(self.server.address, "__complete", "config", "show", "group", "see")
        self.assertEqual(done.out.split(), ["seekers"])
        done = command.run(self.server.address, "__complete", "group", "forget", "seekers", name)
        self.assertEqual(done.out.split(), [name])
        self.leat("group", "delete", "seekers", "--yes")
        self.leat("group", "describe", "seekers", code=command.NOT_FOUND)

    def test_why_a_group_does_not_move(self):
        name, group = self.make_topic(), "stuck"
        self.leat("group", "why", group, code=command.NOT_FOUND)
        self.leat("produce", name, "a", "b", "c")
        with self.consumer(group, name) as client:
            found = self.why(group, "--watch", "100ms")
            self.assertEqual((found["reason"], found["lag"]), ("never-committed", 3))
            where = confluent_kafka.TopicPartition(name, 0, 1)
            client.commit(offsets=[where], asynchronous=False)
            found = self.why(group, "--watch", "100ms")
            self.assertEqual((found["reason"], found["lag"]), ("not-committing", 2))
            self.assertIn("worker", found["what"])
            where.offset = 3
            client.commit(offsets=[where], asynchronous=False)
            self.assertEqual(self.why(group, code=command.OK)["reason"], "caught-up")
            where.offset = 1
            client.commit(offsets=[where], asynchronous=False)
            self.leat("topic", "trim", name, "--before", "2", "--yes")
            found = self.why(group, "--watch", "100ms")
            self.assertEqual(found["reason"], "offset-below-start")
            self.assertIn(f"leat group seek {group} {name} -p 0 --to start", found["fix"])
        found = self.why(group)
        self.assertEqual(found["reason"], "no-members")

    def test_why_sees_offsets_move(self):
        name, group = self.make_topic(), "moving"
        self.leat("produce", name, "a", "b", "c")
        with self.consumer(group, name) as client:
            where = confluent_kafka.TopicPartition(name, 0, 1)
            client.commit(offsets=[where], asynchronous=False)
            with subprocess.Popen(
                    [command.BINARY, "group", "why", group, "--watch", "120s"],
                    stdout=subprocess.PIPE,
                    env=command.environment(self.server.address)) as watcher:
                def commit_on():
                    where.offset = 2 if where.offset == 3 else 3
                    client.commit(offsets=[where], asynchronous=False)
                    return watcher.poll() is not None
                case.eventually(commit_on, DEADLINE_S, 0.05)
                words = watcher.stdout.read().decode()
                self.assertEqual(watcher.wait(DEADLINE_S), command.OK, words)
        self.assertTrue("It moves" in words or "Nothing is wrong" in words, words)


class ShareGroupsTest(command.CommandCase):
    """Groups whose members take records one by one."""

    def setUp(self):
        super().setUp()
        self.topic, self.group = self.make_topic(), "sharers"
        self.leat("config", "set", "group", self.group, "share.auto.offset.reset=earliest")
        with flex.Client(self.server.port) as client:
            self.member = share.Member(self, self.group, "one", client.topic_id(self.topic))

    def why(self, code):
        found = self.leat_json("group", "why", self.group, "--watch", "100ms", code=code)
        self.assertEqual(found["stuck"], code == command.FAILED)
        return found

    def test_a_share_group(self):
        name, group, member = self.topic, self.group, self.member
        (row,) = self.leat_json("config", "show", "group", group)
        self.assertEqual((row["value"], row["from"]), ("earliest", "group"))
        self.leat("produce", name, "a", "b", "c")
        self.assertEqual(member.heartbeat(0, [name])["code"], 0)
        self.assertEqual(self.why(command.FAILED)["reason"], "nothing-read")
        self.assertEqual(member.fetch(count=1)["code"], 0)
        ((first, last, _),) = member.take()
        self.assertEqual((first, last), (0, 2))
        found = self.why(command.FAILED)
        self.assertEqual((found["reason"], found["lag"]), ("not-acknowledged", 3))
        self.assertEqual(member.acknowledge((0, 1, 1))["ack"], {0: 0})
        (described,) = self.leat_json("group", "describe", group)
        self.assertEqual((described["type"], described["state"]), ("share", "Stable"))
        self.assertEqual([(row["partitions"], row["assigned"]) for row in described["members"]],
                         [(1, f"{name} 0")])
        self.assertEqual([(row["next"], row["lag"]) for row in described["offsets"]], [(2, 1)])
        (lag,) = self.leat_json("group", "lag", group)
        self.assertEqual((lag["topic"], lag["lag"]), (name, 1))
        self.assertEqual(member.acknowledge((2, 2, 1))["ack"], {0: 0})
        self.assertEqual(self.why(command.OK)["reason"], "caught-up")
        done = self.leat_both("group", "seek", group, "--to", "1", "--yes", code=command.FAILED)
        self.assertIn("1 running member", done.err)
        self.leat("group", "delete", group, "--yes", code=command.FAILED)
        self.assertEqual(member.heartbeat(-1)["code"], 0)
        rows = self.leat_json("group", "seek", group, "--to", "1", "--yes")
        self.assertEqual(rows, [{"topic": name, "partition": 0, "before": 3, "after": 1}])
        found = self.why(command.FAILED)
        self.assertEqual((found["reason"], found["lag"]), ("no-members", 2))
        self.leat("group", "forget", group, "elsewhere", "--yes", code=command.NOT_FOUND)
        self.leat("group", "forget", group, name, "--yes")
        self.assertEqual(self.leat_json("group", "describe", group)[0]["offsets"], [])
        self.leat("group", "delete", group, "--yes")
        self.leat("group", "describe", group, code=command.NOT_FOUND)


class MissingTopicTest(command.CommandCase):

    config = """kafka {
  auto.create.topics.enable: false
  group.initial.rebalance.delay.ms: 0
}
"""

    def test_why_names_a_missing_topic(self):
        name, group = self.make_topic(), "mistyped"
        # librdkafka tells its group of topics that exist alone; this client of all it was told.
        client = kafka.KafkaConsumer(bootstrap_servers=self.server.address, group_id=group)
        self.addCleanup(client.close)
        client.subscribe([name, "no-such-topic"])
        found = case.eventually(lambda: client.poll(50) and None or self.settled(group),
                                DEADLINE_S)
        self.assertEqual(found["reason"], "no-topic")
        self.assertIn("leat topic create no-such-topic", found["fix"])

    def settled(self, group):
        """What leat group why says, once the group is there and no longer rebalances."""
        done = command.run(self.server.address, "group", "why", group, "--format", "json",
                           "--watch", "100ms")
        if done.code == command.NOT_FOUND:
            return None
        found = json.loads(done.out)
        return found if found["reason"] not in ("rebalancing", "no-members") else None


if __name__ == "__main__":
    unittest.main()
