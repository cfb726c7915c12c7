"""leat: topics, records, settings and the doctor, as a user types them."""
# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import os
import pty
import subprocess
import tempfile
import time
import unittest

from lib import batch
from lib import command
from lib import leatd


class TopicsTest(command.CommandCase):

    def test_life_of_a_topic(self):
        name = self.topic_name()
        self.leat("topic", "create", name, "-p", "2", "-c", "retention.ms=7d")
        (found,) = [row for row in self.leat_json("topic", "list") if row["topic"] == name]
        self.assertEqual((found["partitions"], found["records"]), (2, 0))
        done = self.leat_both("topic", "create", name, code=command.FAILED)
        self.assertIn("already exists", done.err)
        self.assertIn("--if-not-exists", done.err)
        self.leat("topic", "create", name, "--if-not-exists")
        self.leat("topic", "grow", name, "+2")
        self.leat("topic", "grow", name, "3", code=command.USAGE)
        (described,) = self.leat_json("topic", "describe", name)
        self.assertEqual(len(described["partitions"]), 4)
        self.assertEqual(described["settings"][0]["setting"], "retention.ms")
        self.assertEqual(described["settings"][0]["value"], "604800000")
        done = self.leat_both("topic", "delete", name, code=command.USAGE)
        self.assertIn("--yes", done.err)
        self.leat("topic", "delete", name, "--dry-run")
        self.leat("topic", "delete", name, "--yes")
        self.leat("topic", "delete", name, "--yes", code=command.NOT_FOUND)
        self.leat("topic", "delete", name, "--yes", "--if-exists")

    def test_nothing_is_made_by_a_dry_run_or_a_look(self):
        name = self.topic_name()
        self.leat("topic", "create", name, "--dry-run")
        self.leat("topic", "describe", name, code=command.NOT_FOUND)
        self.leat("consume", name, "-e", code=command.NOT_FOUND)
        self.assertNotIn(name, [row["topic"] for row in self.leat_json("topic", "list")])

    def test_did_you_mean(self):
        self.make_topic(name="invoices")
        for args, hint in [(("topic", "describe", "invocies"), "'invoices'"),
                           (("topci", "list"), "leat topic"),
                           (("topic", "lsit"), "leat topic list"),
                           (("topic", "list", "--formt", "json"), "--format")]:
            done = command.run(self.server.address, *args)
            self.assertIn(done.code, (command.USAGE, command.NOT_FOUND))
            self.assertIn("did you mean", done.err)
            self.assertIn(hint, done.err)
            self.assertEqual(done.out, "")

    def test_what_keeps_a_client_out_is_said(self):
        name = self.topic_name()
        self.leat("topic", "create", name)
        self.leat("produce", name, "a")
        done = self.leat_both("produce", name, "b", "--timeout", "2s", "-X",
                              "security.protocol=ssl", code=command.UNREACHABLE)
        self.assertIn("SSL", done.err)
        sasl = ("-X", "security.protocol=sasl_plaintext", "-X", "sasl.mechanisms=PLAIN",
                "-X", "sasl.username=u", "-X", "sasl.password=p")
        done = self.leat_both("consume", name, *sasl, code=command.DENIED)
        self.assertIn("SASL", done.err)
        done = self.leat_both("consume", name, "-e", "--timeout", "2s", "-X",
                              "security.protocol=ssl", code=command.UNREACHABLE)
        self.assertIn("SSL", done.err)
        done = command.run("127.0.0.1:1," + self.server.address, "consume", name, "-e")
        self.assertEqual((done.code, done.out, done.err), (0, "a\n", ""))

    def test_settings(self):
        name = self.make_topic()
        self.leat("topic", "config", name, "retention.ms=1d", "max.message.bytes=2mib")
        rows = {row["setting"]: row["value"] for row in self.leat_json("topic", "config", name)}
        self.assertEqual(rows, {"retention.ms": "86400000", "max.message.bytes": "2097152"})
        self.leat("config", "unset", "topic", name, "retention.ms")
        self.leat("config", "set", "topic", name, "max.message.bytes=5000", "--dry-run")
        rows = self.leat_json("config", "show", "topic", name, "retention.ms", "max.message.bytes")
        self.assertEqual({row["setting"]: row["value"] for row in rows},
                         {"retention.ms": "604800000", "max.message.bytes": "2097152"})
        done = self.leat_both("topic", "config", name, "retenton.ms=1d", code=command.USAGE)
        self.assertIn("did you mean retention.ms?", done.err)
        done = self.leat_both("topic", "create", name + "-2", "-c", "retenton.ms=1d",
                              "-c", "max.message.bytes=5000", code=command.USAGE)
        self.assertEqual(done.err.count("did you mean"), 1)
        self.assertIn("did you mean retention.ms?", done.err)
        done = self.leat_both("topic", "config", name, "retention.hours=3", code=command.USAGE)
        self.assertIn("did you mean retention.ms?", done.err)
        for args in (("unset", "topic", name, "retenton.ms"),
                     ("show", "topic", name, "retenton.ms"),
                     ("show", "broker", "default", "log.retenton.ms")):
            done = self.leat_both("config", *args, code=command.USAGE)
            self.assertRegex(done.err, r"(?s)no setting '.*did you mean (log.)?retention.ms\?")
        self.leat("config", "show", "broker", "default", "log.retention.ms")
        for args in (("-z", "zst"), ("-z", ""), ("--acks", "2")):
            done = self.leat_both("produce", name, "x", *args, code=command.USAGE)
            self.assertIn("it is one of", done.err)
        self.leat("topic", "create", "keyed", "-c", "cleanup.policy=compact")
        done = self.leat_both("produce", "keyed", "no key", code=command.FAILED)
        self.assertIn("-k KEY", done.err)
        self.leat("config", "set", "broker", "default", "log.retention.ms=3d")
        rows = {row["setting"]: row["value"] for row in self.leat_json("config", "show", "broker")}
        self.assertEqual(rows["log.retention.ms"], "259200000")
        self.leat("config", "unset", "broker", "default", "log.retention.ms")

    def test_formats_say_the_same(self):
        name = self.make_topic(3)
        self.leat("produce", name, "a", "b")
        rows = list(csv.DictReader(io.StringIO(self.leat("topic", "list", "--format", "csv"))))
        (row,) = [row for row in rows if row["topic"] == name]
        self.assertEqual((row["partitions"], row["records"]), ("3", "2"))
        lines = self.leat("topic", "list", "--format", "jsonl").splitlines()
        self.assertIn(name, [json.loads(line)["topic"] for line in lines])
        self.assertIn(f'- topic: "{name}"\n', self.leat("--format", "yaml", "topic", "list"))
        line = next(line for line in self.leat("topic", "list").splitlines()
                    if line.startswith(name + " "))
        self.assertEqual(line.split()[1:4], ["3", "1", "2"])


