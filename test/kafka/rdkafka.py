"""Runs the client written in C on librdkafka against a real server."""
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import unittest

from lib import case

TASKS = ("round-trip", "headers", "idempotent", "delete-records", "admin", "offsets", "group")


class RdkafkaTest(case.ServerCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 100\n}\n"

    def test_every_task(self):
        for task in TASKS:
            with self.subTest(task=task):
                done = subprocess.run(
                    [os.environ["LEAT_RDKAFKA"], self.server.address, task], check=False,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * case.SLOWER)
                self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))


if __name__ == "__main__":
    unittest.main()
