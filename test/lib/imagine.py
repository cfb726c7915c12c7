"""Requests that nobody would write: well-formed ones of every API with words by chance."""
# SPDX-License-Identifier: Apache-2.0
import pathlib
import struct
import sys
import uuid

from lib import raw

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import schema_model  # pylint: disable=wrong-import-position,import-error

NUMBERS = {"int8": "b", "int16": "h", "uint16": "H", "int32": "i", "int64": "q", "float64": "d"}
# Words that mean something to some API or another.
WORDS = ("", "x", "user", "client-id", "ip", "127.0.0.1", "consumer", "range", "uniform",
         "roundrobin", "__consumer_offsets", "__transaction_state", "cleanup.policy", "compact",
         "-1", "1000", "retention.ms", "producer_byte_rate", "metrics", "*", ".*", "(a|b)*c{2,5}",
         "[", "Ongoing", "group.version", "PLAINTEXT", "\u00e9" * 7, "y" * 300)


def load():
    """The request of every API by its key."""
    found = {}
    for path in sorted((ROOT / "schema" / "kafka").glob("*.msg")):
        file = schema_model.File(str(path))
        if file.api:
            found[file.api.key] = next(m for m in file.messages if m.function == "request")
    return found


class Imagination:
    """Makes requests; names are those of topics, groups and others that are really there."""

    def __init__(self, dice, names):
        self.dice = dice
        self.names = list(names)
        self.ids = [uuid.UUID(int=0).bytes, uuid.UUID(int=7).bytes]
        self.requests = load()

    def frame(self, key, version):
        """None: there is no request of this version."""
        message = self.requests.get(key)
        if not message or not message.versions.holds(version):
            return None
        body = self.struct(message.root, version, message.is_flexible(version))
        if message.is_flexible(version):
            body = b"\0" + body
        return raw.frame(key, version, 1, body)

    def struct(self, of, version, flexible):
        out = b"".join(self.field(field, version, flexible) for field in of.plain_fields()
                       if field.versions.holds(version))
        return out + b"\0" if flexible else out

    def field(self, field, version, flexible):
        nullable = field.null and field.null.holds(version)
        flexible = flexible and not field.plain
        is_null = nullable and self.dice.random() < 0.3
        if field.array:
            return self.array(field, version, flexible, is_null)
        if field.struct:
            if field.null and nullable:
                return b"\xff" if is_null else b"\1" + self.struct(field.struct, version, flexible)
            return self.struct(field.struct, version, flexible)
        return self.value(field, flexible, is_null)

    def array(self, field, version, flexible, is_null):
        if is_null:
            return b"\0" if flexible else struct.pack(">i", -1)
        count = self.dice.choice((0, 1, 1, 1, 2, 3))
        if field.struct:
            items = [self.struct(field.struct, version, flexible) for _ in range(count)]
        else:
            items = [self.value(field, flexible, False) for _ in range(count)]
        return raw.compact_array(items) if flexible else raw.array(items)

    def value(self, field, flexible, is_null):
        kind = field.kind
        if kind == "bool":
            return self.dice.choice((b"\0", b"\1"))
        if kind == "uuid":
            return self.dice.choice(self.ids)
        if kind in NUMBERS:
            return self.number(field)
        if kind == "string":
            text = None if is_null else self.word()
            return raw.compact(text) if flexible else raw.string(text)
        data = None if is_null else self.dice.randbytes(self.dice.choice((0, 1, 20, 200)))
        if flexible:
            return raw.compact(data)
        return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data

    def word(self):
        return self.dice.choice(self.names if self.dice.random() < 0.6 else WORDS)

    def number(self, field):
        layout = NUMBERS[field.kind]
        if layout == "d":
            number = self.dice.choice((0.0, 1.5, -1.0, 1e300, float("nan"), float("inf"), 1000.0))
        elif field.name.endswith("_ms") and layout != "q":
            number = self.dice.choice((1, 10, 100, 300))  # so that answers come soon
        else:
            bits = 8 * struct.calcsize(layout)
            number = self.dice.choice((0, 0, 0, 1, 1, 2, 3, -1, -1, -2, 7, 2**(bits - 1) - 1,
                                       -2**(bits - 1), self.dice.randrange(2**(bits - 1))))
            if layout.isupper():
                number %= 2**bits
        return struct.pack(">" + layout, number)


def damaged(dice, data):
    """The same with some bytes changed, or cut short and announced as such; a new frame."""
    body = bytearray(data[4:])
    if dice.random() < 0.4:
        del body[dice.randrange(min(9, len(body)), len(body)):]
    else:
        for _ in range(dice.randrange(1, 4)):
            body[dice.randrange(min(8, len(body) - 1), len(body))] = dice.randrange(256)
    return struct.pack(">i", len(body)) + bytes(body)