class RecordsTest(command.CommandCase):

    def test_a_topic_is_made_where_the_server_does_so(self):
        name = self.topic_name()
        self.assertIn(f"Topic {name} is new.", self.leat_both("produce", name, "first").err)
        self.assertEqual(self.leat("consume", name, "-e"), "first\n")

    def test_keys_headers_and_formats(self):
        name = self.make_topic(1)
        report = self.leat("produce", name, "-f", "%k\\t%v\\n", "-H", "from=test", "-z", "zstd",
                           "--report", "%p/%o %k=%v\n", stdin="a\tone\nb\ttwo\n\tthree")
        self.assertEqual(report, "0/0 a=one\n0/1 b=two\n0/2 =three\n")
        self.assertEqual(self.leat("consume", name, "-e", "-f", "%t %p %o %k=%v %h %S\\n"),
                         "".join(f"{name} 0 {offset} {pair} from=test {size}\n" for
                                 offset, (pair, size) in enumerate(
                                     [("a=one", 3), ("b=two", 3), ("=three", 5)])))
        found = [json.loads(line) for line in
                 self.leat("consume", name, "-e", "-f", "json").splitlines()]
        self.assertEqual([one["value"] for one in found], ["one", "two", "three"])
        self.assertEqual(found[0]["headers"], [{"key": "from", "value": "test"}])

    def test_a_record_with_many_headers(self):
        name = self.make_topic()
        headers = [(b"h%d" % i, b"") for i in range(1500)]
        data = batch.build([(None, b"v", headers)], int(time.time() * 1000))
        self.assertEqual(self.raw().produce(name, 0, data)[0], 0)
        self.assertEqual(self.leat("consume", name, "-e", "-f", "%H %h{%k }\\n"),
                         "1500 " + "".join(f"h{i} " for i in range(1500)) + "\n")

    def test_a_topic_is_copied_as_json(self):
        name, copy = self.make_topic(), self.make_topic()
        self.leat("produce", name, stdin=b"text\n\xff\xfe\n")
        self.leat("produce", name, "-k", "dead", "-Z", "")
        lines = self.leat("consume", name, "-e", "-f", "json")
        self.leat("produce", copy, "-f", "json", stdin=lines)
        self.assertEqual(self.leat("consume", copy, "-e", "-f", "json"), lines.replace(name, copy))
        values = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual(values[1]["value_base64"], "//4=")
        self.assertIsNone(values[2]["value"])
        other = lines.replace('"partition":0', '"partition":1')
        done = self.leat_both("produce", copy, "-f", "json", stdin=other, code=command.NOT_FOUND)
        self.assertIn(f"{copy} has no partition 1", done.err)
        self.assertIn(f"leat topic grow {copy}", done.err)
        self.leat("produce", copy, "-f", "json", "-p", "0", stdin=other)

    def test_offsets(self):
        name = self.make_topic()
        self.leat("produce", name, stdin="".join(f"{i}\n" for i in range(20)))
        for where, expected in [("15:", None), ("3:6", "3 4 5"), (":2", "0 1"), ("-2", "18 19"),
                                ("+17:end", "17 18 19"), ("-3:-1", "17 18"), ("5:5", ""),
                                ("@2020-01-01:@now", None), ("99:", ""), ("@2030-01-01", "")]:
            with self.subTest(where=where):
                found = self.leat("consume", name, "-o", where, "-e").split()
                if expected is not None:
                    self.assertEqual(found, expected.split())
        self.assertEqual(self.leat("consume", name, "-n", "3").split(), ["0", "1", "2"])
        self.assertEqual(self.leat("consume", name, "-e", "-o", "@2020-01-01").split()[-1], "19")
        self.leat("consume", name, "-o", "middle", code=command.USAGE)

    def test_what_is_written_while_reading_arrives(self):
        name = self.make_topic()
        with subprocess.Popen([command.BINARY, "consume", name, "-n", "2"], stdout=subprocess.PIPE,
                              env=command.environment(self.server.address)) as reader:
            self.leat("produce", name, "first")
            self.assertEqual(reader.stdout.readline(), b"first\n")
            self.leat("produce", name, "second")
            self.assertEqual(reader.stdout.readline(), b"second\n")
            self.assertEqual(reader.wait(command.TIMEOUT_S), command.OK)

    def test_files_and_sizes(self):
        name = self.make_topic()
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\2ab\0\3x\nz\1c\0\0")
            file.flush()
            self.leat("produce", name, "-f", "%K{byte}%k%V{big16}%v", "-F", file.name)
        self.assertEqual(self.leat("consume", name, "-e", "-f", "%k=%v;"), "ab=x\nz;c=;")
        self.leat("produce", name, "-F", "/no/such/file", code=command.NOT_FOUND)
        self.leat("produce", name, "-f", "%k%v", code=command.USAGE)
        done = self.leat_both("produce", name, "-f", "%k:%v\\n", stdin="a:b\nbroken\n",
                              code=command.FAILED)
        self.assertIn("record 2", done.err)

    def test_keys_go_where_java_sends_them(self):
        name = self.make_topic(7)
        keys = ["foobar", "21", "a-little-bit-long-string"]
        self.leat("produce", name, "-f", "%k\\n", stdin="\n".join(keys))
        found = self.leat("consume", name, "-e", "-f", "%k %p\\n").splitlines()
        expected = dict(zip(keys, [-790332482, -973932308, -985981536]))
        self.assertEqual(sorted(found), sorted(f"{key} {(value & 0x7fffffff) % 7}"
                                               for key, value in expected.items()))

    def test_trim(self):
        name = self.make_topic()
        self.leat("produce", name, stdin="a\nb\nc\n")
        self.leat("topic", "trim", name, "--before", "-1", "--dry-run")
        self.assertEqual(self.leat("consume", name, "-e").split(), ["a", "b", "c"])
        self.leat("topic", "trim", name, "--before", "-1", "--yes")
        self.assertEqual(self.leat("consume", name, "-e").split(), ["c"])

    def test_a_terminal_is_not_steered(self):
        name = self.make_topic()
        one = batch.build([(None, b"\x1b[2Jred\x07", ())], 1795334400000)
        self.assertEqual(self.raw().produce(name, 0, one)[0], 0)
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        with subprocess.Popen([command.BINARY, "consume", name, "-n", "1"], stdout=slave,
                              env=command.environment(self.server.address)) as reader:
            self.assertEqual(reader.wait(command.TIMEOUT_S), command.OK)
        os.close(slave)
        self.assertEqual(os.read(master, 100), b"\\x1b[2Jred\\x07\r\n")
        self.assertEqual(self.leat("consume", name, "-n", "1"), "\x1b[2Jred\x07\n")


