#!/usr/bin/env python3
"""Members of a queue group that come and go on several cores: while one stays, nothing is lost."""
# SPDX-License-Identifier: Apache-2.0
import threading
import unittest

import cores
from lib import case

SLOWER = case.SLOWER
PUBLISHERS = 2
COUNT = 40000 // SLOWER
LOT = 50
NOISE = b"PUB noise 0\r\n\r\n" * (2000 // SLOWER)


class Members(cores.Cores):
    cores = 3
    test_publishers_move = None

    def noise(self, client, ready):
        """Until some connections have gone to other cores."""
        while not ready.is_set():
            client.send(NOISE)
            client.flush()

    def publish(self, number, client, ready):
        self.noise(client, ready)
        for first in range(0, COUNT, LOT):
            client.send(b"".join(b"PUB work %d\r\n%d.%d\r\n"
                                 % (len(b"%d.%d" % (number, count)), number, count)
                                 for count in range(first, first + LOT)))
            client.flush()

    def take(self, member, got):
        """What came before PONG."""
        member.send(b"PING\r\n")
        while (line := member.spoken()) != b"PONG":
            self.assertTrue(line.startswith(b"MSG work "), line)
            got.append(member.take(int(line.split()[-1]) + 2)[:-2])

    def come_and_go(self, member, got, ready, enough):
        self.noise(member, ready)
        while not enough.is_set():
            member.send(b"SUB work group 1\r\n")
            self.take(member, got)
            member.send(b"UNSUB 1\r\n")
            self.take(member, got)

    def test_one_that_stays_gets_what_others_leave(self):
        ready, enough, before = threading.Event(), threading.Event(), self.moved()
        got = [[] for _ in range(4)]
        stays = self.client()
        stays.send(b"SUB work group 1\r\n")
        stays.flush()
        threads = [threading.Thread(target=self.come_and_go,
                                    args=(self.client(), mine, ready, enough))
                   for mine in got[1:]]
        publishers = [threading.Thread(target=self.publish, args=(number, self.client(), ready))
                      for number in range(PUBLISHERS)]
        for thread in threads + publishers:
            thread.start()
        moved = case.eventually(lambda: self.moved() > before + 1, 60)
        ready.set()
        self.assertTrue(moved, "no connections went to other cores")
        while any(thread.is_alive() for thread in publishers):
            self.take(stays, got[0])
        enough.set()
        for thread in threads + publishers:
            thread.join()
        wanted = sorted(b"%d.%d" % (number, count)
                        for number in range(PUBLISHERS) for count in range(COUNT))

        def is_complete():
            self.take(stays, got[0])
            return sum(map(len, got)) >= len(wanted)

        case.eventually(is_complete, 20)
        self.assertEqual(sorted(sum(got, [])), wanted)
        self.assertGreater(len(got[0]), 0)


if __name__ == "__main__":
    unittest.main()
