"""Metrics that clients push: subscriptions, what each client is asked for, what /metrics shows."""
# SPDX-License-Identifier: Apache-2.0
import gzip
import http.client
import re
import struct
import unittest
import zlib

from lib import case
from lib import leatd
from lib import raw

GET, PUSH, LIST = 71, 72, 74
NONE, UNSUPPORTED_VERSION, INVALID_CONFIG, INVALID_REQUEST = 0, 35, 40, 42
BAD_CODEC, INVALID_RECORD, TOO_SOON, UNKNOWN_SUBSCRIPTION, TOO_LARGE = 76, 87, 89, 117, 118
METRICS = 16
NO_ID = bytes(16)
GZIP = 1


def field(number, data):
    return raw.varint(number << 3 | 2) + raw.varint(len(data)) + data


def gauge(name, value, labels):
    attributes = b"".join(field(7, field(1, key.encode()) + field(2, field(1, text.encode())))
                          for key, text in labels.items())
    point = b"\x21" + struct.pack("<d", value) + attributes
    return field(2, field(1, name.encode()) + field(5, field(1, point)))


def message(*metrics):
    return field(1, field(2, b"".join(metrics)))


class TelemetryTest(case.ServerCase):
    cores = 2

    @classmethod
    def setUpClass(cls):
        cls.http_port = leatd.free_port()
        cls.config = (f"http: 127.0.0.1:{cls.http_port}\n"
                      "kafka { telemetry.max.bytes: 100000 }\n")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.client = self.raw(client_id='app "1"')
        for name in self.listed(METRICS):
            for key in ("interval.ms", "metrics", "match"):
                self.assertEqual(self.set(name, key, None, op=1), NONE)
        self.assertEqual(self.listed(METRICS), [])

    def set(self, name, key, value, op=0):
        return self.client.alter_setting(METRICS, name, key, value, op)[0]

    def listed(self, *kinds):
        body = raw.compact_array([struct.pack(">b", kind) for kind in kinds]) + b"\0"
        reader = self.client.call_compact(LIST, 1, body)
        reader.take("i")
        code = reader.take("h")

        def resource():
            name, _, _ = reader.compact(), reader.take("b"), reader.take("b")
            return name

        return code or reader.compact_array(resource)

    def get(self, identity=NO_ID):
        """(instance, subscription, interval, metrics)."""
        reader = self.client.call_compact(GET, 0, identity + b"\0")
        self.assertEqual(reader.take("ih"), (0, NONE))
        instance, subscription = reader.bytes_of(16), reader.take("i")
        self.assertEqual(reader.compact_array(lambda: reader.take("b")), [4, 3, 1, 2])
        interval_ms, size_max, _ = reader.take("iib")
        self.assertEqual(size_max, 100000)
        return instance, subscription, interval_ms, reader.compact_array(reader.compact)

    def push(self, instance, subscription, data, codec=0, end=False):
        reader = self.client.call_compact(PUSH, 0, instance + struct.pack(
            ">ibb", subscription, end, codec) + raw.compact(data) + b"\0")
        reader.take("i")
        return reader.take("h")

    def page(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        self.addCleanup(connection.close)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    def test_subscriptions_have_settings(self):
        name = "sub"
        defaults = {"interval.ms": "300000", "metrics": "", "match": ""}
        self.assertEqual(self.client.describe_settings(METRICS, name), defaults)
        self.assertEqual(self.set(name, "interval.ms", "1000"), NONE)
        self.assertEqual(self.set(name, "metrics", "a.,b."), NONE)
        self.assertEqual(self.set(name, "metrics", "c.,a.", op=2), NONE)
        self.assertEqual(self.set(name, "metrics", "b.", op=3), NONE)
        self.assertEqual(self.set(name, "match", "client_id=app.*"), NONE)
        expected = {"interval.ms": "1000", "metrics": "a.,c.", "match": "client_id=app.*"}
        for kill in (False, True):
            self.assertEqual(self.client.describe_settings(METRICS, name), expected)
            self.assertEqual(self.listed(METRICS), [name])
            self.server.restart(kill=kill)
            self.client = self.raw()
        for key, value, code in [
                ("interval.ms", "99", INVALID_REQUEST), ("interval.ms", "3600001", INVALID_REQUEST),
                ("interval.ms", "x", INVALID_CONFIG), ("match", "who=x", INVALID_CONFIG),
                ("match", "client_id=(a)", INVALID_CONFIG), ("push", "1", INVALID_REQUEST),
                ("match", "client_id=[a", INVALID_CONFIG)]:
            with self.subTest(key=key, value=value):
                self.assertEqual(self.set(name, key, value), code)
        self.assertEqual(self.client.describe_settings(METRICS, name), expected)
        self.assertEqual(self.client.describe_settings(METRICS, ""), INVALID_REQUEST)

    def test_the_requests_are_told_of_where_there_is_a_subscription(self):
        self.assertFalse({GET, PUSH} & set(self.client.api_versions()[1]))
        self.assertEqual(self.set("s", "metrics", "*"), NONE)
        self.assertLessEqual({GET, PUSH}, set(self.client.api_versions()[1]))

    def test_resources(self):
        topic = self.make_topic()
        self.assertEqual(self.set("s", "metrics", "*"), NONE)
        self.assertIn(topic, self.listed(2))
        self.assertEqual(self.listed(4), ["1"])
        self.assertEqual(self.listed(8, 16), ["1", "s"])
        self.assertLessEqual({topic, "1", "s"}, set(self.listed()))
        self.assertEqual(self.listed(99), UNSUPPORTED_VERSION)
        reader = self.client.call_compact(LIST, 0, b"\0")
        self.assertEqual(reader.take("ih"), (0, NONE))
        self.assertEqual(reader.compact_array(
            lambda: (reader.compact(), reader.take("b"))[0]), ["s"])

    def test_clients_are_asked_for_what_fits_them(self):
        instance, first, interval_ms, metrics = self.get()
        self.assertNotEqual(instance, NO_ID)
        self.assertEqual((interval_ms, metrics), (300000, []))
        self.assertEqual(self.set("mine", "metrics", "a.,b."), NONE)
        self.assertEqual(self.set("mine", "interval.ms", "5000"), NONE)
        self.assertEqual(self.set("mine", "match", "client_id=ap+[^x].*|no,"
                                  "client_source_address=127\\.0\\.0\\.1"), NONE)
        self.assertEqual(self.set("other", "metrics", "z."), NONE)
        self.assertEqual(self.set("other", "match", "client_id=app"), NONE)
        again, second, interval_ms, metrics = self.get(instance)
        self.assertEqual((again, interval_ms, metrics), (instance, 5000, ["a.", "b."]))
        self.assertNotEqual(first, second)
        self.assertEqual(self.get(instance)[1], second)

    def test_pushes_are_shown(self):
        self.assertEqual(self.set("all", "metrics", "*"), NONE)
        instance, subscription, _, metrics = self.get()
        self.assertEqual(metrics, ["*"])
        data = message(gauge("org.x.rate", 1.5, {"node-id": 'a\\"b\n'}), gauge("org.y", 3, {}))
        self.assertEqual(self.push(instance, subscription, gzip.compress(data), GZIP), NONE)
        page = self.page()
        self.assertIn('leat_client_org_x_rate{client_id="app \\"1\\""', page)
        self.assertIn(',_node_id="a\\\\\\"b\\n"} 1.5\n', page)
        self.assertIn("leat_client_org_y{", page)
        self.assertEqual(self.push(instance, subscription, data), TOO_SOON)
        data = message(gauge("org.last", 7, {}))
        self.assertEqual(self.push(instance, subscription, data, end=True), NONE)
        self.assertEqual(self.push(instance, subscription, data, end=True), INVALID_REQUEST)
        page = self.page()
        self.assertIn("leat_client_org_last{", page)
        self.assertNotIn("leat_client_org_y{", page)

    def test_no_push_makes_the_page_unreadable(self):
        """Each label once, none of those that begin with two '_', and no control characters."""
        self.set("all", "interval.ms", "100")
        self.set("all", "metrics", "*")
        instance, subscription = self.get()[:2]
        labels = {"a.b": "1", "a_b": "2", "_name__": "up", "__name__": "x", "c": "x\0y\r\x7f\tz"}
        self.assertEqual(self.push(instance, subscription, message(gauge("p", 1, labels))), NONE)
        line = next(line for line in self.page().split("\n") if "leat_client_p{" in line)
        self.assertTrue(line.isprintable(), line)
        names = re.findall(r'[{,]([^=]*)="', line)
        self.assertEqual(names, ["client_id", "client_instance_id", "_a_b", "_name__", "_c"])

    def test_what_is_refused(self):
        instance, subscription, _, _ = self.get()
        good = message(gauge("m", 1, {}))
        for expected, call in [
                (INVALID_REQUEST, (NO_ID, subscription, good)),
                (UNKNOWN_SUBSCRIPTION, (instance, subscription + 1, good)),
                (BAD_CODEC, (instance, subscription, good, 9)),
                (INVALID_RECORD, (instance, subscription, good, GZIP)),
                (INVALID_RECORD, (instance, subscription, good[:-1])),
                (INVALID_RECORD, (instance, subscription, zlib.compress(good), GZIP)),
                (TOO_LARGE, (instance, subscription, b"\0" * 100001)),
                (TOO_LARGE, (instance, subscription, gzip.compress(bytes(10 << 20)), GZIP)),
                (TOO_LARGE, (instance, subscription, message(
                    *(gauge(f"metric.{n}", n, {"label": "x" * 40}) for n in range(600)))))]:
            with self.subTest(expected=expected):
                self.assertEqual(self.push(*call), expected)
        self.assertEqual(self.push(instance, subscription, b""), NONE)

    def test_many_clients_are_bounded(self):
        self.assertEqual(self.set("all", "metrics", "*"), NONE)
        data = message(gauge("crowd", 1, {}))
        for _ in range(300):
            instance, subscription, _, _ = self.get()
            self.assertEqual(self.push(instance, subscription, data), NONE)
        self.assertEqual(self.page().count("leat_client_crowd{"), 256)


if __name__ == "__main__":
    unittest.main()
