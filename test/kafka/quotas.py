"""Quotas of clients: set, described, kept over a restart, and felt by those who exceed them."""
# SPDX-License-Identifier: Apache-2.0
import struct
import time
import unittest

from lib import batch
from lib import case
from lib import raw

DESCRIBE, ALTER = 48, 49
NONE, UNSUPPORTED_VERSION, INVALID_REQUEST, THROTTLED = 0, 35, 42, 89
EXACT, DEFAULT, ANY = 0, 1, 2
PRODUCE, FETCH = "producer_byte_rate", "consumer_byte_rate"


def entity(parts):
    return raw.array([raw.string(kind) + raw.string(name) for kind, name in parts.items()])


def alter(client, parts, limits, validate_only=False):
    """(error code, words); a limit of None removes."""
    ops = [raw.string(key) + struct.pack(">db", value or 0, value is None)
           for key, value in limits.items()]
    body = raw.array([entity(parts) + raw.array(ops)]) + struct.pack(">b", validate_only)
    reader = client.call(ALTER, 0, body)
    reader.take("i")
    reader.take("i")
    return reader.take("h"), reader.string()


def describe(client, components=(), strict=False):
    """{entity as sorted pairs: {key: limit}}, or the error code."""
    asked = [raw.string(kind) + struct.pack(">b", match) + raw.string(name)
             for kind, match, name in components]
    reader = client.call(DESCRIBE, 0, raw.array(asked) + struct.pack(">b", strict))
    reader.take("i")
    code, _ = reader.take("h"), reader.string()
    if code:
        return code

    def entry():
        parts = reader.array(lambda: (reader.string(), reader.string()))
        return (tuple(sorted(parts, key=str)),
                dict(reader.array(lambda: (reader.string(), reader.take("d")))))

    return dict(reader.array(entry))


def value(size):
    return batch.build([(None, b"x" * size, ())], int(time.time() * 1000))


class RulesTest(case.ServerCase):
    cores = 2

    def clear(self, client):
        for parts, limits in describe(client).items():
            self.assertEqual(alter(client, dict(parts), dict.fromkeys(limits))[0], NONE)

    def setUp(self):
        super().setUp()
        self.client = self.raw()
        self.clear(self.client)

    def test_set_describe_remove(self):
        parts = {"user": "u", "client-id": None}
        self.assertEqual(alter(self.client, parts, {PRODUCE: 1000, "request_percentage": 12.5}),
                         (NONE, None))
        key = (("client-id", None), ("user", "u"))
        self.assertEqual(describe(self.client),
                         {key: {PRODUCE: 1000.0, "request_percentage": 12.5}})
        for kill in (False, True):
            self.server.restart(kill=kill)
            self.client = self.raw()
            self.assertEqual(describe(self.client),
                             {key: {PRODUCE: 1000.0, "request_percentage": 12.5}})
        self.assertEqual(alter(self.client, parts, {PRODUCE: None})[0], NONE)
        self.assertEqual(describe(self.client), {key: {"request_percentage": 12.5}})
        self.assertEqual(alter(self.client, parts, {"request_percentage": None})[0], NONE)
        self.assertEqual(describe(self.client), {})

    def test_filters(self):
        rules = [{"user": "u"}, {"user": None}, {"user": "u", "client-id": "c"}, {"client-id": "c"}]
        for number, parts in enumerate(rules, 1):
            self.assertEqual(alter(self.client, parts, {FETCH: number})[0], NONE)
        self.assertEqual(alter(self.client, {"ip": "10.0.0.1"},
                               {"connection_creation_rate": 5})[0], NONE)

        def found(*components, strict=False):
            return sorted(limits.get(FETCH, 0)
                          for limits in describe(self.client, components, strict).values())

        self.assertEqual(found(), [0, 1, 2, 3, 4])
        self.assertEqual(found(("user", EXACT, "u")), [1, 3])
        self.assertEqual(found(("user", EXACT, "u"), strict=True), [1])
        self.assertEqual(found(("user", DEFAULT, None)), [2])
        self.assertEqual(found(("user", ANY, None)), [1, 2, 3])
        self.assertEqual(found(("user", ANY, None), ("client-id", EXACT, "c")), [3])
        self.assertEqual(found(("ip", ANY, None)), [0])
        for wrong in [(("user", EXACT, None),), (("user", DEFAULT, "u"),), (("user", 7, None),),
                      (("", ANY, None),), (("user", ANY, None), ("user", ANY, None)),
                      (("user", ANY, None), ("ip", ANY, None))]:
            with self.subTest(wrong=wrong):
                self.assertEqual(describe(self.client, wrong), INVALID_REQUEST)
        self.assertEqual(describe(self.client, [("group", ANY, None)]), UNSUPPORTED_VERSION)

    def test_what_is_refused(self):
        for parts, limits in [({}, {PRODUCE: 1}), ({"user": ""}, {PRODUCE: 1}),
                              ({"user": "u", "ip": "10.0.0.1"}, {PRODUCE: 1}),
                              ({"host": "u"}, {PRODUCE: 1}), ({"ip": "10.0.0.1"}, {PRODUCE: 1}),
                              ({"ip": "nowhere.example"}, {"connection_creation_rate": 1}),
                              ({"user": "u"}, {"connection_creation_rate": 1}),
                              ({"user": "u"}, {"leader_byte_rate": 1}),
                              ({"user": "u"}, {PRODUCE: 0}), ({"user": "u"}, {PRODUCE: -1}),
                              ({"user": "u"}, {PRODUCE: 1.5}),
                              ({"user": "u"}, {PRODUCE: float("nan")})]:
            with self.subTest(parts=parts, limits=limits):
                code, words = alter(self.client, parts, limits)
                self.assertEqual(code, INVALID_REQUEST)
                self.assertTrue(words)
        self.assertEqual(alter(self.client, {"user": "u"}, {PRODUCE: 1}, True), (NONE, None))
        self.assertEqual(describe(self.client), {})


