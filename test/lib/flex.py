"""Flexible messages of the Kafka protocol, and the calls of the newer group protocol."""
# SPDX-License-Identifier: Apache-2.0
import struct
import uuid

from lib import raw

OFFSET_COMMIT, OFFSET_FETCH, HEARTBEAT, METADATA = 8, 9, 68, 3
DESCRIBE, LIST_GROUPS, DESCRIBE_GROUPS, DELETE_GROUPS = 69, 16, 15, 42
TAGS = b"\0"


def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text):
    return varint(0) if text is None else varint(len(text.encode()) + 1) + text.encode()


def array(items):
    return varint(0) if items is None else varint(len(items) + 1) + b"".join(items)


class Reader(raw.Reader):

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self):
        size = self.varint()
        return None if size == 0 else self.bytes_of(size - 1).decode()

    def rows(self, read):
        """An array of structures, each with its tags."""
        count = self.varint()
        return None if count == 0 else [self.tagged(read) for _ in range(count - 1)]

    def values(self, read):
        count = self.varint()
        return None if count == 0 else [read() for _ in range(count - 1)]

    def tagged(self, read):
        result = read()
        self.tags()
        return result

    def tags(self):
        for _ in range(self.varint()):
            self.varint()
            self.bytes_of(self.varint())

    def uuid(self):
        return uuid.UUID(bytes=self.bytes_of(16))


class Client(raw.Client):

    def ask(self, api, version, body):
        """A request with flexible headers; the reader stands behind the header of the answer."""
        self.correlation += 1
        head = struct.pack(">hhi", api, version, self.correlation) + raw.string("next") + TAGS
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        got, reader = self.receive()
        if got != self.correlation:
            raise raw.Closed(f"the answer is for request {got}, not {self.correlation}")
        flexible = Reader(reader.data)
        flexible.at = reader.at
        flexible.tags()
        return flexible

    def topic_id(self, name):
        """From Metadata 12."""
        one = bytes(16) + string(name) + TAGS
        reader = self.ask(METADATA, 12, array([one]) + b"\0\0" + TAGS)
        reader.take("i")
        reader.rows(lambda: (reader.take("i"), reader.text(), reader.take("i"), reader.text()))
        reader.text()
        reader.take("i")
        reader.varint()
        reader.take("h")
        reader.text()
        return reader.uuid()

    def heartbeat(self, group, member, epoch, **options):
        """A dict of the answer; assignment is None or {topic id: [partitions]}."""
        get = options.get
        topics, owned = get("topics"), get("owned")
        parts = None if owned is None else [
            topic.bytes + array([struct.pack(">i", p) for p in partitions]) + TAGS
            for topic, partitions in owned.items()]
        version = get("version", 1)
        body = (string(group) + string(member) + struct.pack(">i", epoch)
                + string(get("instance")) + string(get("rack"))
                + struct.pack(">i", get("rebalance_ms", -1))
                + array(None if topics is None else [string(topic) for topic in topics]))
        if version >= 1:
            body += string(get("regex"))
        body += string(get("assignor")) + array(parts) + TAGS
        reader = self.ask(HEARTBEAT, version, body)
        reader.take("i")
        answer = {"code": reader.take("h"), "words": reader.text(), "member": reader.text(),
                  "epoch": reader.take("i"), "interval_ms": reader.take("i"), "assignment": None}
        if reader.take("b") >= 0:
            answer["assignment"] = dict(reader.rows(
                lambda: (reader.uuid(), reader.values(lambda: reader.take("i")))))
        return answer

    def describe(self, group):
        """ConsumerGroupDescribe 1 of one group."""
        reader = self.ask(DESCRIBE, 1, array([string(group)]) + b"\0" + TAGS)
        reader.take("i")

        def parts():
            rows = reader.rows(lambda: (reader.uuid(), reader.text(),
                                        reader.values(lambda: reader.take("i"))))
            reader.tags()
            return {name: partitions for _, name, partitions in rows}

        def member():
            return {"id": reader.text(), "instance": reader.text(), "rack": reader.text(),
                    "epoch": reader.take("i"), "client": reader.text(), "host": reader.text(),
                    "topics": reader.values(reader.text), "regex": reader.text(),
                    "assignment": parts(), "target": parts(), "type": reader.take("b")}

        def one():
            return {"code": reader.take("h"), "words": reader.text(), "group": reader.text(),
                    "state": reader.text(), "epoch": reader.take("i"),
                    "assignment_epoch": reader.take("i"), "assignor": reader.text(),
                    "members": reader.rows(member), "operations": reader.take("i")}

        return reader.rows(one)[0]

    def list_groups(self, states=(), types=()):
        """ListGroups 5: {group: (protocol type, state, type)}."""
        body = array([string(s) for s in states]) + array([string(t) for t in types]) + TAGS
        reader = self.ask(LIST_GROUPS, 5, body)
        reader.take("ih")
        rows = reader.rows(lambda: (reader.text(), reader.text(), reader.text(), reader.text()))
        return {name: rest for name, *rest in rows}

    def describe_classic(self, group):
        """DescribeGroups 6: (code, words, state)."""
        reader = self.ask(DESCRIBE_GROUPS, 6, array([string(group)]) + b"\0" + TAGS)
        reader.take("i")
        reader.varint()
        return reader.take("h"), reader.text(), (reader.text(), reader.text())[1]

    def delete_group(self, group):
        reader = self.ask(DELETE_GROUPS, 2, array([string(group)]) + TAGS)
        reader.take("i")
        return reader.rows(lambda: (reader.text(), reader.take("h")))[0][1]

    def commit(self, group, member, epoch, topic_id, partition, offset):
        """OffsetCommit 10."""
        one = struct.pack(">iqi", partition, offset, -1) + string("words") + TAGS
        body = (string(group) + struct.pack(">i", epoch) + string(member) + string(None)
                + array([topic_id.bytes + array([one]) + TAGS]) + TAGS)
        reader = self.ask(OFFSET_COMMIT, 10, body)
        reader.take("i")
        rows = reader.rows(lambda: (reader.uuid(), reader.rows(lambda: reader.take("ih"))))
        return rows[0][1][0][1]

    def committed(self, group, member, epoch, topic_id, partition):
        """OffsetFetch 10: (offset, code of the group)."""
        topics = array([topic_id.bytes + array([struct.pack(">i", partition)]) + TAGS])
        one = string(group) + string(member) + struct.pack(">i", epoch) + topics + TAGS
        reader = self.ask(OFFSET_FETCH, 10, array([one]) + b"\0" + TAGS)
        reader.take("i")

        def part():
            index, offset, _ = reader.take("iqi")
            reader.text()
            return index, offset, reader.take("h")

        def group_row():
            name = reader.text()
            rows = reader.rows(lambda: (reader.uuid(), reader.rows(part)))
            return name, rows, reader.take("h")

        _, rows, code = reader.rows(group_row)[0]
        return (rows[0][1][0][1] if rows else None), code
