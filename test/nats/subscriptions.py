#!/usr/bin/env python3
"""Very many subscriptions: what each takes in memory, and that each of them gets its messages."""
# SPDX-License-Identifier: Apache-2.0
import unittest

from lib import case
from lib import leatd
from lib import nats

SLOWER = case.SLOWER
SUBSCRIPTIONS = 200_000 // SLOWER
STEP = 20_000
ASKED = range(0, SUBSCRIPTIONS, SUBSCRIPTIONS // 50)
# A million fit in 200 MB, and what is left is for longer names: these take 128 bytes.
SIZE_MAX = 160


class Subscriptions(case.ServerCase):
    nats = True
    memory = "512m"

    def client(self):
        client = nats.Client(self.server.nats_port, 60 * SLOWER)
        self.addCleanup(client.close)
        client.flush()
        return client

    def subscribe(self, clients, shape):
        """Number i goes to client i % len(clients), its sid is i."""
        for at in range(0, SUBSCRIPTIONS, STEP):
            numbers = range(at, min(at + STEP, SUBSCRIPTIONS))
            for turn, client in enumerate(clients):
                client.send(b"".join(b"SUB %b %d\r\n" % (shape % i, i) for i in numbers
                                     if i % len(clients) == turn))
            for client in clients:
                self.assertEqual(client.flush(), b"")

    def check_get(self, clients, shape, numbers):
        publisher = self.client()
        for i in numbers:
            publisher.send(b"PUB %b 2\r\nhi\r\n" % (shape.replace(b"*", b"x") % i))
        publisher.flush()
        for i in numbers:
            line, payload = clients[i % len(clients)].message()
            self.assertEqual((line.split()[2], payload), (b"%d" % i, b"hi"))

    def check(self, shape, count):
        """So many connections with all of these between them."""
        self.server.restart()
        clients = [self.client() for _ in range(count)]
        before = self.server.rss_bytes()
        self.subscribe(clients, shape)
        each = (self.server.rss_bytes() - before) / SUBSCRIPTIONS
        if not leatd.SANITIZER:
            self.assertLess(each, SIZE_MAX, f"bytes for {shape} with {count} connections")
        self.check_get(clients, shape, ASKED)
        for turn, client in enumerate(clients):
            client.send(b"".join(b"UNSUB %d\r\n" % i for i in ASKED if i % count == turn))
            client.flush()
        self.check_get(clients, shape, [i + 1 for i in ASKED])
        for client in clients:
            self.assertEqual(client.flush(), b"", "what nobody wants any more")

    def test_one_connection_with_short_names(self):
        self.check(b"s.%d", 1)

    def test_one_connection_with_names_of_three_tokens(self):
        self.check(b"dev.%d.temp", 1)

    def test_fifty_connections_with_names_of_three_tokens(self):
        self.check(b"dev.%d.temp", 50)

    def test_one_connection_with_wildcards(self):
        self.check(b"dev.%d.*", 1)


if __name__ == "__main__":
    unittest.main()
