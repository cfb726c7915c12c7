#!/usr/bin/env python3
"""The monitoring pages while clients are there."""
# SPDX-License-Identifier: Apache-2.0
import http.client
import json
import re
import signal
import unittest

import confluent_kafka

from lib import case
from lib import leatd
from lib import nats
from lib import raw


CLOSED_MAX = 4


class Monitor(case.ServerCase):
    nats = True
    cores = 2

    @classmethod
    def setUpClass(cls):
        cls.http_port = leatd.free_port()
        cls.config = (f"http: 127.0.0.1:{cls.http_port}\nserver_name: unit\n"
                      f"max_closed_clients: {CLOSED_MAX}\n")
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
        self.assertGreater(after["mem"], 1 << 20)
        self.assertGreaterEqual(after["cpu"], 0)
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
        clients[3].send(b"SUB a 1\r\nSUB b 2\r\nSUB kafka.t.0 view 3\r\n")
        clients[3].flush()
        sorted_by = json.loads(self.get("/connz?sort=subs&limit=2&subs=detail&auth=1"))
        self.assertEqual([conn["name"] for conn in sorted_by["connections"]], ["n3", "n0"])
        detail = {sub["subject"]: sub for sub in
                  sorted_by["connections"][0]["subscriptions_list_detail"]}
        self.assertEqual(detail["kafka.t.0"], {
            "account": "$G", "subject": "kafka.t.0", "qgroup": "view", "sid": "3", "msgs": 0,
            "cid": clients[3].info["client_id"]})
        self.assertEqual(sorted_by["connections"][0]["account"], "$G")
        some = json.loads(self.get("/subsz?subs=1&test=kafka%2Et.0&acc=%24G"))
        self.assertEqual([sub["sid"] for sub in some["subscriptions_list"]], ["3"])
        self.assertEqual(json.loads(self.get("/subsz?subs=1&limit=2"))["total"], 5)
        for path in ("/connz?limit=x", "/connz?sort=colour", "/connz?state=shut",
                     "/connz?sort=stop", "/connz?sort=reason&state=any", "/connz?user=%4",
                     "/subsz?test=a.*", "/subsz?acc=other"):
            self.get(path, 400)

    def conns(self, query):
        return json.loads(self.get("/connz?" + query))["connections"]

    def test_closed_connections_are_remembered(self):
        here = self.client(name="here", user="ann b")
        gone = [self.client(name=f"gone{number}", user="ann b") for number in range(6)]
        gone[5].send(b"SUB s 1\r\nPUB s 2\r\nhi\r\n")
        gone[5].flush()
        for number, client in enumerate(gone):
            if number == 4:
                client.send(b"NONSENSE\r\n")
                client.until_closed()
            client.close()
            name = f"gone{number}"
            self.assertTrue(case.eventually(
                lambda: name in [each.get("name") for each in self.conns("state=closed")], 30))
        page = json.loads(self.get("/connz?state=closed&sort=stop&auth=1"))
        self.assertEqual(page["total"], CLOSED_MAX)
        stops = [each["stop"] for each in page["connections"]]
        self.assertEqual(stops, sorted(stops, reverse=True))
        found = {each["name"]: each for each in page["connections"]}
        self.assertEqual(sorted(found), ["gone2", "gone3", "gone4", "gone5"])
        last, broken = found["gone5"], found["gone4"]
        self.assertEqual((last["reason"], last["subscriptions"], last["in_msgs"],
                          last["authorized_user"]), ("Client Closed", 1, 1, "ann b"))
        self.assertEqual(last["cid"], gone[5].info["client_id"])
        self.assertGreaterEqual(last["stop"], last["start"])
        self.assertIn(broken["reason"], ("Protocol Violation", "Parse Error"))
        self.assertEqual([each["reason"] for each in self.conns("state=closed&sort=reason")],
                         ["Client Closed"] * 3 + [broken["reason"]])
        names = [each["name"] for each in self.conns("state=any&user=ann%20b")]
        self.assertEqual(names, ["here", "gone2", "gone3", "gone4", "gone5"])
        self.assertEqual([each["name"] for each in self.conns("user=ann+b&acc=%24G")], ["here"])
        self.assertNotIn("stop", self.conns("user=ann+b")[0])
        self.assertEqual(self.conns("state=any&acc=other"), [])
        self.assertEqual(self.conns("state=any&user=bob"), [])
        self.assertEqual(self.conns(f"state=closed&cid={here.info['client_id']}"), [])

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
                            or re.fullmatch(
                                r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-.0-9]+', line),
                            line)
        self.get("/nothing", 404)

    def test_there_are_no_others(self):
        for page, field, none in (("/routez", "num_routes", 0), ("/leafz", "leafnodes", 0),
                                  ("/gatewayz", "outbound_gateways", {}),
                                  ("/jsz", "disabled", True)):
            found = json.loads(self.get(page))
            self.assertEqual(found[field], none)
            self.assertEqual(found["server_id"], json.loads(self.get("/varz"))["server_id"])

    def value(self, page, name, **labels):
        """The one sample of that name with these labels."""
        found = []
        for line in self.get(page).decode().splitlines():
            match = re.fullmatch(name + r"(?:\{(.*)\})? (\S+)", line)
            if match and all(f'{key}="{value}"' in (match[1] or "")
                             for key, value in labels.items()):
                found.append(float(match[2]))
        self.assertEqual(len(found), 1, (name, labels))
        return found[0]

    def test_topics_and_groups(self):
        topic, group = self.topic_name(), "watchers"
        with raw.Client(self.server.port, timeout_s=30) as client:
            self.assertEqual(client.create_topic(topic, 2, None)[0], 0)
        producer = confluent_kafka.Producer(case.connect(self.server.address))
        for _ in range(7):
            producer.produce(topic, b"x", partition=1)
        producer.flush(30)
        consumer = confluent_kafka.Consumer({**case.connect(self.server.address),
                                             "group.id": group})
        consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 1, 4)], asynchronous=False)
        consumer.close()
        one = {"topic": topic, "partition": 1}
        self.assertEqual(self.value("/metrics", "leat_partition_high_watermark", **one), 7)
        self.assertEqual(self.value("/metrics", "leat_group_lag", group=group, **one), 3)
        self.assertGreater(self.value("/metrics", "leat_partition_size_bytes", **one), 7)
        self.assertGreater(self.value("/metrics", "leat_kafka_requests_total", api="Produce"), 0)
        with raw.Client(self.server.port, timeout_s=30) as client:
            for _ in range(2):
                self.assertEqual(client.create_topic(topic, 1)[0], 36)
            self.assertEqual(client.fetch("nowhere", 0, 0)[0], 3)
        errors = "leat_kafka_errors_total"
        self.assertEqual(self.value("/metrics", errors, api="CreateTopics",
                                    error="TOPIC_ALREADY_EXISTS"), 2)
        self.assertEqual(self.value("/metrics", errors, api="Fetch",
                                    error="UNKNOWN_TOPIC_OR_PARTITION"), 1)
        self.assertGreater(self.value("/metrics", "leat_journal_commit_seconds_count"), 0)
        self.assertEqual(self.value("/metrics", "leat_partitions_offline"), 0)
        page = "/metrics/kafka"
        self.assertEqual(self.value(page, "kafka_topic_partitions", topic=topic), 2)
        self.assertEqual(self.value(page, "kafka_topic_partition_current_offset", **one), 7)
        self.assertEqual(self.value(page, "kafka_topic_partition_oldest_offset", **one), 0)
        self.assertEqual(self.value(page, "kafka_consumergroup_current_offset",
                                    consumergroup=group, **one), 4)
        self.assertEqual(self.value(page, "kafka_consumergroup_lag", consumergroup=group, **one),
                         3)
        self.assertEqual(self.value(page, "kafka_brokers"), 1)

    def test_who_leaves_is_not_well(self):
        """Last by name: the server is a lame duck afterwards, and is started again."""
        staying = self.client()
        self.assertIn(b"connect_info", staying.line())
        self.server.process.send_signal(signal.SIGUSR2)
        self.assertIn(b'"ldm":true', staying.line())
        answer = json.loads(self.get("/healthz", 503))
        self.assertEqual(answer["status"], "unavailable")
        self.assertIn("draining", answer["error"])
        self.server.restart(kill=True)


if __name__ == "__main__":
    unittest.main()
