"""The test case that has a server of its own, whose words are shown when something fails."""
# SPDX-License-Identifier: Apache-2.0
import itertools
import pathlib
import shutil
import sys
import time
import unittest

from lib import batch
from lib import leatd
from lib import raw

SLOWER = leatd.SLOWER
names = itertools.count(1)


def eventually(check, timeout_s, step_s=0.01):
    """Waits until check() gives something true, and returns that; None when time is up."""
    pause = leatd.threading.Event()
    deadline = time.monotonic() + timeout_s
    while True:
        result = check()
        if result or time.monotonic() >= deadline:
            return result or None
        pause.wait(step_s)


def connect(address):
    """What every librdkafka client of the tests is told: quiet, and quick to come back."""
    return {"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.ms": 10,
            "reconnect.backoff.max.ms": 100}


def has_failed(test):
    """Whether this test, or a part of it, has failed; to be asked in its cleanups."""
    result = test._outcome.result  # pylint: disable=protected-access
    return any(getattr(found, "test_case", found) is test
               for found, _ in (*result.failures, *result.errors))


class ServerCase(unittest.TestCase):
    """One server for the tests of a class; each test uses topics of its own."""

    config = ""
    memory = "128m"
    cores = None
    nats = False
    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = leatd.Server(config=cls.config, memory=cls.memory, cores=cls.cores,
                                  nats=cls.nats)
        try:
            cls.server.start()
        except BaseException:
            cls.server.close()
            raise

    @classmethod
    def tearDownClass(cls):
        server = cls.server
        try:
            if server.is_alive():
                code = server.stop()
                if code != 0:
                    raise leatd.ServerError(f"leatd left with {code}:\n{server.tail()}")
        finally:
            server.close()

    def setUp(self):
        self.addCleanup(self._after)
        self.server.lines.clear()
        if not self.server.is_alive():
            self.server.start()

    def _after(self):
        if not has_failed(self):
            return
        kept = pathlib.Path.cwd() / f"failed-{self.id()}.log"
        shutil.copyfile(self.server.log, kept)
        words = self.server.tail() or "(nothing)\n"
        alive = "alive" if self.server.is_alive() else f"ended {self.server.process.poll()}"
        print(f"\n--- leatd ({alive}) said, in {kept}:\n{words}---", file=sys.stderr)

    def topic_name(self, stem="t"):
        return f"{stem}-{next(names)}"

    def raw(self, timeout_s=30, client_id="leat-test"):
        client = raw.Client(self.server.port, timeout_s=timeout_s * SLOWER, client_id=client_id)
        self.addCleanup(client.close)
        return client

    def make_topic(self, partitions=1, settings=None, name=None):
        """Makes a topic through the raw client and returns its name."""
        name = name or self.topic_name()
        with raw.Client(self.server.port, timeout_s=30 * SLOWER) as client:
            code, words = client.create_topic(name, partitions, settings)
        self.assertEqual(code, 0, f"creating {name}: {words}")
        return name
