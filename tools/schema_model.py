# Reads schema/kafka/*.msg: versions, fields, structs and messages, without any C in them but names.
# SPDX-License-Identifier: Apache-2.0

import os
import re

SIZES = {"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8,
         "float64": 8, "uuid": 16}
C_TYPES = {"bool": "bool", "float64": "double", "string": "struct slice", "bytes": "struct slice",
           "uuid": "struct uuid", "records": "struct slice"}
VERSION_MAX = 32767


class SchemaError(Exception):
    pass


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Range:
    """Versions low to high, both included."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def within(self, other):
        return Range(max(self.low, other.low), min(self.high, other.high))

    def empty(self):
        return self.low > self.high

    def holds(self, version):
        return self.low <= version <= self.high

    def condition(self, outer):
        """C text that is true for these versions, None where every one of outer is."""
        low, high = self.low > outer.low, self.high < outer.high
        if self.empty():
            return "false"
        if low and high:
            if self.low == self.high:
                return "version == %d" % self.low
            return "version >= %d && version <= %d" % (self.low, self.high)
        if low:
            return "version >= %d" % self.low
        return "version <= %d" % self.high if high else None


def parse_range(text):
    match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
    if not match:
        raise SchemaError("not a version range: " + text)
    low = int(match[1])
    return Range(low, VERSION_MAX if match[2] else int(match[3] or low))


class Field:
    def __init__(self, words, versions, where):
        self.name, kind = words[0], words[1]
        self.array = kind.startswith("[]")
        self.kind = kind[2:] if self.array else kind
        self.struct, self.tag, self.null, self.plain, self.default = None, None, None, False, None
        self.versions, rest = versions, words[2:]
        self.where = where
        if rest and rest[0][0].isdigit():
            self.versions = parse_range(rest.pop(0)).within(versions)
        for word in rest:
            self.attribute(word)
        if self.null:
            self.null = self.null.within(self.versions)

    def attribute(self, word):
        key, _, value = word.partition("=")
        if key == "null":
            self.null = parse_range(value) if value else self.versions
        elif key == "tag":
            self.tag = int(value)
        elif key == "default":
            self.default = value
        elif word == "plain":
            self.plain = True
        else:
            raise SchemaError("%s: unknown word %s" % (self.where, word))

    def nullable_struct(self):
        return bool(self.struct and not self.array and self.null)


class Struct:
    def __init__(self, message, name, versions):
        self.short, self.message, self.fields = name, message, []
        self.versions = versions
        self.c_name = message.c_name + ("_" + name if name else "")
        # The name of its static functions: request_topic_read
        self.function = (message.function + "_" + name).strip("_")

    def plain_fields(self):
        return [field for field in self.fields if field.tag is None]

    def tagged_fields(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)


class Message:
    def __init__(self, c_name, function, versions, flexible):
        self.c_name, self.function = c_name, function
        self.versions, self.flexible = versions, flexible
        self.shared = []   # those that several fields use
        self.structs = []  # inner ones before those that hold them
        self.root = Struct(self, "", versions)

    def struct_named(self, name):
        return next((s for s in self.structs if s.short == name), None)

    def flexible_condition(self, versions):
        if self.flexible is None or self.flexible > versions.high:
            return "false"
        return "true" if self.flexible <= versions.low else "version >= %d" % self.flexible

    def is_flexible(self, version):
        return self.flexible is not None and version >= self.flexible


class File:
    """One .msg file: an API with request and response, or messages without one."""

    def __init__(self, path):
        self.stem = os.path.splitext(os.path.basename(path))[0]
        self.path, self.api, self.messages, self.comment = path, None, [], []
        with open(path, encoding="utf-8") as source:
            self.lines = source.read().split("\n")
        self.parse()

    def parse(self):
        stack = []  # (indentation, struct, versions)
        last = None
        for number, line in enumerate(self.lines, 1):
            where = "%s:%d" % (self.path, number)
            if line.startswith("#") and not self.messages and not self.api:
                self.comment.append(line.lstrip("# "))
            words = line.split("#")[0].split()
            if not words:
                continue
            indent = len(line) - len(line.lstrip())
            if indent == 0:
                self.head(words, where)
                if words[0] != "api":
                    message = self.messages[-1]
                    stack, last = [(0, message.root, message.versions)], None
                continue
            if last and indent > stack[-1][0]:
                inner = last if isinstance(last, Struct) else self.open_struct(last, where)
                stack.append((indent, inner, inner.versions))
            elif stack[-1][0] == 0:
                stack[-1] = (indent, stack[-1][1], stack[-1][2])
            while indent < stack[-1][0]:
                stack.pop()
            if indent != stack[-1][0] or len(words) < 2:
                raise SchemaError(where + ": wrong indentation or no type")
            if words[0] == "struct":
                last = Struct(self.messages[-1], words[1], self.messages[-1].versions)
                self.messages[-1].shared.append(last)
                continue
            last = Field(words, stack[-1][2], where)
            stack[-1][1].fields.append(last)
        for message in self.messages:
            for struct in message.shared:
                self.resolve(message, struct)
                message.structs.append(struct)
            self.resolve(message, message.root)
            message.structs.append(message.root)

    def head(self, words, where):
        options = dict(word.split("=") for word in words[1:] if "=" in word)
        versions = parse_range(options["versions"]) if "versions" in options else None
        flexible = int(options["flexible"]) if "flexible" in options else None
        if words[0] == "api":
            self.api = Api(words[1], versions, flexible, options)
            if snake(words[1]) != self.stem:
                raise SchemaError("%s: the file's name must be %s" % (where, snake(words[1])))
        elif words[0] in ("request", "response") and self.api:
            self.messages.append(Message("kafka_%s_%s" % (self.stem, words[0]), words[0],
                                         self.api.versions, self.api.flexible))
        elif words[0] == "message":
            self.messages.append(Message("kafka_" + snake(words[1]), snake(words[1]), versions,
                                         flexible))
        else:
            raise SchemaError(where + ": api, request, response or message expected")

    def open_struct(self, field, where):
        if field.kind in SIZES or field.kind in C_TYPES:
            raise SchemaError(where + ": fields below a field that is no struct")
        field.struct = Struct(self.messages[-1], field.kind, field.versions)
        return field.struct

    def resolve(self, message, struct):
        for field in struct.fields:
            if field.struct:
                self.resolve(message, field.struct)
                if message.struct_named(field.kind):
                    raise SchemaError("%s: struct %s twice" % (field.where, field.kind))
                message.structs.append(field.struct)
            elif field.kind not in SIZES and field.kind not in C_TYPES:
                field.struct = message.struct_named(field.kind)
                if not field.struct:
                    raise SchemaError("%s: unknown type %s" % (field.where, field.kind))
            if field.default and field.struct:
                raise SchemaError(field.where + ": a default needs a plain type")


class Api:
    def __init__(self, name, versions, flexible, options):
        self.name, self.versions, self.flexible = name, versions, flexible
        self.key = int(options["key"])
        told = options.get("advertise", options["versions"])
        self.advertise = Range(0, -1) if told == "none" else parse_range(told)
        # The response header never becomes flexible where the schema says so.
        self.response_flexible = None if options.get("response_header") == "0" else flexible