class LimitsTest(case.ServerCase):
    cores = 2

    def setUp(self):
        super().setUp()
        self.boss = self.raw(client_id="boss")
        self.topic = self.make_topic()
        self.id = self.topic_name("client")

    def limit(self, **limits):
        self.assertEqual(alter(self.boss, {"client-id": self.id}, limits), (NONE, None))

    def produce(self, client, size, acks=-1):
        """Milliseconds to wait."""
        body = client.produce_body(self.topic, 0, value(size), acks)
        reader = client.call(raw.PRODUCE, 7, body)
        self.assertEqual(client.produce_answer(reader)[0], NONE)
        return reader.take("i")

    def assert_muted(self, client, told_ms, since):
        """The next answer comes when the time is over, and not before."""
        self.assertEqual(client.api_versions()[0], NONE)
        self.assertGreaterEqual((time.monotonic() - since) * 1000, told_ms * 0.95)

    def test_a_producer_is_told_to_wait_and_not_read_meanwhile(self):
        client, other = self.raw(client_id=self.id), self.raw(client_id="other")
        self.assertEqual(self.produce(client, 30000), 0)
        self.limit(producer_byte_rate=2000)
        told_ms = self.produce(client, 22700)  # ten to eleven seconds have 20,000 to 22,000 bytes
        since = time.monotonic()
        self.assertGreater(told_ms, 300)
        self.assertLess(told_ms, 3000)
        self.assertEqual(self.produce(other, 30000), 0)  # served while the first one waits
        self.assert_muted(client, told_ms, since)

    def test_all_connections_of_a_client_count(self):
        self.limit(producer_byte_rate=1000)
        clients = [self.raw(client_id=self.id) for _ in range(4)]
        told_ms = [self.produce(client, 4000) for client in clients]
        self.assertEqual(told_ms[:2], [0, 0])
        self.assertGreater(told_ms[3], 1000)

    def test_without_an_answer_there_is_still_a_wait(self):
        client = self.raw(client_id=self.id)
        self.limit(producer_byte_rate=2000)
        since = time.monotonic()
        client.send(raw.PRODUCE, 7, client.produce_body(self.topic, 0, value(22700), 0))
        self.assert_muted(client, 300, since)

    def test_a_consumer_gets_nothing_until_it_may(self):
        producer, client = self.raw(), self.raw(client_id=self.id)
        for _ in range(10):
            self.produce(producer, 3000)
        self.limit(consumer_byte_rate=1000)

        def fetch(offset, size=50 << 20):
            reader = client.call(raw.FETCH, 4, client.fetch_body(self.topic, 0, offset, size=size))
            told_ms = struct.unpack_from(">i", reader.data, 4)[0]
            topics = struct.unpack_from(">i", reader.data, 8)[0]
            return told_ms, topics, client.fetch_answer(reader)[2] if topics else b""

        told_ms, topics, data = fetch(0)
        self.assertEqual((told_ms, topics), (0, 1))
        self.assertTrue(3000 <= len(data) <= 10000)  # no more than fits the windows
        told_ms, topics, _ = fetch(3, 4000)
        since = time.monotonic()
        self.assertEqual(topics, 0)
        self.assertGreater(told_ms, 100)
        self.assertEqual(alter(self.boss, {"client-id": self.id}, {FETCH: None})[0], NONE)
        self.assert_muted(client, told_ms, since)
        self.assertEqual(len(fetch(3)[2]) > 20000, True)

    def test_time_spent_on_requests(self):
        client = self.raw(client_id=self.id)
        self.limit(request_percentage=0.0001)
        told_ms = 0
        for _ in range(50):
            reader = client.call(raw.METADATA, 4, struct.pack(">i", -1) + b"\0")
            told_ms = reader.take("i")
            if told_ms:
                break
        self.assertGreater(told_ms, 0)
        self.assertLessEqual(told_ms, 1000)

    def test_changes_of_topics(self):
        client = self.raw(client_id=self.id)
        self.limit(controller_mutation_rate=1)
        names = [self.topic_name() for _ in range(3)]
        self.assertEqual(client.create_topic(names[0], 10)[0], NONE)
        since = time.monotonic()
        one = raw.string(names[1]) + struct.pack(">ih", 5, 1) + raw.array([]) + raw.array([])
        reader = client.call(raw.CREATE_TOPICS, 2, raw.array([one]) + struct.pack(">ib", 30000, 0))
        told_ms = reader.take("i")
        self.assertEqual(reader.array(lambda: (reader.string(), reader.take("h")))[0][1], NONE)
        self.assertGreater(told_ms, 1000)  # an old client only waits
        stranger = self.raw(client_id=self.id)
        name = names[1].encode()
        body = bytes([2, len(name) + 1]) + name + struct.pack(">ib", 30000, 0)
        reader = stranger.call_compact(raw.DELETE_TOPICS, 5, body)
        if time.monotonic() - since < told_ms / 1000:
            self.assertGreater(reader.take("i"), 0)
            reader.take("b")
            size = reader.take("b") - 1
            self.assertEqual(reader.bytes_of(size), name)
            self.assertEqual(reader.take("h"), THROTTLED)
            self.assertIn(names[1], self.boss.metadata([names[1]]))
        self.assertEqual(alter(self.boss, {"client-id": self.id},
                               {"controller_mutation_rate": None})[0], NONE)


