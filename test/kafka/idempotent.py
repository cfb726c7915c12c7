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


class IdempotentCase(case.ServerCase):
    """What both kinds of trouble share."""

    def produce(self, port, topic, total, disturb):
        """Sends total numbers a partition while disturb(wait) runs beside it."""
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

        ended = threading.Event()
        beside = threading.Thread(target=disturb, args=(ended,), daemon=True)
        beside.start()
        for i in range(total):
            for partition in range(PARTITIONS):
                producer.produce(topic, b"%d" % i, partition=partition, on_delivery=delivered)
            producer.poll(0 if i % 20 else 0.01)
        left = producer.flush(DEADLINE_S)
        ended.set()
        beside.join(DEADLINE_S)
        self.assertEqual((left, errors), (0, []))

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
        self.produce(self.server.port, topic, 3000, lambda ended: None)
        self.assert_each_once(topic, 3000)

    def test_killed_servers(self):
        topic = self.make_topic(PARTITIONS)
        dice = random.Random(2)
        kills = []

        def disturb(ended):
            while not ended.wait(dice.uniform(0.05, 0.4)) and len(kills) < 8:
                self.server.restart(kill=True)
                kills.append(True)

        self.produce(self.server.port, topic, 20000, disturb)
        self.assertGreater(len(kills), 2)
        self.assert_each_once(topic, 20000)


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

        def disturb(ended):
            while not ended.wait(dice.uniform(0.02, 0.15)):
                self.proxy.swallow_answers()
                ended.wait(dice.uniform(0, 0.05))
                self.proxy.cut()

        self.produce(self.proxy.port, topic, 20000, disturb)
        self.assertGreater(self.proxy.cuts, 10)
        self.assert_each_once(topic, 20000)


if __name__ == "__main__":
    unittest.main()
