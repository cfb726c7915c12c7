"""Runs the kafkajs tests with node's own test runner against a real server."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess
import unittest

from lib import case

FOLDER = pathlib.Path(__file__).resolve().parent


class KafkajsTest(case.ServerCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 100\n}\n"

    def test_kafkajs(self):
        self.assertTrue((FOLDER / "node_modules" / "kafkajs").is_dir(),
                        f"kafkajs is not installed: cd {FOLDER} && npm ci --ignore-scripts")
        done = subprocess.run(
            ["node", "--test", str(FOLDER / "kafkajs.test.js")], check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200 * case.SLOWER,
            env={**os.environ, "LEAT_BROKER": self.server.address, "KAFKAJS_NO_PARTITIONER_WARNING":
                 "1", "LEAT_SLOWER": str(case.SLOWER)})
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-12000:])


if __name__ == "__main__":
    unittest.main()
