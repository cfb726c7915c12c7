#!/usr/bin/env python3
"""The monitoring pages while clients are there."""
# SPDX-License-Identifier: Apache-2.0
import http.client
import json
import re
import unittest

from lib import case
from lib import leatd
from lib import nats


class Monitor(case.ServerCase):
    nats = True
    cores = 2

    @classmethod
    def setUpClass(cls):
        cls.http_port = leatd.free_port()
        cls.config = f"http: 127.0.0.1:{cls.http_port}\nserver_name: unit\n"
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.http = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        self.addCleanup(self.http.close)

    def get(self, path, status=200):
        self.http.request("GET", path)
        answer = self.http.getresponse()
        body = answer.read()
        self.assertEqual(answer.status, status, body)
        return body

    def client(self, **fields):
        client = nats.Client(self.server.nats_port, **fields)
        self.addCleanup(client.close)
        client.flush()
        return client

    def test_varz_counts(self):
        before = json.loads(self.get("/varz"))
        client = self.client()
        client.send(b"SUB m 1\r\nPUB m 5\r\nhello\r\n")
        client.flush()
        after = json.loads(self.get("/varz"))
        self.assertEqual(after["server_name"], "unit")
        self.assertEqual(after["http_port"], self.http_port)
        self.assertEqual(after["port"], self.server.nats_port)
        self.assertEqual(after["max_payload"], 1 << 20)
        for field, more in (("in_msgs", 1), ("out_msgs", 1), ("in_bytes", 5), ("out_bytes", 5),
                            ("total_connections", 1)):
            self.assertEqual(after[field] - before[field], more, field)

    def test_connz(self):
        clients = [self.client(name=f"n{number}") for number in range(5)]
        clients[0].send(b"SUB a.* 1\r\nSUB b q 2\r\n")
        clients[0].flush()
        page = json.loads(self.get("/connz?subs=1"))
        mine = [conn for conn in page["connections"] if conn.get("name", "").startswith("n")]
        mine = {conn["name"]: conn for conn in mine}
        first = mine["n0"]
        self.assertEqual(first["cid"], clients[0].info["client_id"])
        self.assertEqual(sorted(first["subscriptions_list"]), ["a.*", "b"])
        self.assertEqual(first["ip"], "127.0.0.1")
        self.assertEqual(first["port"], clients[0].socket.getsockname()[1])
        one = json.loads(self.get("/connz?limit=1&offset=1"))
        self.assertEqual(one["num_connections"], 1)
        self.assertEqual(one["connections"][0]["cid"], page["connections"][1]["cid"])
        by_id = json.loads(self.get(f"/connz?cid={first['cid']}"))
        self.assertEqual([conn["name"] for conn in by_id["connections"]], ["n0"])
        self.get("/connz?limit=x", 400)
        self.get("/connz?sort=pending", 400)

    def test_subsz_health_metrics(self):
        client = self.client()
        client.send(b"SUB s 1\r\n")
        client.flush()
        self.assertGreaterEqual(json.loads(self.get("/subsz"))["num_subscriptions"], 1)
        self.assertEqual(json.loads(self.get("/healthz")), {"status": "ok"})
        text = self.get("/metrics").decode()
        self.assertRegex(text, r"(?m)^leat_nats_connections \d+$")
        for line in text.splitlines():
            self.assertTrue(line.startswith("# TYPE ")
                            or re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"]*"\})? \d+', line), line)
        self.get("/nothing", 404)


if __name__ == "__main__":
    unittest.main()
