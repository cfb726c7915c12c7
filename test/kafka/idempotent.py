"""Idempotent producers through cut connections and killed servers: each record once, in order."""
# SPDX-License-Identifier: Apache-2.0
import random
import threading
import unittest

import confluent_kafka

from lib import batch
from lib import case
from lib import cutter

DEADLINE_S = 90 * case.SLOWER
PARTITIONS = 3
TOTAL_MIN = 3000
UNDER_WAY_MAX = 3000


class IdempotentCase(case.ServerCase):
    """What both kinds of trouble share."""

    def produce(self, port, topic, disturb):
        """Sends numbers while disturb() runs beside it; returns how many each partition got."""
        errors = []
        producer = confluent_kafka.Producer({
            **case.connect(f"127.0.0.1:{port}"), "enable.idempotence": True,
            "linger.ms": 1, "retry.backoff.ms": 10, "batch.num.messages": 50,
            "message.timeout.ms": int(DEADLINE_S * 1000),
            "socket.timeout.ms": 5000 * case.SLOWER,
            "error_cb": lambda error: error.fatal() and errors.append(error)})

        def delivered(error, _):
            if error:
                errors.append(error)

        beside = threading.Thread(target=disturb, daemon=True)
        beside.start()
        total = 0
        while total < TOTAL_MIN or (beside.is_alive() and not errors):
            for partition in range(PARTITIONS):
                producer.produce(topic, b"%d" % total, partition=partition, on_delivery=delivered)
            total += 1
            producer.poll(0 if total % 20 else 0.01)
            while len(producer) > UNDER_WAY_MAX and not errors:
                producer.poll(0.05)
        left = producer.flush(DEADLINE_S)
        beside.join(DEADLINE_S)
        self.assertEqual((left, errors), (0, []))
        return total

    def assert_each_once(self, topic, total):
        client = self.raw()
        for partition in range(PARTITIONS):
            got = []
            offset = 0
            while len(got) < total:
                code, high, data = client.fetch(topic, partition, offset)
                self.assertEqual(code, 0)
                found = [each for one in batch.split(data) for each in one.records()]
                if offset >= high:
                    break
                got += [int(value) for _, _, value, _ in found]
                offset = found[-1][0] + 1
            self.assertEqual(got, list(range(total)))
            self.assertEqual(client.list_offset(topic, partition, case.raw.LATEST)[2], total)


class KilledServersTest(IdempotentCase):

    def test_undisturbed(self):
        topic = self.make_topic(PARTITIONS)
        total = self.produce(self.server.port, topic, lambda: None)
        self.assert_each_once(topic, total)

    def test_killed_servers(self):
        topic = self.make_topic(PARTITIONS)
        dice = random.Random(2)
        pause = threading.Event()
        kills = []

        def disturb():
            for _ in range(8):
                pause.wait(dice.uniform(0.05, 0.4))
                self.server.restart(kill=True)
                kills.append(True)

        total = self.produce(self.server.port, topic, disturb)
        self.assertEqual(len(kills), 8)
        self.assert_each_once(topic, total)


class LostAcknowledgementsTest(IdempotentCase):
    """Clients reach the server through a proxy, which is the address that it tells them."""

    proxy = None

    @classmethod
    def setUpClass(cls):
        cls.proxy = cutter.Cutter()
        cls.addClassCleanup(cls.proxy.close)
        cls.config = ("kafka {\n  advertised.listeners: "
                      f"\"PLAINTEXT://127.0.0.1:{cls.proxy.port}\"\n}}\n")
        super().setUpClass()
        cls.proxy.target_port = cls.server.port

    def test_lost_acknowledgements(self):
        topic = self.make_topic(PARTITIONS)
        dice = random.Random(1)

        pause = threading.Event()

        def disturb():
            for _ in range(30):
                pause.wait(dice.uniform(0.02, 0.15))
                self.proxy.swallow_answers()
                pause.wait(dice.uniform(0, 0.05))
                self.proxy.cut()

        total = self.produce(self.proxy.port, topic, disturb)
        self.assertGreater(self.proxy.cuts, 10)
        self.assert_each_once(topic, total)


if __name__ == "__main__":
    unittest.main()
