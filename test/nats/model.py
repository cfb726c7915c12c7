#!/usr/bin/env python3
"""Subscriptions that come and go, on several cores, against a naive matcher: who gets what."""
# SPDX-License-Identifier: Apache-2.0
import collections
import os
import random
import threading
import unittest

import cores
from lib import case

SLOWER = case.SLOWER
WORKERS = 4
ROUNDS = 240 // SLOWER
TOKENS = ("a", "b", "cc")
# A failing seed is printed; LEAT_SEED=<n> runs it again.
SEED = int(os.environ.get("LEAT_SEED", "0")) or random.randrange(1, 1 << 32)


def matches(filter_, subject):
    wanted, tokens = filter_.split("."), subject.split(".")
    for i, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > i
        if i >= len(tokens) or token not in ("*", tokens[i]):
            return False
    return len(wanted) == len(tokens)


class Worker:
    """A taker of messages and a publisher; what they do concerns subjects of their own."""

    def __init__(self, test, number):
        self.random = random.Random(SEED + number)
        self.number, self.prefix = number, f"w{number}"
        self.taker, self.publisher = test.client(), test.client()
        self.subscriptions = {}  # sid: (filter, queue or "")
        self.sid = 0
        self.fault = None

    def subject(self, wild):
        tokens = [self.random.choice(TOKENS) for _ in range(self.random.randint(1, 4))]
        for i in range(len(tokens) if wild else 0):
            tokens[i] = "*" if self.random.random() < 0.25 else tokens[i]
        if wild and self.random.random() < 0.2:
            tokens[-1] = ">"
        return ".".join([self.prefix, *tokens])

    def change(self):
        words = []
        for _ in range(self.random.randint(0, 30)):
            if self.subscriptions and self.random.random() < 0.45:
                sid = self.random.choice(list(self.subscriptions))
                del self.subscriptions[sid]
                words.append(f"UNSUB {sid}\r\n")
                continue
            self.sid += 1
            found = self.subject(True), self.random.choice(("", "", "", "q1", "q2"))
            self.subscriptions[self.sid] = found
            words.append(f"SUB {' '.join(filter(None, found))} {self.sid}\r\n")
        self.taker.send("".join(words).encode())
        self.taker.flush()

    def publish(self):
        """Returns what came for it, as {(subject, sid): count}."""
        subjects = [self.subject(False) for _ in range(self.random.randint(1, 12))]
        end = f"{self.prefix}.end.{self.random.random()}.of.it".replace("0.", "")
        self.taker.send(f"SUB {end} 0\r\n".encode())
        self.taker.flush()
        sender = self.random.choice((self.taker, self.publisher))
        sender.send("".join(f"PUB {subject} 0\r\n\r\n"
                            for subject in [*subjects, end]).encode())
        got = collections.Counter()
        while True:
            line, _ = self.taker.message()
            _, subject, sid, _ = line.decode().split()
            if subject == end and sid == "0":
                break
            if subject != end:
                got[subject, int(sid)] += 1
        self.taker.send(b"UNSUB 0\r\n")
        return subjects, got

    def check(self, subjects, got):
        """One for each that is alone, one for each name of a queue group, whatever its filters."""
        wanted, groups, found = (collections.Counter() for _ in range(3))
        for subject in subjects:
            hit = {sid: queue for sid, (filter_, queue) in self.subscriptions.items()
                   if matches(filter_, subject)}
            wanted.update((subject, sid) for sid, queue in hit.items() if not queue)
            groups.update((subject, queue) for queue in set(hit.values()) if queue)
        for (subject, sid), count in (got - wanted).items():
            found[subject, self.subscriptions[sid][1]] += count
        if wanted - got or found != groups:
            self.fault = (f"seed {SEED} worker {self.number}: not delivered {wanted - got}, "
                          f"to groups {found} instead of {groups}")

    def noise(self, ready):
        """Until some connections have gone to the other core."""
        while not ready.is_set():
            self.publisher.send(cores.NOISE)
            self.publisher.flush()

    def run(self, ready):
        self.noise(ready)
        for _ in range(ROUNDS):
            self.change()
            self.check(*self.publish())
            if self.fault:
                return


class Model(cores.Cores):
    test_publishers_move = None

    def test_all_get_what_they_want(self):
        ready, before = threading.Event(), self.moved()
        workers = [Worker(self, number) for number in range(WORKERS)]
        threads = [threading.Thread(target=worker.run, args=(ready,)) for worker in workers]
        for thread in threads:
            thread.start()
        moved = case.eventually(lambda: self.moved() > before, 60)
        ready.set()
        for thread in threads:
            thread.join()
        self.assertTrue(moved, "no connection went to the other core")
        self.assertEqual([worker.fault for worker in workers], [None] * WORKERS)


if __name__ == "__main__":
    unittest.main()
