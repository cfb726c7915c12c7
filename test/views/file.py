#!/usr/bin/env python3
"""Topics of the configuration file: there after a start, with their settings and subjects."""
# SPDX-License-Identifier: Apache-2.0
import shutil
import signal
import unittest

import both
from lib import case
from lib import leatd
from lib import nats

FILE = """kafka {
    num.partitions: 2
    topics {
        orders {
            partitions: 3
            nats.subjects: "orders.>"
            retention.ms: 7d
        }
        app.log { nats.subjects: [bills, "paid.*"] }
    }
}
"""

class FileTest(case.ServerCase):
    config = FILE
    nats = True

    def setUp(self):
        self.server.kill()
        shutil.rmtree(self.server.data)
        self.server.config = FILE
        super().setUp()

    def start(self, config):
        self.server.kill()
        self.server.config = config
        self.server.start()

    def publish(self, subject):
        with nats.Client(self.server.nats_port, both.DEADLINE_S) as client:
            return both.Publisher(client).ask(subject, b"x")["stream"]

    def refused(self, config):
        """Fails to start with these words, and what there was is there again afterwards."""
        self.server.kill()
        path = self.server.folder / "leat.conf"
        path.write_text(config, encoding="utf-8")
        code, words = leatd.run(["--data", str(self.server.data), "--listen", "127.0.0.1:0",
                                 "--nats-listen", "none", "--config", str(path)])
        self.assertIn(code, (1, 2), words)
        last = words.splitlines()[-1]
        self.assertTrue(last.startswith(f"leatd: {path}:"), words)
        return last

    def test_topics_are_there_with_their_settings(self):
        client = self.raw()
        self.assertEqual({name: len(found[1]) for name, found in client.metadata().items()},
                         {"orders": 3, "app.log": 2})
        self.assertEqual(client.describe_topic("orders")["retention.ms"], "604800000")
        self.assertEqual(client.describe_topic("app.log")["nats.subjects"], "bills,paid.*")
        self.assertEqual(self.publish("orders.1"), "orders")
        self.assertEqual(self.publish("paid.x"), "app.log")

    def test_what_the_file_says_is_so_after_each_start(self):
        client = self.raw()
        self.assertEqual(client.alter_topic("orders", "nats.subjects", "mine")[0], 0)
        self.assertEqual(client.alter_topic("orders", "segment.bytes", "1048576")[0], 0)
        self.server.kill()
        self.server.start()
        found = self.raw().describe_topic("orders")
        self.assertEqual(found["nats.subjects"], "orders.>")
        self.assertEqual(found["segment.bytes"], "1048576")
        moved = (FILE.replace("partitions: 3", "partitions: 4").replace('"orders.>"', "bills")
                 .replace("[bills, ", '["orders.>", '))
        self.start(moved)
        self.assertEqual(self.publish("orders.1"), "app.log")
        self.assertEqual(self.publish("bills"), "orders")
        self.assertEqual(len(self.raw().metadata(["orders"])["orders"][1]), 4)
        self.server.lines.clear()
        self.server.restart(kill=True)
        self.assertNotIn("topics of the configuration", self.server.tail())

    def test_what_cannot_be_refuses_the_start(self):
        self.assertEqual(self.raw().create_topic("other", 1, {"nats.subjects": "mine.*"})[0], 0)
        last = self.refused(FILE.replace("partitions: 3", "partitions: 1"))
        self.assertRegex(last, r":5:25: topic 'orders': the topic has \d partitions")
        last = self.refused(FILE.replace("[bills,", "[mine.x,"))
        self.assertRegex(last, r":9:\d+: topic 'app.log': .*'mine.x' overlaps with 'mine.\*'")
        last = self.refused(FILE.replace("app.log { nats.subjects: [bills, ", "app_log { a: ["))
        self.assertIn("unknown field 'a'", last)
        last = self.refused(FILE.replace("app.log { nats.subjects: [bills", "later {}\n app_log { "
                                         "nats.subjects: [b"))
        self.assertIn("collide", last)
        self.start(FILE)
        self.assertNotIn("later", self.raw().metadata())

    def reload(self, config, words):
        """Reads this as its configuration again; then its log has these words."""
        self.server.lines.clear()
        path = self.server.folder / "leat.conf"
        path.write_text(config, encoding="utf-8")
        self.server.process.send_signal(signal.SIGHUP)
        self.assertTrue(case.eventually(lambda: words in self.server.tail(), both.DEADLINE_S),
                        self.server.tail())
        return str(path)

    def test_a_reload_makes_grows_and_sets(self):
        moved = (FILE.replace("partitions: 3", "partitions: 4").replace('"orders.>"', "bills")
                 .replace("[bills, ", '["orders.>", ').replace("7d", "8d")
                 .replace("app.log", "later { partitions: 1 }\n        app.log"))
        self.reload(moved, "topics of the configuration made=1 changes=")
        client = self.raw()
        self.assertTrue(case.eventually(
            lambda: client.describe_topic("app.log")["nats.subjects"] == "orders.>,paid.*",
            both.DEADLINE_S))
        self.assertEqual({name: len(found[1]) for name, found in client.metadata().items()},
                         {"orders": 4, "app.log": 2, "later": 1})
        self.assertEqual(client.describe_topic("orders")["retention.ms"], "691200000")
        self.assertEqual(self.publish("orders.1"), "app.log")
        self.assertEqual(self.publish("bills"), "orders")

    def test_what_a_reload_cannot_do_changes_nothing_and_is_told(self):
        before = self.raw().metadata()
        path = self.reload(FILE.replace("7d", "soon"), "not reloaded: ")
        self.assertIn(f"not reloaded: {path}:7:", self.server.tail())
        path = self.reload(FILE.replace("partitions: 3", "partitions: 1")
                           .replace("app.log", "later"), "are not all as it says: ")
        self.assertIn(f"as it says: {path}:5:25: topic 'orders': the topic has 3 partitions",
                      self.server.tail())
        self.assertEqual(self.raw().metadata(), before)
        self.reload(FILE.replace("app.log {", "later {}\n app.log {"), "made=1 changes=0")
        self.assertIn("later", self.raw().metadata())


if __name__ == "__main__":
    unittest.main()
