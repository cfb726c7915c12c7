#!/usr/bin/env python3
"""PONG means that every core knows what was subscribed to before: publishers on all of them."""
# SPDX-License-Identifier: Apache-2.0
import queue
import threading
import unittest

import cores
from lib import case
from lib import nats

SLOWER = case.SLOWER
PUBLISHERS = 4
ROUNDS = 1000 // SLOWER
NOISE = b"PUB noise 0\r\n\r\n" * (1000 // SLOWER)
ANSWER_S = 60
MEMBERS, MESSAGES = 4, 5000


class Fence(cores.Cores):
    test_publishers_move = None

    def client(self):
        client = nats.Client(self.server.nats_port, ANSWER_S)
        self.addCleanup(client.close)
        return client

    def publisher(self, client, asked, enough):
        """Noise to keep a core busy, one lot of it on the way at a time, so that what is asked for
        does not wait behind megabytes; and a message to whatever subject it is given."""
        while not enough.is_set():
            data = NOISE
            try:
                data = b"PUB %b 2\r\nhi\r\n" % asked.get_nowait() + data
            except queue.Empty:
                pass
            client.send(data)
            client.flush()

    def take(self, taker, number, got):
        try:
            line, _payload = taker.message()
        except TimeoutError:
            self.fail(f"round {number}: {got} of {PUBLISHERS} messages in {ANSWER_S} s")
        self.assertEqual(line, b"MSG fence.%d %d 2" % (number, number + 1))

    def test_flush_reaches_all_cores(self):
        enough, before = threading.Event(), self.moved()
        asked = [queue.Queue() for _ in range(PUBLISHERS)]
        threads = [threading.Thread(target=self.publisher, args=(self.client(), one, enough))
                   for one in asked]
        for thread in threads:
            thread.start()
        try:
            moved = case.eventually(lambda: self.moved() > before, ANSWER_S)
            self.assertTrue(moved, "no connection went to the other core")
            taker = self.client()
            for number in range(ROUNDS):
                subject = b"fence.%d" % number
                taker.send(b"SUB %b %d\r\n" % (subject, number + 1))
                self.assertEqual(taker.flush(), b"")
                for one in asked:
                    one.put(subject)
                for got in range(PUBLISHERS):
                    self.take(taker, number, got)
        finally:
            enough.set()
            for thread in threads:
                thread.join()


class Turns(case.ServerCase):
    nats = True

    def test_members_that_take_turns_get_whole_messages_in_order(self):
        members = [nats.Client(self.server.nats_port, 30 * SLOWER) for _ in range(MEMBERS)]
        for member in members:
            self.addCleanup(member.close)
            member.send(b"SUB turns group 7\r\n")
            member.flush()
        with nats.Client(self.server.nats_port, 30 * SLOWER) as publisher:
            texts = [b"%d " % number + b"x" * (number % 700) for number in range(MESSAGES)]
            publisher.send(b"".join(b"PUB turns %d\r\n%b\r\n" % (len(text), text)
                                    for text in texts))
            publisher.flush()
        numbers = {text: number for number, text in enumerate(texts)}
        got = []
        for member in members:
            member.send(b"PING\r\n")
            mine = []
            while (line := member.spoken()) != b"PONG":
                self.assertTrue(line.startswith(b"MSG turns 7 "), line)
                mine.append(numbers[member.take(int(line.split()[-1]) + 2)[:-2]])
            self.assertEqual(mine, sorted(mine))
            self.assertGreater(len(mine), MESSAGES // MEMBERS // 2)
            got += mine
        self.assertEqual(sorted(got), list(range(MESSAGES)))


if __name__ == "__main__":
    unittest.main()
