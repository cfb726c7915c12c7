"""Builds and reads record batches (magic 2) by hand, so that bytes can be compared."""
# SPDX-License-Identifier: Apache-2.0
import struct

HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_SIZE = 61


def _make_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


TABLE = _make_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    table = TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def _sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, key, value, headers=(), timestamp_delta=0):
    body = b"\0" + varint(timestamp_delta) + varint(delta) + _sized(key) + _sized(value)
    body += varint(len(headers))
    for name, content in headers:
        body += _sized(name) + _sized(content)
    return varint(len(body)) + body


def build(records, timestamp_ms, **fields):
    """One batch of (key, value, headers) tuples; fields replace what the header would say."""
    body = b"".join(record(i, *each) for i, each in enumerate(records))
    return wrap(fields.pop("body", body), len(records), timestamp_ms, **fields)


def wrap(body, record_count, timestamp_ms, **fields):
    """The header before the bytes of the records, which may be compressed or wrong."""
    get = fields.get
    tail = struct.pack(
        ">hiqqqhii", get("attributes", 0), get("last_delta", record_count - 1), timestamp_ms,
        get("timestamp_max_ms", timestamp_ms), get("producer_id", -1), get("producer_epoch", -1),
        get("sequence", -1), get("count", record_count)) + body
    crc = get("crc", crc32c(tail))
    size = get("size", len(tail) + 9)
    head = struct.pack(">qiibI", get("offset", 0), size, get("epoch", -1), get("magic", 2), crc)
    return head + tail


class Batch:
    """A batch as it came from the server."""

    def __init__(self, data):
        self.data = data
        (self.offset, self.size, self.epoch, self.magic, self.crc, self.attributes,
         self.last_delta, self.timestamp_ms, self.timestamp_max_ms, self.producer_id,
         self.producer_epoch, self.sequence, self.count) = HEADER.unpack_from(data)

    def is_sound(self):
        return self.magic == 2 and crc32c(self.data[21:]) == self.crc

    def sent(self):
        """The bytes without base offset and leader epoch, which the server stamps."""
        return self.data[8:12] + self.data[16:]

    def records(self):
        """(offset, key, value, headers) of a batch that is not compressed."""
        at = HEADER_SIZE
        for _ in range(self.count):
            _, at = read_varint(self.data, at)
            at += 1
            _, at = read_varint(self.data, at)
            delta, at = read_varint(self.data, at)
            key, at = self._sized(at)
            value, at = self._sized(at)
            count, at = read_varint(self.data, at)
            headers = []
            for _ in range(count):
                name, at = self._sized(at)
                content, at = self._sized(at)
                headers.append((name, content))
            yield self.offset + delta, key, value, headers

    def _sized(self, at):
        size, at = read_varint(self.data, at)
        return (None, at) if size < 0 else (self.data[at:at + size], at + size)


def split(data):
    """The whole batches in the bytes of a fetch."""
    at = 0
    while at + HEADER_SIZE <= len(data):
        size = struct.unpack_from(">i", data, at + 8)[0] + 12
        if size < HEADER_SIZE or at + size > len(data):
            return
        yield Batch(data[at:at + size])
        at += size
