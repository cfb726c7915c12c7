#!/usr/bin/env python3
"""Publishers that move to another core meanwhile: nothing is lost, nothing out of order."""
# SPDX-License-Identifier: Apache-2.0
import http.client
import re
import threading
import time
import unittest

from lib import case
from lib import leatd
from lib import nats

SLOWER = case.SLOWER
PUBLISHERS = 4
NOISE = b"PUB noise 0\r\n\r\n" * 3000


class Cores(case.ServerCase):
    nats = True
    cores = 2

    @classmethod
    def setUpClass(cls):
        cls.http_port = leatd.free_port()
        cls.config = f"http: 127.0.0.1:{cls.http_port}\n"
        super().setUpClass()

    def moved(self):
        page = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        try:
            page.request("GET", "/metrics")
            text = page.getresponse().read().decode()
        finally:
            page.close()
        return int(re.search(r"(?m)^leat_connections_moved_total (\d+)$", text)[1])

    def client(self):
        client = nats.Client(self.server.nats_port, 30 * SLOWER)
        self.addCleanup(client.close)
        return client

    def publish(self, number, client, counts, enough):
        """Noise to keep a core busy, and one numbered message after each lot of it."""
        count = 0
        while not enough.is_set():
            body = b"%d" % count
            client.send(NOISE + b"PUB seq.%d %d\r\n%s\r\nPUB work %d\r\n%s\r\n"
                        % (number, len(body), body, len(body), body))
            count += 1
        client.flush()
        counts[number] = count

    def test_publishers_move(self):
        taker = self.client()
        taker.send(b"SUB seq.* 1\r\n")
        taker.flush()
        members = [self.client() for _ in range(2)]
        for member in members:
            member.send(b"SUB work q 1\r\n")
            member.flush()
        before = self.moved()
        enough = threading.Event()
        counts = [0] * PUBLISHERS
        threads = [threading.Thread(target=self.publish, args=(i, self.client(), counts, enough))
                   for i in range(PUBLISHERS)]
        for thread in threads:
            thread.start()
        case.eventually(lambda: self.moved() > before, 20 * SLOWER)
        time_after = time.monotonic() + 1
        case.eventually(lambda: time.monotonic() > time_after, 5)
        enough.set()
        for thread in threads:
            thread.join()
        self.assertGreater(self.moved(), before, "no connection went to the other core")
        seen = [0] * PUBLISHERS
        while sum(seen) < sum(counts):
            line, payload = taker.message()
            number = int(line.split()[1].partition(b".")[2])
            self.assertEqual(int(payload), seen[number], f"publisher {number}")
            seen[number] += 1
        self.assertEqual(seen, counts)
        got = sum(member.flush().count(b"MSG work ") for member in members)
        self.assertEqual(got, sum(counts))
        self.check_answers_across()

    def check_answers_across(self):
        """Whoever is where: PONG means that a subscription is known everywhere."""
        asker, server = self.client(), self.client()
        for number in range(200):
            server.send(b"SUB ask.%d %d\r\n" % (number, number))
            server.flush()
            asker.send(b"SUB in.%d %d\r\nPUB ask.%d in.%d 0\r\n\r\n" % ((number,) * 4))
            self.assertEqual(server.message()[0], b"MSG ask.%d %d in.%d 0" % ((number,) * 3))
            server.send(b"PUB in.%d 0\r\n\r\n" % number)
            self.assertEqual(asker.message()[0], b"MSG in.%d %d 0" % ((number,) * 2))


if __name__ == "__main__":
    unittest.main()
