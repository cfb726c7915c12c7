#!/usr/bin/env python3
"""leatd as nats-server: options, files, signals."""
# SPDX-License-Identifier: Apache-2.0
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from lib import case
from lib import leatd
from lib import nats

SLOWER = case.SLOWER
LISTENING = re.compile(r"^\[\d+\] \S+ \S+ \[INF\] Listening for client connections on (\S+):(\d+)$")

MONITORING = re.compile(r"\[INF\] Starting http monitor on (\S+)$")


class Program:
    """A leatd that was started as nats-server."""

    def __init__(self, *arguments, config=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="leat-test-"))
        command = [leatd.BINARY, "nats-server", "-a", "127.0.0.1", "-p", "-1", "--cores", "2",
                   "--memory", "64m", *(str(word) for word in arguments)]
        if config is not None:
            self.configure(config)
            command += ["-c", str(self.folder / "nats.conf")]
        self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.port = 0
        self.monitoring = ""
        self.said = ""
        self.until("Server is ready")

    def configure(self, text):
        (self.folder / "nats.conf").write_text(text, encoding="utf-8")

    def until(self, words):
        for raw in self.process.stdout:
            line = raw.decode().rstrip("\n")
            self.said += line + "\n"
            found = LISTENING.match(line)
            if found:
                self.port = int(found[2])
            found = MONITORING.search(line)
            if found:
                self.monitoring = found[1]
            if words in line:
                return
        raise AssertionError(f"never said {words!r}:\n{self.said}")

    def client(self, **fields):
        return nats.Client(self.port, 10 * SLOWER, **fields)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(30 * SLOWER)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class NatsServer(unittest.TestCase):
    def start(self, *arguments, **options):
        program = Program(*arguments, **options)
        self.addCleanup(program.close)
        return program

    def test_files_and_stop(self):
        folder = tempfile.mkdtemp(prefix="leat-test-")
        self.addCleanup(shutil.rmtree, folder)
        pid_file = pathlib.Path(folder) / "pid"
        program = self.start("-P", pid_file, "--ports_file_dir", folder, "-n", "unit",
                             "-m", "-1", "-sd", pathlib.Path(folder) / "data", "-D=true")
        pid = program.process.pid
        self.assertEqual(pid_file.read_text(encoding="ascii"), str(pid))
        ports = pathlib.Path(folder) / f"nats-server_{pid}.ports"
        self.assertEqual(json.loads(ports.read_text(encoding="ascii")),
                         {"nats": [f"nats://127.0.0.1:{program.port}"],
                          "monitoring": [f"http://{program.monitoring}"]})
        self.assertRegex(program.monitoring, r"^127\.0\.0\.1:\d+$")
        self.assertTrue((pathlib.Path(folder) / "data").is_dir())
        self.assertNotIn("Kafka", program.said)
        with program.client() as client:
            self.assertEqual(client.info["server_name"], "unit")
            client.flush()
            program.signal(signal.SIGTERM)
            self.assertEqual(program.wait(), 0)
        self.assertFalse(pid_file.exists())
        self.assertFalse(ports.exists())

    def test_nothing_is_kept(self):
        """Several in one folder that none of them may write to, and no trace when they end."""
        place = pathlib.Path(tempfile.mkdtemp(prefix="leat-test-"))
        self.addCleanup(shutil.rmtree, place)
        os.environ["TMPDIR"] = str(place)
        self.addCleanup(os.environ.pop, "TMPDIR")
        first, second = self.start(), self.start()
        self.assertEqual(len(list(place.glob("leatd-*"))), 2)
        self.assertEqual(list(first.folder.iterdir()), [])
        for program in first, second:
            with program.client() as client:
                client.flush()
            program.signal(signal.SIGTERM)
            self.assertEqual(program.wait(), 0)
        self.assertEqual(list(place.glob("leatd-*")), [])
        killed, other = self.start(), self.start()
        (place / "leatd-others").mkdir(mode=0o700)
        killed.signal(signal.SIGKILL)
        killed.wait()
        left = {path.name for path in place.glob("leatd-*")}
        self.assertEqual(len(left), 3)
        third = self.start()  # removes what the killed one has left, and nothing else
        now = {path.name for path in place.glob("leatd-*")}
        self.assertEqual((len(now), len(now & left)), (3, 2))
        for program in other, third:
            program.signal(signal.SIGTERM)
            self.assertEqual(program.wait(), 0)
        self.assertEqual([path.name for path in place.glob("leatd-*")], ["leatd-others"])

    def test_login_on_the_command_line(self):
        program = self.start("--user", "u", "--pass", "p")
        with program.client(user="u", **{"pass": "p"}) as client:
            client.flush()
        with program.client() as client:
            self.assertIn(b"Authorization Violation", client.until_closed())

    def test_reload(self):
        one = 'authorization { users: [ {user: a, password: 1x, permissions: {publish: "x"}},'
        program = self.start(config=one + "{user: b, password: 2x}, {user: c, password: 3x} ] }")
        clients = {name: program.client(user=name, **{"pass": word})
                   for name, word in (("a", "1x"), ("b", "2x"), ("c", "3x"))}
        for client in clients.values():
            self.addCleanup(client.close)
            client.flush()
        clients["c"].send(b"SUB x pool 1\r\nSUB y 2\r\n")
        clients["c"].flush()
        program.configure(
            "max_payload: 10\n" + one.replace('"x"', '"y"')
            + "{user: b, password: other}, {user: c, password: 3x,"
              " permissions: {subscribe: y}} ] }")
        program.signal(signal.SIGHUP)
        program.until("configuration reloaded")
        self.assertIn(b"Authorization Violation", clients["b"].until_closed())
        clients["a"].send(b"PUB x 0\r\n\r\nPUB y 0\r\n\r\n")
        self.assertEqual(clients["a"].flush(),
                         b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n")
        self.assertEqual(clients["c"].flush(),
                         b"-ERR 'Permissions Violation for Subscription to \"x\""
                         b" using queue \"pool\" (sid \"1\")'\r\nMSG y 2 0\r\n\r\n")
        clients["c"].send(b"PUB z 11\r\n")
        self.assertIn(b"Maximum Payload Violation", clients["c"].until_closed())

    def test_a_reload_with_fewer_connections_closes_the_rest(self):
        program = self.start(config="max_connections: 10")
        clients = [program.client() for _ in range(5)]
        for client in clients:
            self.addCleanup(client.close)
            client.flush()
        program.configure("max_connections: 2")
        program.signal(signal.SIGHUP)
        program.until("configuration reloaded")
        for client in clients[2:]:
            self.assertIn(b"-ERR 'maximum connections exceeded'\r\n", client.until_closed())
        for client in clients[:2]:
            self.assertEqual(client.flush(), b"")
        with program.client() as client:
            self.assertEqual(client.until_closed(), b"-ERR 'maximum connections exceeded'\r\n")

    def test_a_reload_names_what_needs_a_restart(self):
        program = self.start(config="kafka { num.partitions: 2 }")
        program.configure("kafka { num.partitions: 3, log.cleanup.policy: compact }\n"
                          "http: 127.0.0.1:1\nmax_payload: 2000\n")
        program.signal(signal.SIGHUP)
        program.until("restart only: http, kafka.num.partitions, kafka.log.cleanup.policy")
        program.configure("kafka { num.partitions: 2 }")
        program.signal(signal.SIGHUP)
        program.until("configuration reloaded")
        program.signal(signal.SIGTERM)
        program.until("stopped")
        self.assertEqual(program.said.count("restart only"), 1)

    def test_a_wrong_file_changes_nothing(self):
        program = self.start(config="max_payload: 100")
        program.configure("max_payload: 10\nno_such_key: 1")
        program.signal(signal.SIGHUP)
        program.until("not reloaded")
        with program.client() as client:
            self.assertEqual(client.info["max_payload"], 100)

    def test_lame_duck(self):
        program = self.start(
            config='lame_duck_duration: "300ms", lame_duck_grace_period: "100ms"')
        clients = [program.client() for _ in range(10)]
        for client in clients:
            self.addCleanup(client.close)
            client.flush()
        program.signal(signal.SIGUSR2)
        for client in clients:
            line = client.line()
            while not (line.startswith(b"INFO ") and json.loads(line[5:]).get("ldm")):
                line = client.line()
        clients[0].send(b"SUB a 1\r\nPUB a 1\r\nx\r\n")
        self.assertEqual(clients[0].message(), (b"MSG a 1 1", b"x"))
        for client in clients:
            client.until_closed()
        self.assertEqual(program.wait(), 0)

    def test_few_are_sent_away_soon(self):
        program = self.start(
            config='lame_duck_duration: "1h", lame_duck_grace_period: "100ms"')
        with program.client() as client:
            client.flush()
            program.signal(signal.SIGUSR2)
            client.until_closed()
        self.assertEqual(program.wait(), 0)

    def test_a_log_file_is_opened_again(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="leat-test-"))
        self.addCleanup(shutil.rmtree, folder)
        log, moved = folder / "server.log", folder / "server.log.1"
        (folder / "nats.conf").write_text(f'log_file: "{log}", port: -1, host: 127.0.0.1\n',
                                          encoding="utf-8")

        def says(words):
            self.assertTrue(case.eventually(
                lambda: log.exists() and words in log.read_text(encoding="utf-8"), 30 * SLOWER),
                words)

        with subprocess.Popen(
                [leatd.BINARY, "nats-server", "-c", str(folder / "nats.conf"), "--cores", "1"],
                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                says("Server is ready")
                log.rename(moved)
                process.send_signal(signal.SIGUSR1)
                says("opened again")
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(30 * SLOWER), 0)
                says("stopped")
                self.assertEqual(process.stdout.read(), b"")
            finally:
                process.kill()
        self.assertNotIn("stopped", moved.read_text(encoding="utf-8"))

    def test_refused_by_name(self):
        for word in ("-js", "--cluster", "-cluster=x", "--tls", "-V", "-DV", "-T=false"):
            code, said = leatd.run(["nats-server", word])
            self.assertEqual(code, 2)
            self.assertIn(f"'{word}' is not implemented in Leat", said)
        code, said = leatd.run(["nats-server", "cluster"])
        self.assertEqual(code, 2)
        self.assertIn("unknown option", said)
        folder = tempfile.mkdtemp(prefix="leat-test-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "nats.conf")
        for text in ("jetstream: true", "cluster { port: 1 }", "accounts: {A: {}}",
                     'authorization { users: [{nkey: U}] }', "leafnodes { port: 1 }", "system: SYS",
                     "log_size_limit: 1mb", "logtime: false", "ws { port: 1 }"):
            pathlib.Path(path).write_text(text, encoding="utf-8")
            code, said = leatd.run(["nats-server", "-c", path])
            self.assertEqual(code, 2, said)
            self.assertIn("not implemented", said)

    def test_a_start_that_fails_is_fatal(self):
        program = self.start()
        folder = tempfile.mkdtemp(prefix="leat-test-")
        self.addCleanup(shutil.rmtree, folder)
        code, said = leatd.run(
            ["nats-server", "-a", "127.0.0.1", "-p", str(program.port)], cwd=folder)
        self.assertEqual(code, 1)
        self.assertRegex(said, r"(?m)^\[\d+\] \S+ \S+ \[FTL\] .*in use")

    def test_signals_by_the_option(self):
        program = self.start(config="max_payload: 1000")
        pid_file = program.folder / "pid"
        pid_file.write_text(f"{program.process.pid}\n", encoding="utf-8")
        program.configure("max_payload: 2000")
        self.assertEqual(leatd.run(["nats-server", "--signal", f"reload={pid_file}"]), (0, ""))
        program.until("configuration reloaded")
        code, said = leatd.run(["nats-server", "-sl", "quiet=1"])
        self.assertEqual((code, said), (1, 'nats-server: unknown signal "quiet"\n'))
        code, said = leatd.run(["nats-server", f"--signal=quit={program.process.pid}"])
        self.assertEqual((code, said), (0, ""))
        program.until("stopped")
        self.assertEqual(program.process.wait(30 * SLOWER), 0)

    def test_a_check_needs_a_file(self):
        code, said = leatd.run(["nats-server", "-t"])
        self.assertEqual(code, 2)
        self.assertIn("must specify [-c, --config] option", said)

    def test_version(self):
        for word in ("-v", "--version", "version"):
            code, said = leatd.run(["nats-server", word])
            self.assertEqual(code, 0)
            self.assertRegex(said, r"^nats-server: v\d+\.\d+\.\d+")


if __name__ == "__main__":
    unittest.main()
