"""The rest of administration: what one node without authorizer, replicas and quorum answers."""
# SPDX-License-Identifier: Apache-2.0
import struct
import unittest

from lib import case
from lib import flex
from lib import raw

NONE, UNKNOWN_TOPIC, UNSUPPORTED_MECHANISM, UNSUPPORTED_VERSION = 0, 3, 33, 35
INVALID_ASSIGNMENT, INVALID_CONFIG, INVALID_REQUEST = 39, 40, 42
SECURITY_DISABLED, LOG_DIR_NOT_FOUND, TOKENS_NOT_ALLOWED = 54, 57, 64
ELECTION_NOT_NEEDED, NO_REASSIGNMENT, NOT_FOUND, INVALID_UPDATE = 84, 85, 91, 95
NOT_REGISTERED, OTHER_CLUSTER = 102, 104
DUPLICATE, BAD_CREDENTIAL = 92, 93
LOGGER = 8
NO_TAGS = b"\0"


def number(layout, *values):
    return struct.pack(">" + layout, *values)


class AdministrationTest(case.ServerCase):

    def setUp(self):
        super().setUp()
        self.client = self.raw()

    # --- security ---------------------------------------------------------------------------------

    def test_access_control_lists(self):
        string = raw.string
        reader = self.client.call(29, 1, number("b", 2) + string("t") + number("b", 3)
                                  + string(None) + string(None) + number("bb", 1, 1))
        self.assertEqual(reader.take("ih"), (0, SECURITY_DISABLED))
        self.assertTrue(reader.string())
        self.assertEqual(reader.take("i"), 0)
        one = (number("b", 2) + string("t") + number("b", 3) + string("User:u") + string("*")
               + number("bb", 3, 3))
        reader = self.client.call(30, 1, raw.array([one, one]))
        self.assertEqual(reader.take("ii"), (0, 2))
        self.assertEqual(reader.take("h"), SECURITY_DISABLED)
        reader = self.client.call(31, 1, raw.array([one]))
        self.assertEqual(reader.take("iih"), (0, 1, SECURITY_DISABLED))
        reader.string()
        self.assertEqual(reader.take("i"), 0)

    def scram(self, api, body):
        reader = self.client.call_compact(api, 0, body + NO_TAGS)
        reader.take("i")
        if api == 50:
            self.assertEqual((reader.take("h"), reader.compact()), (NONE, None))

        def result():
            found = reader.compact(), reader.take("h")
            reader.compact()
            if api == 50:
                self.assertEqual(reader.varint(), 1)
            reader.take("b")
            return found

        return dict(reader.compact_array(result))

    def test_scram_users(self):
        self.assertEqual(self.scram(50, raw.compact_array(None)), {})
        one = raw.compact("u") + NO_TAGS
        self.assertEqual(self.scram(50, raw.compact_array([one])), {"u": NOT_FOUND})
        drop = raw.compact("u") + number("b", 1) + NO_TAGS
        add = (raw.compact("v") + number("bi", 1, 4096) + raw.compact(b"s" * 16)
               + raw.compact(b"p" * 32) + NO_TAGS)
        self.assertEqual(self.scram(51, raw.compact_array([drop]) + raw.compact_array([add])),
                         {"u": NOT_FOUND, "v": UNSUPPORTED_MECHANISM})
        self.assertEqual(self.scram(50, raw.compact_array([one, one])), {"u": DUPLICATE})
        for name, kind, iterations, expected in [("", 1, 4096, BAD_CREDENTIAL),
                                                 ("u", 2, 4095, BAD_CREDENTIAL),
                                                 ("u", 1, 16385, BAD_CREDENTIAL),
                                                 ("u", 9, 1, UNSUPPORTED_MECHANISM)]:
            add = (raw.compact(name) + number("bi", kind, iterations) + raw.compact(b"s" * 16)
                   + raw.compact(b"p" * 32) + NO_TAGS)
            self.assertEqual(self.scram(51, raw.compact_array([]) + raw.compact_array([add])),
                             {name: expected})

    def test_delegation_tokens(self):
        create = raw.array([]) + number("q", -1)
        for api, version, body in [(38, 1, create), (39, 1, number("iq", 0, 1)),
                                   (40, 1, number("iq", 0, 1)), (41, 1, number("i", -1))]:
            with self.subTest(api=api):
                reader = self.client.call(api, version, body)
                self.assertEqual(reader.take("h"), TOKENS_NOT_ALLOWED)

    # --- replicas ---------------------------------------------------------------------------------

    def test_elections(self):
        topic = self.make_topic(2)
        asked = [raw.string(topic) + raw.array([number("i", p) for p in (0, 1, 2)]),
                 raw.string("missing") + raw.array([number("i", 0)])]
        reader = self.client.call(43, 1, number("b", 0) + raw.array(asked) + number("i", 1000))
        self.assertEqual(reader.take("ih"), (0, NONE))

        def partition():
            found = reader.take("ih")
            reader.string()
            return found

        found = dict(reader.array(lambda: (reader.string(), reader.array(partition))))
        self.assertEqual(found, {topic: [(0, ELECTION_NOT_NEEDED), (1, ELECTION_NOT_NEEDED),
                                         (2, UNKNOWN_TOPIC)],
                                 "missing": [(0, UNKNOWN_TOPIC)]})
        reader = self.client.call(43, 1, number("bii", 1, -1, 1000))
        self.assertEqual(reader.take("ihi"), (0, NONE, 0))
        reader = self.client.call(43, 1, number("b", 5) + raw.array(asked) + number("i", 1000))
        self.assertEqual(reader.take("ih"), (0, INVALID_REQUEST))
        found = dict(reader.array(lambda: (reader.string(), reader.array(partition))))
        self.assertEqual(found["missing"], [(0, INVALID_REQUEST)])

    def reassign(self, topic, replicas):
        nodes = None if replicas is None else [number("i", node) for node in replicas]
        one = number("i", 0) + raw.compact_array(nodes) + NO_TAGS
        asked = raw.compact(topic) + raw.compact_array([one]) + NO_TAGS
        reader = self.client.call_compact(
            45, 0, number("i", 1000) + raw.compact_array([asked]) + NO_TAGS)
        self.assertEqual(reader.take("ih"), (0, NONE))
        self.assertEqual((reader.compact(), reader.varint(), reader.compact(), reader.varint()),
                         (None, 2, topic, 2))
        return reader.take("ih")[1]

    def test_reassignments(self):
        topic = self.make_topic()
        self.assertEqual(self.reassign(topic, [1]), NONE)
        self.assertEqual(self.reassign(topic, None), NO_REASSIGNMENT)
        for wrong in ([], [2], [1, 2], [1, 1]):
            self.assertEqual(self.reassign(topic, wrong), INVALID_ASSIGNMENT)
        self.assertEqual(self.reassign("missing", [1]), UNKNOWN_TOPIC)
        reader = self.client.call_compact(46, 0, number("i", 1000) + b"\0" + NO_TAGS)
        self.assertEqual(reader.take("ih"), (0, NONE))
        self.assertEqual((reader.compact(), reader.varint()), (None, 1))

    def test_log_folders(self):
        topic = self.make_topic()
        reader = self.client.call(35, 1, number("i", -1))
        reader.take("ii")
        self.assertEqual(reader.take("h"), NONE)
        folder = reader.string()
        for path, name, expected in [(folder, topic, NONE), ("/nowhere", topic, LOG_DIR_NOT_FOUND),
                                     (folder, "missing", UNKNOWN_TOPIC)]:
            with self.subTest(path=path, name=name):
                one = raw.string(name) + raw.array([number("i", 0)])
                reader = self.client.call(34, 1, raw.array([raw.string(path) + raw.array([one])]))
                self.assertEqual(reader.take("ii"), (0, 1))
                self.assertEqual(reader.string(), name)
                self.assertEqual(reader.take("iih"), (1, 0, expected))

    # --- the cluster ------------------------------------------------------------------------------

    def test_quorum(self):
        def ask(topic):
            one = number("i", 0) + NO_TAGS
            asked = raw.compact(topic) + raw.compact_array([one]) + NO_TAGS
            reader = self.client.call_compact(55, 2, raw.compact_array([asked]) + NO_TAGS)
            self.assertEqual(reader.take("h"), NONE)
            self.assertEqual((reader.compact(), reader.varint(), reader.compact(),
                              reader.varint()), (None, 2, topic, 2))
            return reader

        reader = ask("__cluster_metadata")
        self.assertEqual(reader.take("ih"), (0, NONE))
        self.assertEqual(reader.compact(), None)
        self.assertEqual(reader.take("iiq"), (1, 0, 0))
        self.assertEqual((reader.varint(), reader.take("i")), (2, 1))  # one voter: node 1
        self.assertEqual(ask("other").take("ih"), (0, UNKNOWN_TOPIC))
        reader = self.client.call_compact(55, 0, raw.compact_array([]) + NO_TAGS)
        self.assertEqual((reader.take("h"), reader.varint()), (NONE, 1))

    def test_nodes_and_voters_stay(self):
        for node, expected in [(1, INVALID_REQUEST), (7, NOT_REGISTERED)]:
            reader = self.client.call_compact(64, 0, number("i", node) + NO_TAGS)
            self.assertEqual(reader.take("ih"), (0, expected))
        uuid = bytes(16)
        for api, body in [(80, b"\0" + number("ii", 1000, 2) + uuid + raw.compact_array([])),
                          (81, b"\0" + number("i", 1) + uuid)]:
            reader = self.client.call_compact(api, 0, body + NO_TAGS)
            self.assertEqual(reader.take("ih"), (0, UNSUPPORTED_VERSION))
            body = raw.compact("of-another-cluster") + body[1:]
            reader = self.client.call_compact(api, 0, body + NO_TAGS)
            self.assertEqual(reader.take("ih"), (0, OTHER_CLUSTER))

    def test_features(self):
        update = raw.compact("no.such.feature") + number("hb", 3, 1) + NO_TAGS
        body = number("i", 1000) + raw.compact_array([update]) + number("b", 0) + NO_TAGS
        reader = self.client.call_compact(57, 2, body)
        self.assertEqual(reader.take("ih"), (0, INVALID_UPDATE))
        self.assertIn("no.such.feature", reader.compact())
        reader = self.client.call_compact(57, 1, body)
        self.assertEqual(reader.take("ih"), (0, INVALID_UPDATE))
        self.assertIn("no.such.feature", reader.compact())
        self.assertEqual(reader.varint(), 1)  # one error stands for all
        for kind, expected in [(1, NONE), (0, INVALID_UPDATE), (9, INVALID_UPDATE)]:
            update = raw.compact("transaction.version") + number("hb", 2, kind) + NO_TAGS
            body = number("i", 1000) + raw.compact_array([update]) + number("b", 1) + NO_TAGS
            reader = self.client.call_compact(57, 2, body)
            self.assertEqual(reader.take("ih"), (0, expected))

    def test_log_level(self):
        name = "1"
        before = self.client.describe_settings(LOGGER, name)
        self.assertEqual(list(before), ["root"])
        self.assertEqual(self.client.alter_setting(LOGGER, name, "root", "DEBUG")[0], NONE)
        self.assertEqual(self.client.describe_settings(LOGGER, name), {"root": "DEBUG"})
        for key, value, op, expected in [("root", "LOUD", 0, INVALID_CONFIG),
                                         ("kafka", "INFO", 0, INVALID_CONFIG),
                                         ("root", None, 1, INVALID_REQUEST),
                                         ("root", "INFO", 2, INVALID_REQUEST)]:
            with self.subTest(key=key, value=value, op=op):
                self.assertEqual(self.client.alter_setting(LOGGER, name, key, value, op)[0],
                                 expected)
        self.assertEqual(self.client.alter_setting(LOGGER, "9", "root", "INFO")[0],
                         INVALID_REQUEST)
        self.assertEqual(self.client.alter_setting(LOGGER, name, "root", before["root"])[0], NONE)
        self.assertEqual(self.client.describe_settings(LOGGER, name), before)

    def test_everything_is_advertised(self):
        code, ranges = self.client.api_versions()
        self.assertEqual(code, NONE)
        for api in (29, 30, 31, 34, 38, 39, 40, 41, 43, 45, 46, 48, 49, 50, 51, 55, 57, 64, 80, 81):
            self.assertIn(api, ranges)

    # --- topics page by page ----------------------------------------------------------------------

    def pages(self, names, limit, cursor=None):
        """DescribeTopicPartitions 0: ([(code, name, partitions)], the next cursor)."""
        client = flex.Client(self.server.port)
        self.addCleanup(client.close)
        after = b"\xff" if cursor is None else (
            b"\1" + flex.string(cursor[0]) + number("i", cursor[1]) + NO_TAGS)
        reader = client.ask(75, 0, flex.array([flex.string(name) + NO_TAGS for name in names])
                            + number("i", limit) + after + NO_TAGS)
        reader.take("i")

        def partition():
            index = reader.take("hi")[1]
            reader.take("ii")
            for _ in range(5):
                reader.values(lambda: reader.take("i"))
            return index

        def topic():
            code, name = reader.take("h"), reader.text()
            reader.uuid()
            reader.take("b")
            partitions = reader.rows(partition)
            reader.take("i")
            return code, name, partitions

        topics = reader.rows(topic)
        return topics, None if reader.take("b") < 0 else (reader.text(), reader.take("i"))

    def test_a_full_page_ends_before_a_topic_that_is_not_there(self):
        topic = self.make_topic()
        missing = topic + "-missing"
        found = [(NONE, topic, [0])]
        self.assertEqual(self.pages([missing, topic], 1), (found, (missing, 0)))
        self.assertEqual(self.pages([missing, topic], 1, (missing, 0)),
                         ([(UNKNOWN_TOPIC, missing, [])], None))

    def test_a_cursor_stands_in_a_topic_that_was_asked_for(self):
        topic = self.make_topic()
        names = [topic, topic + "-missing"]
        refused = [(INVALID_REQUEST, name, []) for name in names]
        self.assertEqual(self.pages(names, 9, ("a", 0)), (refused, None))
        self.assertEqual(self.pages(names, 9, (names[1], -1)), (refused, None))
        self.assertEqual(self.pages([], 9, (topic, -1)), ([], None))


if __name__ == "__main__":
    unittest.main()
