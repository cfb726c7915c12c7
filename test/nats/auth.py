#!/usr/bin/env python3
"""Who may come in, and what they may do: tokens, users, hashes, permissions."""
# SPDX-License-Identifier: Apache-2.0
import unittest

from lib import case
from lib import nats

SLOWER = case.SLOWER
VIOLATION = b"-ERR 'Authorization Violation'\r\n"
# bcrypt of "U*U" with cost 5, a published vector.
HASH = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

USERS = f"""
authorization {{
    timeout: 0.5
    default_permissions {{ publish: "free.>", subscribe: ["free.>", "_INBOX.>"] }}
    users [
        {{ user: alice, password: secret, permissions {{
            publish {{ allow: ["a.>", "b"], deny: "a.no" }}
            subscribe {{ allow: ["a.>", "work pool"], deny: "a.hidden" }} }} }}
        {{ user: hashed, password: "{HASH}" }}
        {{ user: service, password: s, permissions {{ subscribe: "svc", allow_responses: true }} }}
        {{ user: root, password: r, permissions {{ publish: ">", subscribe: ">" }} }}
        {{ user: guest, password: g }}
    ]
}}
kafka {{ anonymous: true }}
"""


class AuthCase(case.ServerCase):
    nats = True

    def client(self, **fields):
        client = nats.Client(self.server.nats_port, 10 * SLOWER, **fields)
        self.addCleanup(client.close)
        return client

    def refused(self, **fields):
        self.assertEqual(self.client(**fields).until_closed(), VIOLATION)


class Token(AuthCase):
    config = 'authorization { token: "t0k" }\nkafka { anonymous: true }'

    def test_token(self):
        self.assertTrue(self.client(connect=False).info["auth_required"])
        self.assertEqual(self.client(auth_token="t0k").flush(), b"")
        self.refused(auth_token="other")
        self.refused()
        self.refused(user="t0k")

    def test_nothing_before_connect(self):
        client = self.client(connect=False)
        client.send(b"PUB a 0\r\n\r\n")
        self.assertEqual(client.until_closed(), VIOLATION)


class Users(AuthCase):
    config = USERS

    def test_who_may_come_in(self):
        self.assertEqual(self.client(user="alice", **{"pass": "secret"}).flush(), b"")
        self.assertEqual(self.client(user="hashed", **{"pass": "U*U"}).flush(), b"")
        self.refused(user="alice", **{"pass": "Secret"})
        self.refused(user="hashed", **{"pass": HASH})
        self.refused(user="nobody", **{"pass": "secret"})
        self.refused()

    def test_hash_keeps_order(self):
        client = self.client(connect=False)
        client.send(b'CONNECT {"user":"hashed","pass":"U*U","verbose":false}\r\n'
                    b"SUB free.x 1\r\nPUB free.x 2\r\nhi\r\n")
        self.assertEqual(client.flush(), b"MSG free.x 1 2\r\nhi\r\n")

    def test_timeout(self):
        client = self.client(connect=False)
        self.assertEqual(client.until_closed(), b"-ERR 'Authentication Timeout'\r\n")

    def test_permissions(self):
        alice = self.client(user="alice", **{"pass": "secret"})
        alice.send(b"PUB a.x 0\r\n\r\nPUB b 0\r\n\r\nPUB a.no 0\r\n\r\nPUB c 0\r\n\r\n")
        self.assertEqual(alice.flush(),
                         b"-ERR 'Permissions Violation for Publish to \"a.no\"'\r\n"
                         b"-ERR 'Permissions Violation for Publish to \"c\"'\r\n")
        alice.send(b"SUB a.* 1\r\nSUB > 2\r\nSUB a.hidden 3\r\nSUB work 4\r\nSUB work pool 5\r\n"
                   b"SUB work other 6\r\n")
        words = b"-ERR 'Permissions Violation for Subscription to "
        self.assertEqual(alice.flush(),
                         words + b"\">\"'\r\n" + words + b"\"a.hidden\"'\r\n"
                         + words + b"\"work\"'\r\n"
                         + words + b"\"work\" using queue \"other\"'\r\n")
        root = self.client(user="root", **{"pass": "r"})
        root.send(b"PUB a.hidden 1\r\nx\r\nPUB a.seen 1\r\ny\r\n")
        root.flush()
        self.assertEqual(alice.message(), (b"MSG a.seen 1 1", b"y"))
        self.assertEqual(alice.flush(), b"")

    def test_default_permissions(self):
        guest = self.client(user="guest", **{"pass": "g"})
        guest.send(b"SUB free.a 1\r\nPUB free.a 1\r\nx\r\nPUB a 0\r\n\r\n")
        self.assertEqual(guest.flush(), b"MSG free.a 1 1\r\nx\r\n"
                         b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n")

    def test_responses(self):
        service = self.client(user="service", **{"pass": "s"})
        service.send(b"SUB svc 1\r\n")
        service.flush()
        root = self.client(user="root", **{"pass": "r"})
        root.send(b"SUB in.box 1\r\nPUB svc in.box 1\r\nq\r\n")
        root.flush()
        service.message()
        service.send(b"PUB in.box 1\r\na\r\nPUB in.box 1\r\nb\r\n")
        self.assertEqual(service.flush(),
                         b"-ERR 'Permissions Violation for Publish to \"in.box\"'\r\n")
        self.assertEqual(root.flush(), b"MSG in.box 1 1\r\na\r\n")


class NoAuthUser(AuthCase):
    config = USERS + "\nno_auth_user: guest\n"

    def test_silent_ones_are_the_guest(self):
        client = self.client(connect=False)
        self.assertNotIn("auth_required", client.info)
        client.send(b"PUB a 0\r\n\r\n")
        self.assertEqual(client.line(), b"-ERR 'Permissions Violation for Publish to \"a\"'")
        named = self.client()
        named.send(b"SUB free.a 1\r\nPUB free.a 1\r\nx\r\n")
        self.assertEqual(named.flush(), b"MSG free.a 1 1\r\nx\r\n")
        self.refused(user="alice", **{"pass": "no"})


class Limits(AuthCase):
    config = """
        max_payload: 1kb, max_control_line: 256, max_subscriptions: 2, max_connections: 3
        max_subscription_tokens: 3, ping_interval: "100ms", ping_max: 1
        server_name: "unit"
    """

    def test_limits(self):
        client = self.client()
        self.assertEqual(client.info["max_payload"], 1024)
        self.assertEqual(client.info["server_name"], "unit")
        client.send(b"SUB a.b.c.d 1\r\n")
        self.assertIn(b"-ERR 'Permissions Violation for Subscription to \"a.b.c.d\", "
                      b"too many tokens'", client.flush())
        client.send(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
        self.assertIn(b"-ERR 'maximum subscriptions exceeded'\r\n", client.flush())
        self.client()
        self.client()
        self.assertEqual(self.client().until_closed(), b"-ERR 'maximum connections exceeded'\r\n")
        client.send(b"PUB a 1025\r\n")
        self.assertIn(b"-ERR 'Maximum Payload Violation'\r\n", client.until_closed())

    def test_stale(self):
        got = self.client().until_closed()
        self.assertIn(b"PING\r\n", got)
        self.assertTrue(got.endswith(b"-ERR 'Stale Connection'\r\n"), got)


if __name__ == "__main__":
    unittest.main()
