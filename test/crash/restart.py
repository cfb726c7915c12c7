"""A thousand partitions and a gigabyte, killed: serving again within a second."""
# SPDX-License-Identifier: Apache-2.0
import os
import time
import unittest

import confluent_kafka

from lib import batch
from lib import case
from lib import raw

PARTITIONS = int(os.environ.get("LEAT_RESTART_PARTITIONS", "1000"))
TOTAL_BYTES = int(os.environ.get("LEAT_RESTART_BYTES", str(1 << 30)))
RECORD_BYTES = 1 << 16
LIMIT_S = 1.0 * case.SLOWER
DEADLINE_S = 200


class RestartTest(case.ServerCase):

    memory = "256m"

    def fill(self, topic):
        """Returns how many records each partition got."""
        count = TOTAL_BYTES // RECORD_BYTES // PARTITIONS
        noise = os.urandom(RECORD_BYTES * 2)
        failures = []
        producer = confluent_kafka.Producer({
            **case.connect(self.server.address), "enable.idempotence": True,
            "queue.buffering.max.kbytes": 200000, "linger.ms": 20,
            "message.timeout.ms": DEADLINE_S * 1000})
        for number in range(count):
            for partition in range(PARTITIONS):
                while True:
                    try:
                        producer.produce(
                            topic, noise[number:number + RECORD_BYTES], partition=partition,
                            on_delivery=lambda error, _: error and failures.append(error))
                        break
                    except BufferError:
                        producer.poll(0.1)
            producer.poll(0)
        self.assertEqual(producer.flush(DEADLINE_S), 0)
        self.assertEqual(failures, [])
        return count

    def test_kill_and_serve(self):
        topic = self.make_topic(PARTITIONS)
        began = time.monotonic()
        count = self.fill(topic)
        print(f"\nfilled {count} x {PARTITIONS} records in {time.monotonic() - began:.1f} s",
              flush=True)
        times = []
        for life in range(3):
            self.server.kill()
            began = time.monotonic()
            self.server.start()
            with raw.Client(self.server.port) as client:
                for partition in (0, PARTITIONS // 2, PARTITIONS - 1):
                    self.assertEqual(client.list_offset(topic, partition, raw.LATEST)[2],
                                     count + life)
                    code, _, data = client.fetch(topic, partition, count - 1)
                    self.assertEqual((code, len(data) > RECORD_BYTES), (0, True))
                    one = batch.build([(None, b"next", ())], int(time.time() * 1000))
                    self.assertEqual(client.produce(topic, partition, one)[:2],
                                     (0, count + life))
            times.append(time.monotonic() - began)
            print(f"killed; serving again after {times[-1] * 1e3:.0f} ms "
                  f"({self.server.ready_line})", flush=True)
        self.assertLess(max(times), LIMIT_S)
        with raw.Client(self.server.port) as client:
            for partition in range(PARTITIONS):
                self.assertGreaterEqual(client.list_offset(topic, partition, raw.LATEST)[2], count)


if __name__ == "__main__":
    unittest.main()