class RestTest(command.CommandCase):

    nats = True

    def test_cluster(self):
        found = self.leat_json("cluster", "info")
        self.assertEqual([row["port"] for row in found["brokers"]], [self.server.port])
        self.assertEqual((found["topics"], found["partitions"]), (0, 0))
        self.assertIn("There are no groups.", self.leat("group", "list"))
        self.leat("produce", "one", "a", "--txn", "writer")
        self.leat("consume", "one", "-e", "-g", "readers")
        found = self.leat_json("cluster", "info")
        self.assertEqual((found["topics"], found["partitions"]), (1, 1))
        self.assertEqual(found["internal_partitions"], 100)
        self.assertIn("in that state", self.leat("group", "list", "--state", "dead"))
        self.assertIn("in that state", self.leat("txn", "list", "--state", "ongoing"))
        self.assertIn("Metadata", [row["name"] for row in self.leat_json("cluster", "apis")])

    def test_doctor(self):
        text = self.leat("doctor", "--nats", f"127.0.0.1:{self.server.nats_port}")
        self.assertIn(f"NATS clients are served at 127.0.0.1:{self.server.nats_port}", text)
        self.assertIn("All is well.", text)
        self.assertIn(f"advertises 127.0.0.1:{self.server.port}, which answers", text)

    def test_the_wrong_port_is_explained(self):
        done = command.run(f"127.0.0.1:{self.server.nats_port}", "topic", "list")
        self.assertEqual(done.code, command.UNREACHABLE)
        self.assertIn("a NATS server answers there", done.err)
        done = command.run(f"127.0.0.1:{leatd.free_port()}", "topic", "list")
        self.assertEqual(done.code, command.UNREACHABLE)
        self.assertIn("nobody listens there", done.err)
        done = command.run("nowhere", "topic", "list", "--bootstrap", "no such name:1")
        self.assertEqual(done.code, command.UNREACHABLE)
        self.assertIn("does not resolve", done.err)

    def test_help_and_completion(self):
        for args in (["--help"], ["topic", "--help"], ["topic", "create", "--help"], ["help"],
                     ["help", "group", "why"], ["version"]):
            self.assertTrue(self.leat(*args))
        commands = json.loads(self.leat("help", "--format", "json"))
        for one in commands:
            self.assertTrue(self.leat(*one["command"].split()[1:], "--help"), one["command"])
        self.make_topic(name="completed")
        for words, expected in [(["to"], "topic"), (["topic", "cr"], "create"),
                                (["topic", "describe", "comp"], "completed"),
                                (["topic", "create", "--rep"], "--replicas"),
                                (["topic", "list", "--format", "js"], "jsonl")]:
            done = command.run(self.server.address, "__complete", *words)
            self.assertIn(expected, done.out.split(), words)
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("leat __complete", self.leat("completion", shell))
        done = subprocess.run(["bash", "-n"], input=self.leat("completion", "bash").encode(),
                              check=False)
        self.assertEqual(done.returncode, 0)


