"""What groups cost: a log that stays small, a quick return, heartbeats for next to nothing."""
# SPDX-License-Identifier: Apache-2.0
import os
import resource
import selectors
import struct
import time
import unittest

from lib import case
from lib import raw

JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 11, 12, 13, 14
OFFSET_COMMIT, OFFSET_FETCH = 8, 9
COORDINATOR_LOAD_IN_PROGRESS, REBALANCE_IN_PROGRESS = 14, 27
COMMITS = int(os.environ.get("LEAT_COMMITS", str(100000 // case.SLOWER)))
GROUPS = int(os.environ.get("LEAT_GROUPS", str(1000 // case.SLOWER)))
HEARTBEAT_S = 3
MEMBERS = 100
WINDOW = 200
DEADLINE_S = 60 * case.SLOWER
LOG = "__consumer_offsets"


def blob(data):
    return struct.pack(">i", len(data)) + data


def commit_body(group, topic, partition, offset, generation=-1, member=""):
    """OffsetCommit 2."""
    one = struct.pack(">iq", partition, offset) + raw.string("words")
    return (raw.string(group) + struct.pack(">i", generation) + raw.string(member)
            + struct.pack(">q", -1) + raw.array([raw.string(topic) + raw.array([one])]))


def commit_code(reader):
    found = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ih"))))
    return found[0][1][0][1]


def fetch_committed(client, group, topic, partitions):
    """Like fetch_once, until the state is loaded: the server holds each call back for a while."""
    until = time.monotonic() + 60
    found, code = fetch_once(client, group, topic, partitions)
    while code == COORDINATOR_LOAD_IN_PROGRESS and time.monotonic() < until:
        found, code = fetch_once(client, group, topic, partitions)
    return found, code


def fetch_once(client, group, topic, partitions):
    """OffsetFetch 1: ({partition: offset}, a code that is not 0)."""
    asked = raw.array([struct.pack(">i", p) for p in partitions])
    reader = client.call(OFFSET_FETCH, 1,
                         raw.string(group) + raw.array([raw.string(topic) + asked]))

    def partition():
        index, offset = reader.take("iq")
        reader.string()
        return index, offset, reader.take("h")

    rows = reader.array(lambda: (reader.string(), reader.array(partition)))[0][1]
    return ({index: offset for index, offset, _ in rows},
            next((code for *_, code in rows if code), 0))


def join_body(group, member):
    """JoinGroup 2, before member ids were demanded."""
    return (raw.string(group) + struct.pack(">ii", 30000, 60000) + raw.string(member)
            + raw.string("consumer") + raw.array([raw.string("range") + blob(b"me")]))


def join_answer(reader):
    """(error code, generation, member id)."""
    reader.take("i")
    code, generation = reader.take("hi")
    reader.string()
    reader.string()
    return code, generation, reader.string()


def heartbeat_body(group, generation, member):
    return raw.string(group) + struct.pack(">i", generation) + raw.string(member)


class OffsetsLogTest(case.ServerCase):

    def folder_bytes(self):
        """The largest folder of a partition."""
        sizes = [0]
        for folder, _, files in os.walk(self.server.data):
            if folder.rpartition("-")[2].isdigit():
                sizes.append(sum(os.stat(os.path.join(folder, name)).st_blocks * 512
                                 for name in files))
        return max(sizes)

    def commit_many(self, clients, topic, first, count):
        """Many commits to ten partitions of a topic, by a group of its name; a client each."""
        for number in range(first, first + count + WINDOW):
            if number >= first + WINDOW:
                client = clients[(number - WINDOW) % 10]
                self.assertEqual(commit_code(client.receive()[1]), 0)
            if number < first + count:
                clients[number % 10].send(OFFSET_COMMIT, 2,
                                          commit_body(topic, topic, number % 10, number))

    def ten(self):
        return [self.raw() for _ in range(10)]

    def wanted(self, last):
        return {number % 10: number for number in range(last - 9, last + 1)}

    def where(self, client):
        """(start, end) of the one partition of the log that has something."""
        for partition in range(50):
            _, _, end = client.list_offset(LOG, partition, raw.LATEST)
            if end > 0:
                _, _, start = client.list_offset(LOG, partition, raw.EARLIEST)
                return start, end
        return 0, 0

    def test_many_commits_stay_small_and_come_back_quickly(self):
        topic = self.make_topic(10)
        clients = self.ten()
        began = time.monotonic()
        largest = 0
        for first in range(0, COMMITS, 20000):
            count = min(20000, COMMITS - first)
            self.commit_many(clients, topic, first, count)
            largest = max(largest, self.folder_bytes())
        took_s = time.monotonic() - began
        last = COMMITS - 1
        start, end = self.where(clients[0])
        self.server.restart(kill=True)
        ready_s = self.server.start_s
        with self.raw() as again:
            began = time.monotonic()
            found, code = fetch_committed(again, topic, topic, range(10))
            load_s = time.monotonic() - began
            self.assertEqual((found, code), (self.wanted(last), 0))
        print(f"\n{COMMITS} commits in {took_s:.1f} s; log of group state [{start}, {end}), its "
              f"folder at most {largest >> 20} MiB; after a kill ready in {ready_s:.3f} s, offsets "
              f"in {load_s * 1000:.1f} ms", flush=True)
        if COMMITS >= 100000:
            self.assertGreater(start, end // 2)
        self.assertLess(largest, 64 << 20)
        self.assertLess(load_s, 1 * case.SLOWER)

    def test_kills_while_it_is_rewritten(self):
        """Whatever was acknowledged is there after each kill, whenever it comes."""
        topic = self.make_topic(10)
        done = 0
        for life in range(6):
            clients = self.ten()
            count = 20000 // case.SLOWER + life * 3777
            self.commit_many(clients, topic, done, count)
            done += count
            for number in range(done, done + 100):  # and some that nobody waits for
                clients[number % 10].send(OFFSET_COMMIT, 2,
                                          commit_body(topic, topic, number % 10, number))
            self.server.restart(kill=True)
            with self.raw() as client:
                found, code = fetch_committed(client, topic, topic, range(10))
                self.assertEqual(code, 0)
                for partition, number in self.wanted(done - 1).items():
                    self.assertGreaterEqual(found[partition], number)
                    self.assertEqual(found[partition] % 10, partition)
                    self.assertLess(found[partition], done + 100)
            done += 100


class LeaveTest(case.ServerCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 0\n}\n"

    def test_who_has_left_is_not_waited_for(self):
        """After a kill at the moment of its answer either: the next member is let in at once."""
        for _ in range(6):
            with self.raw() as client:
                began = time.monotonic()
                code = COORDINATOR_LOAD_IN_PROGRESS
                while code == COORDINATOR_LOAD_IN_PROGRESS:
                    code, generation, member = join_answer(
                        client.call(JOIN_GROUP, 2, join_body("team", "")))
                self.assertEqual(code, 0)
                self.assertLess(time.monotonic() - began, 10 * case.SLOWER)  # its session has 30
                head = raw.string("team") + struct.pack(">i", generation) + raw.string(member)
                share = raw.array([raw.string(member) + blob(b"share")])
                reader = client.call(SYNC_GROUP, 1, head + share)
                self.assertEqual(reader.take("ih")[1], 0)
                reader = client.call(LEAVE_GROUP, 1, raw.string("team") + raw.string(member))
                self.assertEqual(reader.take("ih")[1], 0)
            self.server.restart(kill=True)


class HeartbeatTest(case.ServerCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 0\n}\n"

    def found_group(self, clients, group):
        """Three members, one a client: (generation, member ids)."""
        members = []
        generation = 0
        for newcomer in range(3):
            asked = []
            clients[newcomer].send(JOIN_GROUP, 2, join_body(group, ""))
            asked.append(newcomer)
            for number, member in enumerate(members):
                self.await_call(clients[number], heartbeat_body(group, generation, member))
                clients[number].send(JOIN_GROUP, 2, join_body(group, member))
                asked.append(number)
            answers = {number: join_answer(clients[number].receive()[1]) for number in asked}
            self.assertEqual({code for code, *_ in answers.values()}, {0})
            members.append(answers[newcomer][2])
            generation = answers[newcomer][1]
        shares = raw.array([raw.string(member) + blob(b"share") for member in members])
        for number, member in enumerate(members):
            head = raw.string(group) + struct.pack(">i", generation) + raw.string(member)
            clients[number].send(SYNC_GROUP, 1, head + (raw.array([]) if number else shares))
        for client in clients[:3]:
            reader = client.receive()[1]
            reader.take("i")
            self.assertEqual((reader.take("h"), reader.blob()), (0, b"share"))
        return generation, members

    def await_call(self, client, body):
        """Until a heartbeat says that the newcomer's join, from another connection, has come."""
        def called():
            reader = client.call(HEARTBEAT, 1, body)
            reader.take("i")
            return reader.take("h") == REBALANCE_IN_PROGRESS

        self.assertTrue(case.eventually(called, DEADLINE_S, step_s=0))

    def beat(self, connections, requests, seconds):
        """Each connection its request every HEARTBEAT_S, spread evenly; the answers' codes."""
        poll = selectors.DefaultSelector()
        for connection in connections:
            poll.register(connection.socket, selectors.EVENT_READ, connection)
        codes = {}
        began = time.monotonic()
        total = int(len(connections) * seconds / HEARTBEAT_S)
        sent = answered = 0
        while answered < total:
            due = min(total, int((time.monotonic() - began) * len(connections) / HEARTBEAT_S) + 1)
            while sent < due:
                connections[sent % len(connections)].socket.sendall(
                    requests[sent % len(connections)])
                sent += 1
            for key, _ in poll.select(0.001):
                reader = key.data.receive()[1]
                reader.take("i")
                code = reader.take("h")
                codes[code] = codes.get(code, 0) + 1
                answered += 1
        poll.close()
        return codes

    def test_heartbeats_cost_next_to_nothing(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        clients = [self.raw() for _ in range(3)]
        requests = []
        for number in range(GROUPS):
            group = f"team-{number}"
            generation, members = self.found_group(clients, group)
            requests += [raw.frame(HEARTBEAT, 1, 1, heartbeat_body(group, generation, member))
                         for member in members]
        connections = [self.raw() for _ in requests]
        self.assertEqual(list(self.beat(connections, requests, HEARTBEAT_S)), [0])
        began, cpu_s = time.monotonic(), self.server.cpu_s()
        codes = self.beat(connections, requests, 2 * HEARTBEAT_S)
        took_s, cpu_s = time.monotonic() - began, self.server.cpu_s() - cpu_s
        self.assertEqual(codes, {0: 2 * len(requests)})
        print(f"\n{GROUPS} groups of 3, {len(connections)} connections, "
              f"{len(requests) * 2 / took_s:.0f} heartbeats a second: "
              f"{100 * cpu_s / took_s:.2f} % of a core, "
              f"{cpu_s / (2 * len(requests)) * 1e6:.1f} us each", flush=True)


class CrowdTest(case.ServerCase):

    config = "kafka {\n  group.initial.rebalance.delay.ms: 1000\n}\n"

    def join_all(self, clients, members):
        """(generation, {number: member id}) of everybody in one generation."""
        for number, member in members.items():
            clients[number].send(JOIN_GROUP, 2, join_body("crowd", member))
        answers = {number: join_answer(clients[number].receive()[1]) for number in members}
        self.assertEqual({code for code, *_ in answers.values()}, {0})
        (generation,) = {found for _, found, _ in answers.values()}
        return generation, {number: member for number, (*_, member) in answers.items()}

    def sync_all(self, clients, members, generation):
        """All bring an assignment; the leader's counts."""
        shares = raw.array([raw.string(member) + blob(b"%d of %d" % (number, generation))
                            for number, member in members.items()])
        for number, member in members.items():
            head = raw.string("crowd") + struct.pack(">i", generation) + raw.string(member)
            clients[number].send(SYNC_GROUP, 1, head + shares)
        for number in members:
            reader = clients[number].receive()[1]
            reader.take("i")
            self.assertEqual((reader.take("h"), reader.blob()),
                             (0, b"%d of %d" % (number, generation)))

    def beat_all(self, clients, members, generation):
        codes = set()
        for number, member in members.items():
            reader = clients[number].call(HEARTBEAT, 1,
                                          heartbeat_body("crowd", generation, member))
            reader.take("i")
            codes.add(reader.take("h"))
        return codes

    def test_a_group_of_a_hundred(self):
        clients = [self.raw() for _ in range(MEMBERS)]
        members = dict.fromkeys(range(MEMBERS), "")
        for left in range(3):
            began = time.monotonic()
            generation, members = self.join_all(clients, members)
            self.sync_all(clients, members, generation)
            print(f"\n{len(members)} members: generation {generation} in "
                  f"{time.monotonic() - began:.3f} s", flush=True)
            self.assertEqual((generation, self.beat_all(clients, members, generation)),
                             (left + 1, {0}))
            gone = members.pop(left * 7)
            reader = clients[left * 7].call(LEAVE_GROUP, 1,
                                            raw.string("crowd") + raw.string(gone))
            reader.take("i")
            self.assertEqual(reader.take("h"), 0)
            self.assertEqual(self.beat_all(clients, members, generation),
                             {REBALANCE_IN_PROGRESS})


if __name__ == "__main__":
    unittest.main()
