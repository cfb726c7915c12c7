"""Consumers of a librdkafka that speaks the newer group protocol, against a real server."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess
import unittest

from lib import case

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = HERE / "js/node_modules/@confluentinc/kafka-javascript/deps/librdkafka"
# One build for all kinds of builds of the server.
FOLDER = pathlib.Path(os.environ.get("LEAT_LIBRDKAFKA", ROOT / "build" / "librdkafka"))
TASKS = ("share-out", "expression", "instance")


class NextRdkafkaTest(case.ServerCase):

    config = """
        kafka {
            group.consumer.heartbeat.interval.ms: 200
            group.consumer.min.heartbeat.interval.ms: 200
            offsets.topic.num.partitions: 3
        }
    """
    program = None

    @classmethod
    def setUpClass(cls):
        made = subprocess.run(
            [ROOT / "tools/librdkafka", SOURCE, FOLDER, HERE / "groups_rdkafka.c"], check=False,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        if made.returncode != 0:
            raise unittest.TestCase.failureException(made.stderr)
        cls.program = made.stdout.strip()
        super().setUpClass()

    def test_every_task(self):
        for task in TASKS:
            with self.subTest(task=task):
                done = subprocess.run(
                    [self.program, self.server.address, task], check=False,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150 * case.SLOWER)
                self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))


if __name__ == "__main__":
    unittest.main()
