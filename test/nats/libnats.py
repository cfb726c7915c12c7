#!/usr/bin/env python3
"""Runs the client that is built on nats.c against a real server."""
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import unittest

from lib import case


class LibnatsTest(case.ServerCase):
    nats = True
    cores = 2

    def test_libnats(self):
        done = subprocess.run(
            [os.environ["LEAT_LIBNATS"], f"nats://127.0.0.1:{self.server.nats_port}"], check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * case.SLOWER)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))


if __name__ == "__main__":
    unittest.main()
