"""Groups of one to twenty members that join, leave and are killed while records come in."""
# SPDX-License-Identifier: Apache-2.0
import os
import random
import signal
import subprocess
import sys
import threading
import unittest

import confluent_kafka

from lib import case

PARTITIONS = 8
RECORDS = 8000 // case.SLOWER
MEMBERS_MAX = max(4, 20 // case.SLOWER)
CHANGES = max(8, 26 // case.SLOWER)
DEADLINE_S = 60 * case.SLOWER
SESSION_MS = 1500 * case.SLOWER
SETTINGS = (f"kafka {{\n  group.initial.rebalance.delay.ms: 100\n"
            f"  group.min.session.timeout.ms: {SESSION_MS}\n}}\n")


def member(address, group, topic, strategy):
    """The program of one member: prints the numbers it gets, each before it commits them."""
    consumer = confluent_kafka.Consumer({
        **case.connect(address), "group.id": group, "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": 200, "partition.assignment.strategy": strategy})
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    consumer.subscribe([topic])
    while not ended.is_set():
        messages = [one for one in consumer.consume(100, 0.1) if not one.error()]
        if not messages:
            continue
        os.write(1, b"".join(b"%b\n" % one.value() for one in messages))
        try:
            consumer.commit(asynchronous=False)
        except confluent_kafka.KafkaException:
            pass  # a rebalance came between: somebody else gets them again
    consumer.close()


class Process:
    """A member as a process, so that it can be killed; and the numbers it has got."""

    def __init__(self, *arguments):
        self.seen = set()
        # librdkafka 2.0's sticky assignor may abort when it leaves: one more that crashed
        self.process = subprocess.Popen([sys.executable, __file__, "member", *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.seen.add(int(line))

    def end(self, number):
        self.process.send_signal(number)

    def wait(self):
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


class LoadTest(case.ServerCase):

    config = SETTINGS

    def produce(self, topic, ended):
        """Numbers, each to the partition it says, until all are acknowledged."""
        producer = confluent_kafka.Producer({
            **case.connect(self.server.address), "enable.idempotence": True, "linger.ms": 5})
        for number in range(RECORDS):
            producer.produce(topic, b"%d" % number, partition=number % PARTITIONS)
            if number % 100 == 99:
                producer.poll(0)
                ended.wait(0.02)
        producer.flush(DEADLINE_S)

    def watch_commits(self, group, topic, ended, faults):
        """What is committed never goes back."""
        consumer = confluent_kafka.Consumer({
            **case.connect(self.server.address), "group.id": group})
        wanted = [confluent_kafka.TopicPartition(topic, p) for p in range(PARTITIONS)]
        before = [-1] * PARTITIONS
        while True:
            was_last = ended.is_set()
            now = [max(part.offset, -1) for part in consumer.committed(wanted, DEADLINE_S)]
            faults += [f"partition {p}: {b} and then {n}"
                       for p, (b, n) in enumerate(zip(before, now)) if n < b]
            before = now
            if was_last:
                break
            ended.wait(0.05)
        consumer.close()

    def shaken(self, strategy):
        group, topic = self.topic_name("group"), self.make_topic(PARTITIONS)
        ended, faults, chance = threading.Event(), [], random.Random(7)
        producer = threading.Thread(target=self.produce, args=(topic, ended))
        watcher = threading.Thread(target=self.watch_commits, args=(group, topic, ended, faults))
        arguments = (self.server.address, group, topic, strategy)
        members, gone = [Process(*arguments)], []
        producer.start()
        watcher.start()
        try:
            for _ in range(CHANGES):
                if len(members) < 2 or (len(members) < MEMBERS_MAX and chance.random() < 0.75):
                    members.append(Process(*arguments))
                else:
                    one = members.pop(chance.randrange(len(members)))
                    one.end(chance.choice((signal.SIGKILL, signal.SIGTERM)))
                    gone.append(one)
                ended.wait(chance.random() * 0.3)
            producer.join()

            def missing():
                seen = set().union(*(one.seen for one in (*members, *gone)))
                return set(range(RECORDS)) - seen

            self.assertTrue(case.eventually(lambda: not missing(), DEADLINE_S),
                            f"{len(missing())} of {RECORDS} records were given to nobody")
        finally:
            ended.set()
            for one in members:
                one.end(signal.SIGTERM)
            for one in (*members, *gone):
                one.wait()
            watcher.join()
        self.assertEqual(faults, [])
        print(f"\n{strategy}: {len(members) + len(gone)} members, {len(gone)} of them gone, at "
              f"most {MEMBERS_MAX} at once", flush=True)

    def test_every_record_is_given_to_somebody(self):
        self.shaken("range")

    def test_cooperatively_too(self):
        self.shaken("cooperative-sticky")


if __name__ == "__main__":
    if sys.argv[1:2] == ["member"]:
        member(*sys.argv[2:])
    else:
        unittest.main()
