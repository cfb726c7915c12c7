"""leat txn, and what transactions mean to leat produce, consume and group why."""
# SPDX-License-Identifier: Apache-2.0
import json
import unittest

import confluent_kafka

from lib import case
from lib import command

DEADLINE_S = 60 * case.SLOWER


class TransactionsTest(command.CommandCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 0\n}\n"

    def producer(self, name):
        client = confluent_kafka.Producer({
            **case.connect(self.server.address), "transactional.id": name})
        client.init_transactions(DEADLINE_S)
        client.begin_transaction()
        return client

    def reader(self, group, topic):
        """A member of a group that has got its partitions."""
        client = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": group, "client.id": "worker",
            "enable.auto.commit": False})
        self.addCleanup(client.close)
        assigned, polled = [], []
        client.subscribe([topic], on_assign=lambda _, parts: assigned.extend(parts))
        case.eventually(lambda: assigned or polled.append(client.poll(0.05)), DEADLINE_S)
        self.assertTrue(assigned)
        return client

    def test_all_or_nothing(self):
        name = self.make_topic()
        self.leat("produce", name, "--txn", "writer", stdin="a\nb\n")
        self.leat("produce", name, "--txn", "writer", "-f", "%k:%v\\n", stdin="c:d\nbroken\n",
                  code=command.FAILED)
        self.assertEqual(self.leat("consume", name, "-e").split(), ["a", "b"])
        self.assertIn("a", self.leat("consume", name, "-e", "--uncommitted").split())
        rows = {row["transactional_id"]: row["state"] for row in self.leat_json("txn", "list")}
        self.assertIn(rows["writer"], ("CompleteAbort", "CompleteCommit", "Empty"))
        (ended,) = self.leat_json("txn", "describe", "writer")
        self.assertIsNone(ended["open_for_ms"])
        self.leat("txn", "describe", "nobody", code=command.NOT_FOUND)
        self.leat("txn", "list", "--state", "sleeping", code=command.USAGE)

    def test_an_open_transaction_is_named(self):
        name, group = self.make_topic(), "held-back"
        self.leat("produce", name, "seen")
        producer = self.producer("payer")
        producer.produce(name, b"hidden")
        producer.flush(DEADLINE_S)
        self.assertEqual(self.leat("consume", name, "-n", "1").split(), ["seen"])
        (row,) = [row for row in self.leat_json("txn", "list", "--state", "ongoing")
                  if row["transactional_id"] == "payer"]
        (described,) = self.leat_json("txn", "describe", "payer")
        self.assertEqual(described["partitions"], [{"topic": name, "partition": 0}])
        self.assertGreaterEqual(described["open_for_ms"], 0)
        open_since = [one["open_since"] for one in self.leat_json("txn", "producers", name)
                      if one["producer_id"] == row["producer_id"]]
        self.assertEqual(open_since, [1])
        client = self.reader(group, name)
        client.commit(offsets=[confluent_kafka.TopicPartition(name, 0, 1)], asynchronous=False)
        found = self.leat_json("group", "why", group, "--watch", "100ms", code=command.FAILED)
        self.assertEqual(found["reason"], "open-transaction")
        self.assertIn("transactional id payer", found["what"])
        producer.abort_transaction(DEADLINE_S)
        # What is left behind the committed offset is an aborted record and its mark.
        found = case.eventually(lambda: self.caught_up(group), DEADLINE_S)
        self.assertEqual((found["reason"], found["lag"]), ("caught-up", 0))

    def caught_up(self, group):
        done = command.run(self.server.address, "group", "why", group, "--format", "json",
                           "--watch", "100ms")
        return json.loads(done.out) if done.code == command.OK else None


if __name__ == "__main__":
    unittest.main()
