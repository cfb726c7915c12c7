#!/usr/bin/env python3
"""Consumers that do not read: bounded memory, closed with a reason, others not held up."""
# SPDX-License-Identifier: Apache-2.0
import http.client
import json
import socket
import time
import unittest

from lib import case
from lib import leatd
from lib import nats

SLOWER = case.SLOWER


class Slow(case.ServerCase):
    nats = True
    memory = "64m"
    limits = 'max_pending: 8mb, write_deadline: "1s"'

    @classmethod
    def setUpClass(cls):
        cls.http_port = leatd.free_port()
        cls.config = f"http: 127.0.0.1:{cls.http_port}\n{cls.limits}\n"
        super().setUpClass()

    def varz(self):
        page = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        try:
            page.request("GET", "/varz")
            return json.loads(page.getresponse().read())
        finally:
            page.close()

    def client(self):
        client = nats.Client(self.server.nats_port, 30 * SLOWER)
        self.addCleanup(client.close)
        return client

    def sleeper(self, subject):
        """Subscribes and never reads again."""
        client = self.client()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"SUB %s 1\r\n" % subject)
        client.flush()
        return client

    def test_too_much_pending(self):
        before = self.varz()
        self.sleeper(b"flood")
        reader = self.client()
        reader.send(b"SUB other 1\r\n")
        reader.flush()
        writer = self.client()
        message = b"PUB flood 1000\r\n" + b"x" * 1000 + b"\r\n"
        for _ in range(40):
            writer.send(message * 1000)
        writer.send(b"PUB other 1\r\nx\r\n")
        writer.flush()
        self.assertEqual(reader.message(), (b"MSG other 1 1", b"x"))
        after = self.varz()
        self.assertEqual(after["slow_consumers"] - before["slow_consumers"], 1)
        self.assertLess(self.server.rss_bytes(), (64 + 64) << 20)

    def test_write_deadline(self):
        before = self.varz()["slow_consumers"]
        self.sleeper(b"some")
        writer = self.client()
        for _ in range(6):
            writer.send((b"PUB some 1000\r\n" + b"x" * 1000 + b"\r\n") * 1000)
        writer.flush()
        closed = case.eventually(lambda: self.varz()["slow_consumers"] == before + 1, 20 * SLOWER)
        self.assertTrue(closed)

    def test_producers_wait_for_readers(self):
        """A reader that is merely slower than the writer gets everything."""
        reader = self.client()
        reader.send(b"SUB stream 1\r\n")
        reader.flush()
        before = self.varz()["stalled_clients"]
        writer = self.client()
        count = 20000
        writer.socket.setblocking(False)
        data = memoryview((b"PUB stream 1000\r\n" + b"x" * 1000 + b"\r\n") * count)
        got = 0
        want = len(b"MSG stream 1 1000\r\n" + b"x" * 1000 + b"\r\n") * count
        deadline = time.monotonic() + 60 * SLOWER
        while got < want:
            self.assertLess(time.monotonic(), deadline)
            if data:
                try:
                    data = data[writer.socket.send(data[:1 << 18]):]
                except BlockingIOError:
                    pass
            part = reader.socket.recv(1 << 15)
            self.assertTrue(part, "closed as a slow consumer")
            got += len(part)
        self.assertGreaterEqual(self.varz()["stalled_clients"], before)


class SlowOnTwoCores(Slow):
    cores = 2


if __name__ == "__main__":
    unittest.main()
