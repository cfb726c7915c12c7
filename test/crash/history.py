"""Proves that the history checker accepts a good history and catches every kind of bad one."""
# SPDX-License-Identifier: Apache-2.0
import copy
import unittest

from lib import history


def good():
    """Two producers, one reader, one scan, one question for the end."""
    made = history.History()
    for i in range(10):
        made.sends.append(history.Send(
            value=b"v%d" % i, partition=0, producer=f"p{i % 2}", sequence=i // 2, idempotent=True,
            began_ns=i * 10, ended_ns=i * 10 + 5, outcome=history.ACKNOWLEDGED, offset=i))
    records = [(i, b"v%d" % i) for i in range(10)]
    made.polls.append(history.Poll("r", 0, records[:5], 200))
    made.polls.append(history.Poll("r", 0, records[5:], 210))
    made.ends.append(history.End(0, 10, 300, 301))
    made.scans.append(history.Scan(0, list(records)))
    return made


class HistoryTest(unittest.TestCase):

    def assert_caught(self, rule, change):
        made = copy.deepcopy(good())
        change(made)
        rules = {anomaly.rule for anomaly in made.check()}
        self.assertIn(rule, rules)

    def test_good_history(self):
        self.assertEqual(good().check(), [])

    def test_unknown_outcome_may_be_there_or_not(self):
        made = good()
        for send in (made.sends[9], made.sends[8]):
            send.outcome, send.offset, send.ended_ns = history.UNKNOWN, None, None
        made.scans[0].records.pop()
        made.polls[1].records.pop()
        made.ends[0].offset = 9
        self.assertEqual(made.check(), [])

    def test_plain_producer_may_duplicate(self):
        made = good()
        for send in made.sends:
            send.idempotent = False
        made.scans[0].records.append((10, b"v0"))
        self.assertEqual(made.check(), [])

    def test_lost(self):
        self.assert_caught("lost", lambda made: made.scans[0].records.pop())

    def test_lost_everything(self):
        self.assert_caught("lost", lambda made: made.scans[0].records.clear())

    def test_duplicated(self):
        self.assert_caught(
            "duplicated", lambda made: made.scans[0].records.append((10, b"v0")))

    def test_invented(self):
        self.assert_caught(
            "invented", lambda made: made.scans[0].records.append((10, b"what")))

    def test_wrong_partition(self):
        self.assert_caught(
            "invented", lambda made: made.scans.append(history.Scan(1, [(0, b"v3")])))

    def test_read_but_gone(self):
        def change(made):
            made.polls[1].records.append((10, b"gone"))
        self.assert_caught("invented", change)

    def test_refused_but_seen(self):
        def change(made):
            made.sends[4].outcome, made.sends[4].offset = history.REFUSED, None
        self.assert_caught("refused-but-seen", change)

    def test_two_values(self):
        def change(made):
            made.scans[0].records[3] = (3, b"v9")
        self.assert_caught("two-values", change)

    def test_acknowledged_elsewhere(self):
        def change(made):
            made.sends[3].offset = 4
        self.assert_caught("two-values", change)

    def test_scan_disorder(self):
        self.assert_caught("scan-disorder", lambda made: made.scans[0].records.reverse())

    def test_real_time(self):
        def change(made):
            made.sends[2].offset, made.sends[7].offset = 7, 2
        self.assert_caught("real-time", change)

    def test_producer_order(self):
        def change(made):
            made.sends[2].offset, made.sends[8].offset = 8, 2
        self.assert_caught("producer-order", change)

    def test_reader_goes_back(self):
        def change(made):
            made.polls[1].records[0] = (3, b"v3")
        self.assert_caught("reader-order", change)

    def test_reader_leaves_out(self):
        self.assert_caught("reader-order", lambda made: made.polls[1].records.pop(0))

    def test_reader_twice(self):
        def change(made):
            made.polls[1].records.insert(0, made.polls[0].records[-1])
        self.assert_caught("reader-order", change)

    def test_end_stale(self):
        def change(made):
            made.ends[0].offset = 5
        self.assert_caught("end-stale", change)

    def test_end_back(self):
        self.assert_caught(
            "end-back", lambda made: made.ends.append(history.End(0, 9, 400, 401)))

    def test_value_sent_twice_is_no_history(self):
        made = good()
        made.sends.append(copy.copy(made.sends[0]))
        with self.assertRaises(ValueError):
            made.check()

    def test_report(self):
        made = good()
        made.scans[0].records.pop()
        self.assertIn("lost: 1", history.report(made.check()))


if __name__ == "__main__":
    unittest.main()
