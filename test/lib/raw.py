"""A small Kafka client without a library: frames as bytes, for what real clients would hide."""
# SPDX-License-Identifier: Apache-2.0
import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID = 19, 20, 21, 22
API_VERSIONS, DESCRIBE_CONFIGS, CREATE_PARTITIONS, INCREMENTAL_ALTER_CONFIGS = 18, 32, 37, 44
DESCRIBE_PRODUCERS = 61
LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
TOPIC, BROKER = 2, 4
FRAME_MAX_BYTES = 256 << 20


class Closed(Exception):
    """The server closed the connection."""


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def varint(number):
    """Unsigned, as in compact sizes."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def compact(text):
    """A compact string, or compact bytes."""
    if text is None:
        return b"\0"
    data = text if isinstance(text, bytes) else text.encode()
    return varint(len(data) + 1) + data


def compact_array(items):
    return b"\0" if items is None else varint(len(items) + 1) + b"".join(items)


def frame(api, version, correlation, body, client_id="leat-test"):
    """A request whose header is not flexible, length included."""
    head = struct.pack(">hhi", api, version, correlation) + string(client_id)
    return struct.pack(">i", len(head) + len(body)) + head + body


class Reader:
    """Takes values off the front of a response."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, layout):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("h")
        return None if size < 0 else self.bytes_of(size).decode()

    def bytes_of(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def blob(self):
        size = self.take("i")
        return b"" if size < 0 else self.bytes_of(size)

    def array(self, read):
        return [read() for _ in range(self.take("i"))]


    def varint(self):
        number = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def compact(self):
        size = self.varint()
        return None if size == 0 else self.bytes_of(size - 1).decode()

    def compact_array(self, read):
        return [read() for _ in range(max(self.varint() - 1, 0))]


class Client:
    """One connection; calls wait for their answer unless they are only sent."""

    def __init__(self, port, timeout_s=30, host="127.0.0.1", client_id="leat-test"):
        self.client_id = client_id
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, api, version, body):
        self.correlation += 1
        self.socket.sendall(frame(api, version, self.correlation, body, self.client_id))
        return self.correlation

    def _exactly(self, size):
        out = bytearray(size)
        view = memoryview(out)
        at = 0
        while at < size:
            try:
                got = self.socket.recv_into(view[at:])
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if got == 0:
                raise Closed(f"after {at} of {size} bytes")
            at += got
        return bytes(out)

    def receive(self):
        """(correlation id, reader of the body) of the next answer."""
        size = struct.unpack(">i", self._exactly(4))[0]
        if not 4 <= size <= FRAME_MAX_BYTES:
            raise Closed(f"an answer of {size} bytes")
        data = self._exactly(size)
        reader = Reader(data)
        return reader.take("i"), reader

    def call(self, api, version, body):
        sent = self.send(api, version, body)
        got, reader = self.receive()
        if got != sent:
            raise Closed(f"the answer is for request {got}, not {sent}")
        return reader

    # --- one method an API, at a version whose layout is simple -----------------------------------

    def api_versions(self):
        """{key: (lowest, highest)} and the error code."""
        reader = self.call(API_VERSIONS, 0, b"")
        code = reader.take("h")
        ranges = reader.array(lambda: reader.take("hhh"))
        return code, {key: (low, high) for key, low, high in ranges}

    def metadata(self, topics=None):
        """{topic: (error code, {partition: error code})}; None asks for all."""
        names = struct.pack(">i", -1) if topics is None else array([string(t) for t in topics])
        reader = self.call(METADATA, 4, names + b"\0")
        reader.take("i")
        reader.array(lambda: (reader.take("i"), reader.string(), reader.take("i"),
                              reader.string()))
        reader.string()
        reader.take("i")
        found = {}
        for _ in range(reader.take("i")):
            code, name = reader.take("h"), reader.string()
            reader.take("b")
            partitions = {}
            for _ in range(reader.take("i")):
                error, index, _ = reader.take("hii")
                reader.array(lambda: reader.take("i"))
                reader.array(lambda: reader.take("i"))
                partitions[index] = error
            found[name] = (code, partitions)
        return found

    def create_topic(self, name, partitions=1, settings=None, timeout_ms=30000):
        pairs = [string(key) + string(value) for key, value in (settings or {}).items()]
        topic = string(name) + struct.pack(">ih", partitions, 1) + array([]) + array(pairs)
        reader = self.call(CREATE_TOPICS, 2, array([topic]) + struct.pack(">ib", timeout_ms, 0))
        reader.take("i")
        return reader.array(lambda: (reader.string(), reader.take("h"), reader.string()))[0][1:]

    def delete_topic(self, name, timeout_ms=30000):
        reader = self.call(DELETE_TOPICS, 1, array([string(name)]) + struct.pack(">i", timeout_ms))
        reader.take("i")
        return reader.array(lambda: (reader.string(), reader.take("h")))[0][1]

    def delete_records(self, name, partition, offset, timeout_ms=30000):
        """(low watermark, error code)."""
        one = array([struct.pack(">iq", partition, offset)])
        reader = self.call(DELETE_RECORDS, 1,
                           array([string(name) + one]) + struct.pack(">i", timeout_ms))
        reader.take("i")
        found = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("iqh"))))
        return found[0][1][0][1:]

    def init_producer_id(self):
        """(error code, producer id, epoch)."""
        reader = self.call(INIT_PRODUCER_ID, 1, string(None) + struct.pack(">i", 60000))
        reader.take("i")
        return reader.take("hqh")

    def call_compact(self, api, version, body):
        """As call, where the headers of request and response are flexible."""
        reader = self.call(api, version, b"\0" + body)
        reader.take("b")
        return reader

    @staticmethod
    def produce_body(name, partition, data, acks=-1, timeout_ms=30000):
        one = struct.pack(">ii", partition, len(data)) + data
        return (string(None) + struct.pack(">hi", acks, timeout_ms)
                + array([string(name) + array([one])]))

    @staticmethod
    def produce_answer(reader):
        """(error code, base offset, append time, log start) of the one partition."""
        found = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ihqqq"))))
        return found[0][1][0][1:]

    def produce(self, name, partition, data, acks=-1, version=7):
        body = self.produce_body(name, partition, data, acks)
        return self.produce_answer(self.call(PRODUCE, version, body))

    @staticmethod
    def fetch_body(name, partition, offset, **options):
        get = options.get
        size = get("size", 50 << 20)
        head = struct.pack(">iiiib", -1, get("wait_ms", 500), get("min_bytes", 1), size, 0)
        one = struct.pack(">iqi", partition, offset, get("partition_size", size))
        return head + array([string(name) + array([one])])

    @staticmethod
    def fetch_answer(reader):
        """(error code, high watermark, bytes) of the one partition."""
        reader.take("i")

        def partition():
            _, code, high, _ = reader.take("ihqq")
            reader.array(lambda: reader.take("qq"))
            return code, high, reader.blob()

        return reader.array(lambda: (reader.string(), reader.array(partition)))[0][1][0]

    def fetch(self, name, partition, offset, **options):
        body = self.fetch_body(name, partition, offset, **options)
        return self.fetch_answer(self.call(FETCH, 4, body))

    def list_offset(self, name, partition, timestamp):
        """(error code, timestamp, offset)."""
        one = array([struct.pack(">iq", partition, timestamp)])
        reader = self.call(LIST_OFFSETS, 1,
                           struct.pack(">i", -1) + array([string(name) + one]))
        found = reader.array(lambda: (reader.string(), reader.array(lambda: reader.take("ihqq"))))
        return found[0][1][0][1:]

    def describe_topic(self, name):
        return self.describe_settings(TOPIC, name)

    def describe_settings(self, kind, name, keys=None):
        """{setting: value} of a topic or broker, or the error code."""
        named = struct.pack(">i", -1) if keys is None else array([string(key) for key in keys])
        one = struct.pack(">b", kind) + string(name) + named
        reader = self.call(DESCRIBE_CONFIGS, 1, array([one]) + b"\0")
        reader.take("ii")
        code, _, _, _ = reader.take("h"), reader.string(), reader.take("b"), reader.string()

        def setting():
            key, value = reader.string(), reader.string()
            reader.take("bbb")
            reader.array(lambda: (reader.string(), reader.string(), reader.take("b")))
            return key, value

        return code or dict(reader.array(setting))

    def alter_topic(self, name, key, value, op=0):
        return self.alter_setting(TOPIC, name, key, value, op)

    def alter_setting(self, kind, name, key, value, op=0):
        """(error code, words) of one IncrementalAlterConfigs operation."""
        change = string(key) + struct.pack(">b", op) + string(value)
        one = struct.pack(">b", kind) + string(name) + array([change])
        reader = self.call(INCREMENTAL_ALTER_CONFIGS, 0, array([one]) + b"\0")
        reader.take("ii")
        return reader.take("h"), reader.string()

    def create_partitions(self, name, count, timeout_ms=30000):
        one = string(name) + struct.pack(">ii", count, -1)
        reader = self.call(CREATE_PARTITIONS, 0,
                           array([one]) + struct.pack(">ib", timeout_ms, 0))
        reader.take("ii")
        return reader.string(), reader.take("h"), reader.string()
