"""kcat against a real server: what people type first."""
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import unittest

from lib import case

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class KcatTest(case.ServerCase):

    def kcat(self, *arguments, data=b""):
        done = subprocess.run(
            ["kcat", "-b", self.server.address, *arguments], input=data, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * case.SLOWER)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout

    def test_lists_the_cluster(self):
        topic = self.make_topic(3)
        seen = json.loads(self.kcat("-L", "-J"))
        self.assertEqual(seen["brokers"][0]["name"], self.server.address)
        topics = {each["topic"]: each for each in seen["topics"]}
        self.assertEqual(len(topics[topic]["partitions"]), 3)

    def test_topic_is_made_by_the_first_record(self):
        topic = self.topic_name("auto")
        self.kcat("-P", "-t", topic, data=b"first\n")
        self.assertEqual(self.kcat("-C", "-t", topic, "-e", "-q"), b"first\n")

    def test_every_codec(self):
        for codec in CODECS:
            for acks in ("0", "1", "all"):
                with self.subTest(codec=codec, acks=acks):
                    topic = self.make_topic()
                    lines = b"".join(b"%d line\n" % i for i in range(500))
                    self.kcat("-P", "-t", topic, "-z", codec, "-X", f"acks={acks}", data=lines)
                    self.assertEqual(
                        self.kcat("-C", "-t", topic, "-c", "500", "-q", "-X", "check.crcs=true"),
                        lines)

    def test_keys_headers_and_nulls(self):
        topic = self.make_topic()
        self.kcat("-P", "-t", topic, "-K", ":", "-Z", "-H", "a=1", "-H", "a=2", "-H", "b=",
                  data=b"key:value\n:no key\nonly key:\n")
        out = self.kcat("-C", "-t", topic, "-e", "-q", "-Z", "-f", "%k|%s|%h\n")
        self.assertEqual(out.decode().splitlines(), [
            "key|value|a=1,a=2,b=", "NULL|no key|a=1,a=2,b=", "only key|NULL|a=1,a=2,b="])

    def test_offsets_and_timestamps(self):
        topic = self.make_topic()
        self.kcat("-P", "-t", topic, data=b"a\nb\nc\nd\n")
        self.assertEqual(self.kcat("-C", "-t", topic, "-o", "2", "-e", "-q"), b"c\nd\n")
        self.assertEqual(self.kcat("-C", "-t", topic, "-o", "-1", "-e", "-q"), b"d\n")
        self.assertEqual(self.kcat("-C", "-t", topic, "-o", "beginning", "-c", "1", "-q"), b"a\n")
        when = int(self.kcat("-C", "-t", topic, "-o", "1", "-c", "1", "-q", "-f", "%T"))
        answer = self.kcat("-Q", "-t", f"{topic}:0:{when}").decode()
        self.assertRegex(answer, r"offset [01]\b")
        self.assertRegex(self.kcat("-Q", "-t", f"{topic}:0:-1").decode(), r"offset 4\b")
        self.assertRegex(self.kcat("-Q", "-t", f"{topic}:0:-2").decode(), r"offset 0\b")

    def test_group(self):
        topic = self.make_topic(2)
        self.kcat("-P", "-t", topic, data=b"".join(b"%d\n" % i for i in range(100)))
        out = self.kcat("-G", self.topic_name("group"), "-q", "-e", "-X",
                        "auto.offset.reset=earliest", topic)
        self.assertEqual(sorted(map(int, out.split())), list(range(100)))


if __name__ == "__main__":
    unittest.main()
