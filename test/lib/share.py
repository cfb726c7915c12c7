"""One reader of a share group, byte by byte."""
# SPDX-License-Identifier: Apache-2.0
import struct
import time

from lib import batch
from lib import case
from lib import flex

HEARTBEAT, FETCH, ACKNOWLEDGE = 76, 78, 79
DEADLINE_S = 30 * case.SLOWER


class Member:
    """One reader of a share group, on a connection of its own."""

    def __init__(self, test, group, name, topic_id):
        self.client = flex.Client(test.server.port)
        test.addCleanup(self.client.close)
        self.group, self.name, self.topic_id = group, name, topic_id
        self.epoch = 0

    def heartbeat(self, epoch, topics=None):
        names = None if topics is None else [flex.string(topic) for topic in topics]
        reader = self.client.ask(HEARTBEAT, 1, flex.string(self.group) + flex.string(self.name)
                                 + struct.pack(">i", epoch) + flex.string(None)
                                 + flex.array(names) + flex.TAGS)
        reader.take("i")
        answer = {"code": reader.take("h"), "message": reader.text(), "member": reader.text(),
                  "epoch": reader.take("i"), "interval": reader.take("i"), "assignment": None}
        if reader.take("b") == 1:
            rows = reader.rows(lambda: (reader.uuid(), reader.values(lambda: reader.take("i"))))
            answer["assignment"] = dict(rows)
        return answer

    def _topics(self, partitions, acks):
        items = []
        for index in partitions:
            rows = [struct.pack(">qq", first, last)
                    + flex.array([struct.pack(">b", verb) for verb in verbs]) + flex.TAGS
                    for first, last, *verbs in acks]
            items.append(struct.pack(">i", index) + flex.array(rows) + flex.TAGS)
        return flex.array([self.topic_id.bytes + flex.array(items) + flex.TAGS]
                          if items else [])

    def _next(self, code):
        if code == 0:
            self.epoch += 1

    def fetch(self, acks=(), count=500, wait_ms=0, epoch=None, exact=True, partitions=(0,),
              renew=False, min_bytes=1, split=None):
        body = flex.string(self.group) + flex.string(self.name) + struct.pack(
            ">iiiiiibb", self.epoch if epoch is None else epoch, wait_ms, min_bytes, 1 << 20, count,
            count if split is None else split, int(exact), int(renew))
        body += self._topics(partitions, acks) + flex.array([]) + flex.TAGS
        reader = self.client.ask(FETCH, 2, body)
        throttle_ms = reader.take("i")
        answer = {"code": reader.take("h"), "message": reader.text(), "lock_ms": reader.take("i"),
                  "throttle_ms": throttle_ms, "acquired": [], "records": {}, "ack": {},
                  "error": {}}

        def acquired():
            return reader.take("q"), reader.take("q"), reader.take("h")

        def partition():
            index = reader.take("i")
            answer["error"][index] = reader.take("h")
            reader.text()
            answer["ack"][index] = reader.take("h")
            reader.text()
            reader.tagged(lambda: (reader.take("i"), reader.take("i")))
            size = reader.varint()
            data = reader.bytes_of(size - 1) if size else b""
            answer["acquired"] += reader.rows(acquired) or []
            for one in batch.split(data):
                for record in one.records():
                    answer["records"][record[0]] = record
        reader.rows(lambda: (reader.uuid(), reader.rows(partition)))
        self._next(answer["code"])
        return answer

    def acknowledgement(self, *acks, epoch=None, renew=False):
        """The body of a request, its header's tags before it."""
        return (flex.TAGS + flex.string(self.group) + flex.string(self.name)
                + struct.pack(">ib", self.epoch if epoch is None else epoch, int(renew))
                + self._topics((0,), acks) + flex.TAGS)

    def acknowledge(self, *acks, epoch=None, renew=False):
        body = self.acknowledgement(*acks, epoch=epoch, renew=renew)[len(flex.TAGS):]
        reader = self.client.ask(ACKNOWLEDGE, 2, body)
        reader.take("i")
        answer = {"code": reader.take("h"), "message": reader.text()}
        reader.take("i")
        answer["ack"] = {}

        def partition():
            index = reader.take("i")
            answer["ack"][index] = reader.take("h")
            reader.text()
            reader.tagged(lambda: (reader.take("i"), reader.take("i")))
        reader.rows(lambda: (reader.uuid(), reader.rows(partition)))
        self._next(answer["code"])
        return answer

    def take(self, **options):
        """Fetches until something comes."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            answer = self.fetch(wait_ms=500, **options)
            assert answer["code"] == 0, answer
            if answer["acquired"]:
                return answer["acquired"]
        raise AssertionError("nothing came")
