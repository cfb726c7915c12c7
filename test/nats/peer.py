#!/usr/bin/env python3
"""The same bytes to leatd and to an installed nats-server: the same bytes come back."""
# SPDX-License-Identifier: Apache-2.0
#
# The other server is what LEAT_NATS_SERVER or PATH names; without one the test fails.
# Where its release is older than the one whose answers leatd gives, ALLOWED says so, case by case:
# a difference that is not listed fails, and so does one that is listed and no longer there.
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from lib import case
from lib import leatd
from lib import nats

SLOWER = case.SLOWER
NATS_SERVER = os.environ.get("LEAT_NATS_SERVER") or shutil.which("nats-server")
OPEN = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'

# What is sent; an answer ends with PONG or with the server's closing.
SCRIPTS = {
    "unknown verb": OPEN + b"NOPE\r\n",
    "lower case": b'connect {}\r\nsub a 1\r\npub a 2\r\nhi\r\nunsub 1\r\npub a 0\r\n\r\nping\r\n',
    "blanks and tabs": OPEN + b"SUB \t a\t 1 \r\nPUB  a \t 1\r\nx\r\n",
    "line ends": OPEN + b"SUB a 1\nPUB a 1\nx\r\n",
    "payload too long for its size": OPEN + b"PUB a 1\r\nxy\r\n",
    "size that is none": OPEN + b"PUB a x\r\n",
    "negative size": OPEN + b"PUB a -1\r\n",
    "size with zeros": OPEN + b"SUB a 1\r\nPUB a 0003\r\nabc\r\n",
    "size above the limit": OPEN + b"PUB a 1048577\r\n",
    "no subject": OPEN + b"PUB 1\r\n",
    "too many arguments": OPEN + b"PUB a b c 1\r\nx\r\n",
    "reply": OPEN + b"SUB a.> 9\r\nPUB a.b re.ply 2\r\nhi\r\n",
    "two subscriptions, two sids": OPEN + b"SUB a x\r\nSUB a y\r\nUNSUB x\r\nPUB a 1\r\n1\r\n",
    "sid used twice": OPEN + b"SUB a 1\r\nSUB b 1\r\nPUB a 1\r\na\r\nPUB b 1\r\nb\r\n",
    "unsubscribe after two": OPEN + b"SUB a 1\r\nUNSUB 1 2\r\n" + b"PUB a 1\r\nx\r\n" * 3,
    "unsubscribe after fewer than came": OPEN + b"SUB a 1\r\nPUB a 0\r\n\r\nPUB a 0\r\n\r\n"
                                         b"UNSUB 1 1\r\nPUB a 0\r\n\r\n",
    "unknown sid": OPEN + b"UNSUB 55\r\n",
    "wildcards": OPEN + b"SUB a.*.c 1\r\nPUB a.b.c 1\r\n1\r\n"
                 b"PUB a.b 1\r\n2\r\nPUB a.c.c 1\r\n3\r\n",
    "wildcard in a publish": OPEN + b"SUB a.* 1\r\nPUB a.* 1\r\nx\r\n",
    "empty token": OPEN + b"SUB a..b 1\r\n",
    "dot at the end": OPEN + b"SUB a. 1\r\n",
    "full wildcard inside": OPEN + b"SUB a.>.b 1\r\n",
    "star that is part of a token": OPEN + b"SUB a*.b 1\r\nPUB a*.b 1\r\nx\r\n",
    "group of one": OPEN + b"SUB a g 1\r\nPUB a 1\r\nx\r\n",
    "group and a plain one": OPEN + b"SUB a g 1\r\nSUB a 2\r\nUNSUB 2\r\nPUB a 1\r\nx\r\n",
    "headers": OPEN + b"SUB a 1\r\nHPUB a 22 25\r\nNATS/1.0\r\nKey: v x\r\n\r\nabc\r\n",
    "headers and reply": OPEN + b"SUB a 1\r\nHPUB a r.s 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    "headers longer than all": OPEN + b"HPUB a 5 4\r\n",
    "headers not agreed": b'CONNECT {"verbose":false}\r\nHPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n',
    "nobody there": OPEN + b"SUB _IN.1 1\r\nPUB nobody _IN.1 0\r\n\r\n",
    "nobody there, nothing asked": b'CONNECT {"verbose":false,"headers":true}\r\n'
                                   b"SUB _IN.1 1\r\nPUB nobody _IN.1 0\r\n\r\n",
    "no responders without headers": b'CONNECT {"no_responders":true}\r\n',
    "verbose": b'CONNECT {"verbose":true}\r\nSUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n',
    "pedantic": b'CONNECT {"verbose":false,"pedantic":true}\r\nPUB a.* 1\r\nx\r\nSUB a..b 1\r\n',
    "no echo": b'CONNECT {"verbose":false,"echo":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n',
    "CONNECT that is no JSON": b"CONNECT {nope\r\n",
    "CONNECT without anything": b"CONNECT\r\n",
    "CONNECT twice": OPEN + OPEN,
    "protocol of the future": b'CONNECT {"protocol":7}\r\n',
    "line without end": OPEN + b"SUB " + b"a" * 5000,
    "server's own words": OPEN + b"MSG a 1 1\r\nx\r\n",
    "+OK and PONG": OPEN + b"+OK\r\nPONG\r\n",
    "-ERR": OPEN + b"-ERR 'x'\r\n",
    "INFO": OPEN + b"INFO {}\r\n",
}

# Where nats-server 2.9 answers differently: its answer, leatd's, and why that is allowed.
ALLOWED = {
    "nobody there": (
        (b"HMSG _IN.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nPONG\r\n", "open"),
        (b"HMSG _IN.1 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\nPONG\r\n", "open"),
        "later releases say which subject nobody listens to"),
}


def exchange(port, script):
    """The server's words, and whether it closed."""
    with nats.Client(port, 20 * SLOWER, connect=False) as client:
        try:
            client.send(script + b"PING\r\n")
            got = b""
            while (line := client.line()) is not None:
                if line.startswith(b"INFO "):
                    continue
                got += line + b"\r\n"
                if line == b"PONG" and got.count(b"PONG\r\n") == 1 + script.count(b"ping"):
                    return got, "open"
        except BrokenPipeError:
            return b"", "closed"
        return got, "closed"


class Peer(case.ServerCase):
    nats = True

    @classmethod
    def setUpClass(cls):
        if not NATS_SERVER:
            raise AssertionError("no nats-server: LEAT_NATS_SERVER names one; ./dev unpacks it")
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="leat-peer-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.peer_port = leatd.free_port()
        cls.peer = subprocess.Popen(
            [NATS_SERVER, "-a", "127.0.0.1", "-p", str(cls.peer_port)], cwd=cls.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end_peer)
        if not case.eventually(cls.peer_answers, 20 * SLOWER):
            raise AssertionError("nats-server does not answer")

    @classmethod
    def end_peer(cls):
        cls.peer.terminate()
        cls.peer.wait()

    @classmethod
    def peer_answers(cls):
        try:
            with nats.Client(cls.peer_port) as client:
                return bool(re.match(r"2\.", client.info["version"]))
        except OSError:
            return False

    def test_same_answers(self):
        for name, script in SCRIPTS.items():
            mine = exchange(self.server.nats_port, script)
            theirs = exchange(self.peer_port, script)
            with self.subTest(name):
                if name in ALLOWED:
                    self.assertEqual((theirs, mine), ALLOWED[name][:2])
                else:
                    self.assertEqual(mine, theirs)


if __name__ == "__main__":
    unittest.main()
