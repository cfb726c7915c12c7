#!/usr/bin/env python3
"""Core NATS byte by byte: every answer as nats-server 2.15 gives it."""
# SPDX-License-Identifier: Apache-2.0
import unittest

from lib import case
from lib import nats

CLOSED = object()
SLOWER = case.SLOWER

# What is sent after CONNECT, what comes back, and whether the server closes then.
ANSWERS = [
    (b"FOO\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CLOSED),
    (b"SUB\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CLOSED),
    (b"PUB foo 1\r\nxy\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CLOSED),
    (b"PUB foo 2000000\r\n", b"-ERR 'Maximum Payload Violation'\r\n", CLOSED),
    (b"SUB foo " + b"9" * 5000 + b"\r\n", b"-ERR 'maximum control line exceeded'\r\n", CLOSED),
    (b"SUB foo\r\n", b"", CLOSED),
    (b"PUB foo -1\r\n", b"", CLOSED),
    (b"HPUB foo 20 10\r\n", b"", CLOSED),
    (b"CONNECT notjson\r\n", b"", CLOSED),
    (b"-ERR 'x'\r\n", b"", CLOSED),
    (b"RS+ a b\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CLOSED),
    (b"SUB a..b 9\r\n", b"-ERR 'Invalid Subject'\r\n", None),
    (b"PUB a.> 1\r\nx\r\n", b"", None),
    (b"UNSUB 77\r\n", b"", None),
    (b"+OK\r\n", b"", None),
    (b"pub foo 0\r\n\r\n", b"", None),
    (b"sub foo 1\npub\tfoo  1\nx\r\n", b"MSG foo 1 1\r\nx\r\n", None),
    (b"SUB foo 9\r\nSUB foo 9\r\nPUB foo 1\r\nx\r\n", b"MSG foo 9 1\r\nx\r\n", None),
    (b"SUB foo 1\r\nSUB foo 2\r\nUNSUB 1\r\nPUB foo 1\r\nx\r\n", b"MSG foo 2 1\r\nx\r\n", None),
    (b"PUB $NRG.x 1\r\nx\r\n", b"-ERR 'Permissions Violation for Publish to \"$NRG.x\"'\r\n", None),
    (b"PUB foo $JS.ACK.a.b 1\r\nx\r\n",
     b"-ERR 'Permissions Violation for Publish with Reply of \"$JS.ACK.a.b\"'\r\n", None),
    (b"SUB a.* 1\r\nPUB a.b 1\r\nx\r\nPUB a 1\r\nx\r\nPUB a.b.c 1\r\nx\r\n",
     b"MSG a.b 1 1\r\nx\r\n", None),
    (b"SUB a.> 1\r\nPUB a.b.c re.ply 2\r\nxy\r\n", b"MSG a.b.c 1 re.ply 2\r\nxy\r\n", None),
    (b"SUB q.x g 1\r\nSUB q.x g 2\r\nUNSUB 1\r\nPUB q.x 1\r\nx\r\n", b"MSG q.x 2 1\r\nx\r\n", None),
    (b"SUB m 1\r\nUNSUB 1 2\r\nPUB m 1\r\n1\r\nPUB m 1\r\n2\r\nPUB m 1\r\n3\r\n",
     b"MSG m 1 1\r\n1\r\nMSG m 1 1\r\n2\r\n", None),
    (b"SUB m 1\r\nPUB m 1\r\n1\r\nUNSUB 1 1\r\nPUB m 1\r\n2\r\n", b"MSG m 1 1\r\n1\r\n", None),
    (b"SUB h 1\r\nHPUB h 12 15\r\nNATS/1.0\r\n\r\nabc\r\n",
     b"HMSG h 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n", None),
    (b"SUB _R.1 1\r\nPUB nobody.home _R.1 1\r\nx\r\n",
     b"HMSG _R.1 1 43 43\r\nNATS/1.0 503\r\nNats-Subject: nobody.home\r\n\r\n\r\n", None),
]

# Whole conversations that bring a CONNECT of their own.
CONNECTS = [
    (b'CONNECT {"verbose":true}\r\nPUB x 0\r\n\r\nSUB a 1\r\nUNSUB 1\r\n', b"+OK\r\n" * 4, None),
    (b'CONNECT {"verbose":true,"pedantic":true}\r\nPUB a.* 0\r\n\r\nSUB a..b 1\r\n',
     b"+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n-ERR 'Invalid Subject'\r\n", None),
    (b'CONNECT {"verbose":false,"pedantic":true}\r\nPUB a.* 1\r\nx\n\r',
     b"-ERR 'Invalid Publish Subject'\r\n-ERR 'Unknown Protocol Operation'\r\n", CLOSED),
    (b'CONNECT {"verbose":false,"no_responders":true}\r\n',
     b"-ERR 'no responders requires headers support'\r\n", CLOSED),
    (b'CONNECT {"protocol":7}\r\n', b"-ERR 'invalid client protocol'\r\n", CLOSED),
    (b'CONNECT {"account":"x"}\r\n', b"-ERR 'Authorization Violation'\r\n", CLOSED),
    (b'CONNECT {"verbose":false,"echo":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n', b"", None),
    (b"PUB x 0\r\n\r\n", b"+OK\r\n", None),
]


class Core(case.ServerCase):
    nats = True

    def client(self, **fields):
        client = nats.Client(self.server.nats_port, 10 * SLOWER, **fields)
        self.addCleanup(client.close)
        return client

    def check(self, client, sent, expected, end):
        client.send(sent)
        if end is CLOSED:
            self.assertEqual(client.until_closed(), expected)
        else:
            self.assertEqual(client.flush(), expected)

    def test_every_answer(self):
        for sent, expected, end in ANSWERS:
            with self.subTest(sent=sent[:60]):
                self.check(self.client(), sent, expected, end)

    def test_every_connect(self):
        for sent, expected, end in CONNECTS:
            with self.subTest(sent=sent[:60]):
                self.check(self.client(connect=False), sent, expected, end)

    def test_byte_by_byte(self):
        client = self.client()
        for sent, expected, end in ANSWERS:
            if end is CLOSED or not expected.startswith(b"MSG"):
                continue
            client = self.client()
            for byte in sent[:-1]:
                client.send(bytes([byte]))
            self.check(client, sent[-1:], expected, end)

    def test_info(self):
        client = self.client()
        info = client.info
        self.assertEqual(info["proto"], 1)
        self.assertTrue(info["headers"])
        self.assertEqual(info["max_payload"], 1 << 20)
        self.assertEqual(info["port"], self.server.nats_port)
        self.assertEqual(info["client_ip"], "127.0.0.1")
        self.assertRegex(info["server_id"], r"^N[A-Z2-7]{55}$")
        self.assertNotIn("jetstream", info)
        self.assertNotIn("auth_required", info)
        client.send(b"PING\r\nPING\r\n")
        self.assertEqual(client.line(), b"PONG")
        again = nats.json.loads(client.line()[5:])
        self.assertTrue(again["connect_info"])
        self.assertEqual(again["client_id"], info["client_id"])
        self.assertEqual(client.line(), b"PONG")

    def test_headers_are_stripped_for_who_cannot_take_them(self):
        old = self.client(headers=False, no_responders=False)
        old.send(b"SUB strip 7\r\n")
        old.flush()
        new = self.client()
        new.send(b"HPUB strip 12 15\r\nNATS/1.0\r\n\r\nabc\r\n")
        new.flush()
        self.assertEqual(old.message(), (b"MSG strip 7 3", b"abc"))

    def test_big_payloads_and_many_takers(self):
        takers = [self.client() for _ in range(5)]
        for number, taker in enumerate(takers):
            taker.send(b"SUB big.> %d\r\n" % (number // 2))
            taker.flush()
        sender = self.client()
        sizes = [0, 1, 500, 1023, 1024, 1025, 5000, 65536, 300000, 1 << 20]
        for size in sizes:
            sender.send(b"PUB big.x %d\r\n" % size + bytes([size % 251]) * size + b"\r\n")
        sender.flush()
        for number, taker in enumerate(takers):
            for size in sizes:
                line, payload = taker.message()
                self.assertEqual(line, b"MSG big.x %d %d" % (number // 2, size))
                self.assertEqual(payload, bytes([size % 251]) * size)

    def test_queue_group_shares(self):
        members = [self.client() for _ in range(3)]
        for member in members:
            member.send(b"SUB work pool 1\r\n")
            member.flush()
        sender = self.client()
        sender.send(b"PUB work 1\r\nx\r\n" * 300)
        sender.flush()
        counts = [member.flush().count(b"MSG work") for member in members]
        self.assertEqual(sum(counts), 300)
        self.assertTrue(all(count > 50 for count in counts), counts)


class TwoCores(Core):
    cores = 2


if __name__ == "__main__":
    unittest.main()