class LongWaitTest(case.ServerCase):
    config = "kafka { connections.max.idle.ms: 1000 }\n"

    def test_nobody_waits_for_longer_than_a_silent_connection_stays(self):
        topic = self.make_topic()
        self.assertEqual(alter(self.raw(), {"client-id": "slow"}, {PRODUCE: 1})[0], NONE)
        client = self.raw(client_id="slow")
        reader = client.call(raw.PRODUCE, 7, client.produce_body(topic, 0, value(10000)))
        self.assertEqual(client.produce_answer(reader)[0], NONE)
        self.assertGreater(reader.take("i"), 1000000)
        with self.assertRaises(raw.Closed):
            client.api_versions()


class AddressTest(case.ServerCase):

    def test_connections_of_an_address(self):
        boss = self.raw()
        self.assertEqual(alter(boss, {"ip": None}, {"connection_creation_rate": 2})[0], NONE)
        served = 0
        crowd = [self.raw() for _ in range(40)]
        for client in crowd:
            try:
                served += client.api_versions()[0] == NONE
            except raw.Closed:
                pass
        self.assertGreater(served, 5)
        self.assertLess(served, 40)
        self.assertEqual(alter(boss, {"ip": None}, {"connection_creation_rate": None})[0], NONE)
        self.assertEqual(self.raw().api_versions()[0], NONE)


if __name__ == "__main__":
    unittest.main()
