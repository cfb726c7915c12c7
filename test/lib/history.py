"""Checks what clients of a partitioned log saw against what such a log may do."""
# SPDX-License-Identifier: Apache-2.0
#
# A history is a list of facts, each with the time it began and ended on one monotonic clock:
# sends (a unique value, and what came of it), polls (what a consumer was given), answers to the
# question for the end of a partition, and one scan of everything at the end, when all is calm.
# Every rule below is one method; each yields an anomaly for each way in which it is broken.
import bisect
import collections
import dataclasses
import heapq
import typing

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"


@dataclasses.dataclass
class Send:
    """One record handed to a producer. sequence counts a producer's records to one partition."""
    value: bytes
    partition: int
    producer: str
    sequence: int
    idempotent: bool
    began_ns: int
    ended_ns: typing.Optional[int] = None
    outcome: str = UNKNOWN
    offset: typing.Optional[int] = None


@dataclasses.dataclass
class Poll:
    """Records given to a reader in one go; a reader that starts again takes a new name."""
    reader: str
    partition: int
    records: list  # of (offset, value)
    began_ns: int


@dataclasses.dataclass
class End:
    """An answer to: what offset comes next?"""
    partition: int
    offset: int
    began_ns: int
    ended_ns: int


@dataclasses.dataclass
class Scan:
    """Everything that a partition holds at the end."""
    partition: int
    records: list  # of (offset, value)


class Anomaly(typing.NamedTuple):
    """A rule and the facts that break it."""
    rule: str
    facts: str


class History:
    """Collects facts; check() says what is wrong with them."""

    def __init__(self):
        self.sends = []
        self.polls = []
        self.ends = []
        self.scans = []

    def check(self):
        """All anomalies, none when the log did what it promised."""
        checker = _Checker(self)
        found = []
        for rule in (checker.lost, checker.duplicated, checker.invented, checker.refused_but_seen,
                     checker.two_values, checker.scan_disorder, checker.real_time,
                     checker.producer_order, checker.reader_order, checker.end_stale,
                     checker.end_back):
            name = rule.__name__.replace("_", "-")
            found += [Anomaly(name, facts) for facts in rule()]
        return found