class ClosedTest(command.CommandCase):

    config = "kafka { auto.create.topics.enable: false }"

    def test_writing_to_a_topic_that_is_not_there(self):
        self.make_topic(name="orders")
        done = self.leat_both("produce", "ordres", "x", code=command.NOT_FOUND)
        self.assertIn("did you mean 'orders'?", done.err)
        self.assertNotIn("ordres", self.leat("topic", "list"))

    def test_a_full_disk_behind_stdout_is_said(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([command.BINARY, "version"], stdout=full, check=False,
                                  stderr=subprocess.PIPE,
                                  env=command.environment(self.server.address))
        self.assertEqual(done.returncode, command.FAILED)
        self.assertIn(b"cannot write to stdout", done.stderr)


class AdvertisedTest(command.CommandCase):

    dead_port = leatd.free_port()
    config = f'kafka {{ advertised.listeners: "PLAINTEXT://127.0.0.1:{dead_port}" }}'

    def test_a_wrong_advertised_address_is_explained(self):
        done = self.leat_both("doctor", code=command.FAILED)
        self.assertIn(f"advertises 127.0.0.1:{self.dead_port}: nobody listens there", done.out)
        self.assertIn(f'advertised.listeners: "PLAINTEXT://127.0.0.1:{self.server.port}"', done.out)
        (problem,) = [row for row in self.leat_json("doctor", code=command.FAILED)
                      if row["result"] == "problem"]
        self.assertIn("advertised.listeners", problem["fix"])

    def test_administration_works_all_the_same(self):
        self.leat("topic", "create", "works")
        self.assertIn("works", self.leat("topic", "list"))


if __name__ == "__main__":
    unittest.main()
