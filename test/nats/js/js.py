"""Runs the tests of NATS clients for node against a real server."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess
import unittest

from lib import case

FOLDER = pathlib.Path(__file__).resolve().parent


class NodeTest(case.ServerCase):
    nats = True
    cores = 2

    def test_node(self):
        self.assertTrue((FOLDER / "node_modules" / "nats").is_dir(),
                        f"the clients are not installed: cd {FOLDER} && npm ci --ignore-scripts")
        done = subprocess.run(
            ["node", "--test", str(FOLDER / "nats.test.js")], check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200 * case.SLOWER,
            env={**os.environ, "LEAT_NATS": f"127.0.0.1:{self.server.nats_port}"})
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-12000:])


if __name__ == "__main__":
    unittest.main()