class _Checker:
    """The history arranged by partition, value and offset."""

    def __init__(self, history):
        self.history = history
        self.by_value = {}
        for send in history.sends:
            if send.value in self.by_value:
                raise ValueError(f"the value {send.value!r} was sent twice: not a history")
            self.by_value[send.value] = send
        self.stored = collections.defaultdict(dict)  # partition -> offset -> value
        self.places = collections.defaultdict(list)  # value -> (partition, offset)
        for scan in history.scans:
            self.stored[scan.partition].update(scan.records)
            for offset, value in scan.records:
                self.places[value].append((scan.partition, offset))
        self.acknowledged = [
            send for send in history.sends if send.outcome == ACKNOWLEDGED]

    def _sightings(self):
        """Every (partition, offset, value, who) that anybody was told."""
        for send in self.acknowledged:
            if send.offset is not None:
                yield send.partition, send.offset, send.value, "its acknowledgement"
        for poll in self.history.polls:
            for offset, value in poll.records:
                yield poll.partition, offset, value, f"reader {poll.reader}"
        for scan in self.history.scans:
            for offset, value in scan.records:
                yield scan.partition, offset, value, "the scan"

    def lost(self):
        """What was acknowledged is there at the end."""
        scanned = {scan.partition for scan in self.history.scans}
        for send in self.acknowledged:
            if send.partition in scanned and send.value not in self.places:
                yield f"{send.value!r} of partition {send.partition}, offset {send.offset}"

    def duplicated(self):
        """What an idempotent producer sent once is there once."""
        for value, places in self.places.items():
            send = self.by_value.get(value)
            if send and send.idempotent and len(places) > 1:
                yield f"{value!r} at {places}"

    def invented(self):
        """Nothing is there, or was given to a reader, that nobody sent to that partition."""
        for partition, offset, value, who in self._sightings():
            send = self.by_value.get(value)
            if send is None or send.partition != partition:
                yield f"{value!r} at {partition}/{offset}, says {who}"

    def refused_but_seen(self):
        """What was refused for good is in no log and was given to nobody."""
        for partition, offset, value, who in self._sightings():
            send = self.by_value.get(value)
            if send is not None and send.outcome == REFUSED:
                yield f"{value!r} at {partition}/{offset}, says {who}"

    def two_values(self):
        """A place in a log holds one value for ever, whoever is asked and whenever."""
        told = {}
        for partition, offset, value, who in self._sightings():
            first = told.setdefault((partition, offset), (value, who))
            if first[0] != value:
                yield f"{partition}/{offset}: {first[0]!r} says {first[1]}, {value!r} says {who}"

    def scan_disorder(self):
        """Offsets of a scan rise."""
        for scan in self.history.scans:
            offsets = [offset for offset, _ in scan.records]
            for before, after in zip(offsets, offsets[1:]):
                if after <= before:
                    yield f"partition {scan.partition}: {after} after {before}"

    def _placed(self):
        """partition -> (offset, send) of every send whose place is known, by rising offset."""
        placed = collections.defaultdict(list)
        for send in self.history.sends:
            places = self.places.get(send.value)
            offset = send.offset
            if offset is None and places:
                offset = min(place for _, place in places)
            if offset is not None and send.outcome != REFUSED:
                placed[send.partition].append((offset, send))
        for sends in placed.values():
            sends.sort(key=lambda pair: pair[0])
        return placed

    def real_time(self):
        """A record that was acknowledged before another was sent lies before it."""
        for partition, sends in self._placed().items():
            first_end = None
            for offset, send in reversed(sends):
                if first_end is not None and first_end[0] < send.began_ns:
                    yield (f"partition {partition}: {first_end[1]} was acknowledged before "
                           f"{offset} was sent")
                if send.outcome == ACKNOWLEDGED:
                    end = (send.ended_ns, offset)
                    first_end = end if first_end is None else min(first_end, end)

    def producer_order(self):
        """The records of an idempotent producer lie in the order in which it sent them."""
        last = {}
        for partition, sends in self._placed().items():
            for offset, send in sends:
                if not send.idempotent:
                    continue
                key = (send.producer, partition)
                before = last.get(key)
                if before and before[0] >= send.sequence:
                    yield (f"producer {send.producer}, partition {partition}: number "
                           f"{send.sequence} at {offset}, {before[0]} at {before[1]}")
                last[key] = (send.sequence, offset)

    def reader_order(self):
        """A reader's offsets rise and leave out nothing that the log holds."""
        readers = collections.defaultdict(list)
        for poll in self.history.polls:
            readers[(poll.reader, poll.partition)].append(poll)
        for (reader, partition), polls in readers.items():
            polls.sort(key=lambda poll: poll.began_ns)
            kept = sorted(self.stored.get(partition, ()))
            last = None
            for offset in (offset for poll in polls for offset, _ in poll.records):
                if last is not None and offset <= last:
                    yield f"{reader}, partition {partition}: {offset} after {last}"
                elif last is not None:
                    skipped = kept[bisect.bisect_right(kept, last):
                                   bisect.bisect_left(kept, offset)]
                    if skipped:
                        yield f"{reader}, partition {partition}: {skipped[:4]} left out"
                last = offset

    def end_stale(self):
        """An end covers every record that was acknowledged before the question was put."""
        waiting = collections.defaultdict(list)
        for send in self.acknowledged:
            if send.offset is not None:
                waiting[send.partition].append((send.ended_ns, send.offset))
        for partition, sends in waiting.items():
            heapq.heapify(sends)
            highest = -1
            for end in self._ends(partition):
                while sends and sends[0][0] < end.began_ns:
                    highest = max(highest, heapq.heappop(sends)[1])
                if end.offset <= highest:
                    yield f"partition {partition}: end {end.offset}, acknowledged {highest}"

    def end_back(self):
        """An end that was asked for after another had come is not lower."""
        for partition in {end.partition for end in self.history.ends}:
            known = []
            highest = -1
            for end in self._ends(partition):
                while known and known[0][0] < end.began_ns:
                    highest = max(highest, heapq.heappop(known)[1])
                if end.offset < highest:
                    yield f"partition {partition}: {end.offset} after {highest}"
                heapq.heappush(known, (end.ended_ns, end.offset))

    def _ends(self, partition):
        return sorted((end for end in self.history.ends if end.partition == partition),
                      key=lambda end: end.began_ns)


def report(anomalies, shown=5):
    """The anomalies in words for a failed test."""
    rules = collections.defaultdict(list)
    for anomaly in anomalies:
        rules[anomaly.rule].append(anomaly.facts)
    return "\n".join(f"{rule}: {len(facts)}, such as " + "; ".join(facts[:shown])
                     for rule, facts in rules.items())
