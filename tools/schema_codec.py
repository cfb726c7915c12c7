# The C header and source of each Kafka message: structs, readers, writers, defaults.
# SPDX-License-Identifier: Apache-2.0

import re

from schema_model import C_TYPES, SIZES, Field, Range, SchemaError


COLUMNS = 100


def open_column(text):
    """The column behind the innermost parenthesis or brace that text leaves open, or None."""
    opened = []
    for position, letter in enumerate(text):
        if letter in "({":
            opened.append(position + 1)
        elif letter in ")}" and opened:
            opened.pop()
    return opened[-1] if opened else None


def wrap(line):
    """Breaks a long line behind a comma or before an operator, under its innermost parenthesis;
    where that leaves no room, behind a parenthesis."""
    lines, start = [], len(line) - len(line.lstrip())
    indent = start + 4
    while len(line) > COLUMNS:
        places = [m.end() for m in re.finditer(r", | (?=&& |\|\| |\+ )", line[:COLUMNS + 1])
                  if m.end() > indent]
        under = open_column(line[:places[-1]]) if places else None
        if not places or (under or indent) + len(line) - places[-1] > COLUMNS:
            if not lines and "(" in line:
                places, under = [line.index("(") + 1], start + 4
        if not places:
            break
        indent = under or indent
        lines.append(line[:places[-1]].rstrip())
        line = " " * indent + line[places[-1]:]
    return lines + [line]


class Code:
    """Lines of C with indentation."""

    def __init__(self):
        self.lines, self.depth = [], 0

    def add(self, text=""):
        self.lines.append("    " * self.depth + text if text else "")

    def open(self, text):
        self.add(text + " {")
        self.depth += 1

    def close(self, text="}"):
        self.depth -= 1
        self.add(text)

    def function(self, head):
        self.add(head)
        self.add("{")
        self.depth += 1

    def end(self):
        self.close()
        self.add()

    def text(self):
        whole = [part for line in self.lines for part in wrap(line)]
        return "\n".join(whole).rstrip("\n") + "\n"


def c_type(field, message):
    if field.struct:
        base = "struct " + field.struct.c_name
    elif field.kind == "records" and message.function == "response":
        base = "struct wire_records"
    else:
        base = C_TYPES.get(field.kind, field.kind + "_t")
    return base + " *" if field.array or field.nullable_struct() else base + " "


def size_min(field, message, version):
    """The fewest bytes of a field on the wire."""
    flexible = message.is_flexible(version)
    if field.array or field.kind in ("bytes", "records"):
        return 1 if flexible else 4
    if field.nullable_struct():
        return 1
    if field.struct:
        return struct_size_min(field.struct, version)
    if field.kind == "string":
        return 1 if flexible and not field.plain else 2
    return SIZES[field.kind]


def struct_size_min(struct, version):
    message = struct.message
    sizes = [size_min(field, message, version) for field in struct.plain_fields()
             if field.versions.holds(version)]
    return sum(sizes) + (1 if message.is_flexible(version) else 0)


def element_size_min(field, message):
    """The fewest bytes of an array's element in any version that has the array."""
    versions = [v for v in range(message.versions.low, message.versions.high + 1)
                if field.versions.holds(v)]
    element = Field([field.name, field.kind], field.versions, field.where)
    element.struct = field.struct
    return max(1, min(size_min(element, message, version) for version in versions))


def default_text(field):
    """The C value that a field has when nobody sets it; None for zero, null and empty."""
    if field.default is None:
        return None
    if field.kind == "int64" and abs(int(field.default)) > 2 ** 31:
        return "INT64_C(%s)" % field.default
    if field.default == "-2147483648":
        return "INT32_MIN"
    return field.default


def banner(code, what, source):
    code.add("// " + what)
    code.add("// SPDX-License-Identifier: Apache-2.0")
    code.add("// Made by tools/schema.py from %s; do not edit." % source)


# --- Headers ------------------------------------------------------------------------------------

def write_struct(code, struct):
    code.open("struct " + struct.c_name)
    whole = struct.versions
    for field in struct.fields:
        notes = []
        if field.versions.low > whole.low or field.versions.high < whole.high:
            notes.append(range_words(field.versions, whole))
        if field.null:
            same = (field.null.low, field.null.high) == (field.versions.low, field.versions.high)
            notes.append("may be null" if same else "may be null " + range_words(field.null, whole))
        if field.tag is not None:
            notes.append("tag %d" % field.tag)
        if field.default:
            notes.append("default " + field.default)
        note = " /* %s */" % ", ".join(notes) if notes else ""
        code.add("%s%s;%s" % (c_type(field, struct.message), field.name, note))
        if field.array:
            code.add("size_t %s_count;" % field.name)
    if not struct.fields:
        code.add("char unused; /* it has no fields */")
    code.close("};")
    code.add()


def range_words(versions, whole):
    if versions.high == whole.high:
        return "v%d+" % versions.low
    return "v%d" % versions.low + ("-%d" % versions.high if versions.high > versions.low else "")


def prototypes(message):
    name = message.c_name
    return {
        "init": "void %s_init(struct %s *out)" % (name, name),
        "read": "void %s_read(struct wire_reader *r, int16_t version, struct %s *out)"
                % (name, name),
        "decode": "enum err %s_decode(struct slice body, int16_t version, struct arena *arena, "
                  "struct %s *out)" % (name, name),
        "encode": "void %s_encode(const struct %s *in, int16_t version, struct wire_writer *w)"
                  % (name, name),
        "size": "size_t %s_size(const struct %s *in, int16_t version)" % (name, name),
    }


def write_header(file):
    code = Code()
    title = "Codec of %s." % (file.api.name if file.api else file.stem)
    banner(code, title, "schema/kafka/%s.msg" % file.stem)
    code.add("#pragma once")
    code.add()
    code.add('#include "wire/reader.h"')
    code.add('#include "wire/writer.h"')
    code.add()
    if file.api:
        upper = file.stem.upper()
        code.add("#define KAFKA_%s_VERSION_MIN %d" % (upper, file.api.versions.low))
        code.add("#define KAFKA_%s_VERSION_MAX %d" % (upper, file.api.versions.high))
        code.add()
    code.add("/* %s */" % "\n * ".join(file.comment))
    code.add()
    for message in file.messages:
        for struct in message.structs:
            write_struct(code, struct)
        for struct in message.structs[:-1]:
            code.add("void %s_init(struct %s *out);" % (struct.c_name, struct.c_name))
        made = prototypes(message)
        code.add("/* Sets the schema's defaults; every other field is zero, null or empty. */")
        code.add(made["init"] + ";")
        code.add("/* Reads one from a cursor and steps behind it; errors stick in the cursor. */")
        code.add(made["read"] + ";")
        code.add("/* ERR_UNSUPPORTED, ERR_TRUNCATED, ERR_INVALID, ERR_NO_MEMORY. Slices in out "
                 "point into body,\n * arrays lie in the arena. */")
        code.add("NODISCARD " + made["decode"] + ";")
        code.add("/* Writes it; errors stick in the writer. The version must be supported. */")
        code.add(made["encode"] + ";")
        code.add("/* Bytes on the wire, records that are gaps included. */")
        code.add(made["size"] + ";")
        code.add()
    return code.text()


# --- Sources ------------------------------------------------------------------------------------

def runs(fields, whole):
    """Groups neighbours that exist in the same versions: (condition or None, fields)."""
    groups = []
    for field in fields:
        condition = field.versions.condition(whole)
        if groups and groups[-1][0] == condition:
            groups[-1][1].append(field)
        else:
            groups.append((condition, [field]))
    return groups


def null_text(field):
    """C text that is true where null is allowed."""
    if not field.null:
        return "false"
    return field.null.condition(field.versions) or "true"


def read_one(field, reader):
    """The expression that reads one value of a field's type, structs excepted."""
    if field.kind == "string":
        if field.plain:
            return "wire_reader_string_plain(%s)" % reader
        if field.null and not field.array:
            return "wire_reader_string_nullable(%s, %s)" % (reader, null_text(field))
        return "wire_reader_string(%s)" % reader
    if field.kind in ("bytes", "records"):
        if field.null and not field.array:
            return "wire_reader_bytes_nullable(%s, %s)" % (reader, null_text(field))
        return "wire_reader_bytes(%s)" % reader
    return "wire_reader_%s(%s)" % (field.kind, reader)


def read_field(code, field, message, reader):
    at = "out->" + field.name
    if field.array:
        code.add("%s = wire_reader_array(%s, &%s_count, sizeof(*%s), %d, %s);"
                 % (at, reader, at, at, element_size_min(field, message), null_text(field)))
        error = reader[1:] + ".error" if reader.startswith("&") else reader + "->error"
        code.add("for (size_t i = 0; i < %s_count && %s == ERR_OK; i++)" % (at, error))
        if field.struct:
            code.add("    %s_read(%s, version, &%s[i]);" % (field.struct.function, reader, at))
        else:
            code.add("    %s[i] = %s;" % (at, read_one(field, reader)))
    elif field.nullable_struct():
        code.add("%s = wire_reader_struct(%s, sizeof(*%s));" % (at, reader, at))
        code.add("if (%s)" % at)
        code.add("    %s_read(%s, version, %s);" % (field.struct.function, reader, at))
    elif field.struct:
        code.add("%s_read(%s, version, &%s);" % (field.struct.function, reader, at))
    elif field.kind == "records" and message.function == "response":
        code.add("%s.bytes = %s;" % (at, read_one(field, reader)))
        code.add("%s.size = %s.bytes.size;" % (at, at))
    else:
        code.add("%s = %s;" % (at, read_one(field, reader)))


def write_tags_read(code, struct):
    code.function("static void %s_tags_read(struct wire_reader *r, int16_t version, "
                  "struct %s *out)" % (struct.function, struct.c_name))
    code.add("uint32_t left = wire_reader_tag_count(r);")
    code.open("for (; left > 0 && r->error == ERR_OK; left--)")
    code.add("uint32_t tag;")
    code.add("struct wire_reader field = wire_reader_tag(r, &tag);")
    flexible = Range(max(struct.message.flexible, struct.versions.low), struct.versions.high)
    for number, field in enumerate(struct.tagged_fields()):
        condition = field.versions.condition(flexible)
        test = "tag == %d" % field.tag + (" && " + condition if condition else "")
        code.open("%sif (%s)" % ("} else " if number else "", test))
        read_field(code, field, struct.message, "&field")
        code.depth -= 1
    code.depth += 1
    code.close("} else {")
    code.add("    continue; /* unknown: skipped */")
    code.add("}")
    code.add("wire_reader_tag_end(r, &field);")
    code.close()
    code.end()


def write_struct_read(code, struct):
    message, root = struct.message, struct is struct.message.root
    if struct.tagged_fields():
        write_tags_read(code, struct)
    if root:
        code.function(prototypes(message)["read"])
        code.add("r->flexible = %s;" % message.flexible_condition(struct.versions))
    else:
        code.function("static void %s_read(struct wire_reader *r, int16_t version, "
                      "struct %s *out)" % (struct.function, struct.c_name))
    code.add("%s_init(out);" % struct.c_name)
    write_runs(code, struct,
               lambda field: read_field(code, field, message, "r"))
    if struct.tagged_fields():
        code.add("%s_tags_read(r, version, out);" % struct.function)
    else:
        code.add("wire_reader_tags_skip(r);")
    code.end()


def write_runs(code, struct, emit):
    for condition, group in runs(struct.plain_fields(), struct.versions):
        if not condition:
            for field in group:
                emit(field)
            continue
        outer, code.lines = code.lines, []
        code.depth += 1
        for field in group:
            emit(field)
        code.depth -= 1
        inner, code.lines = code.lines, outer
        brace = len(inner) > 1
        code.add("if (%s)%s" % (condition, " {" if brace else ""))
        code.lines += inner
        if brace:
            code.add("}")


def write_one(field, value):
    null = field.null and not field.array
    if field.kind == "string" and field.plain:
        return "wire_writer_string_plain(w, %s);" % value
    if field.kind in ("string", "bytes", "records"):
        kind = "string" if field.kind == "string" else "bytes"
        if null:
            return "wire_writer_%s_nullable(w, %s, %s);" % (kind, value, null_text(field))
        return "wire_writer_%s(w, %s);" % (kind, value)
    if field.kind == "int16" and field.name.endswith("error_code"):
        return "wire_writer_error_code(w, %s);" % value
    return "wire_writer_%s(w, %s);" % (field.kind, value)


def write_field(code, field, message):
    at = "in->" + field.name
    if field.array:
        is_null = "false"
        if field.null:
            allowed = null_text(field)
            is_null = "!" + at if allowed == "true" else "%s && !%s" % (allowed, at)
        code.add("wire_writer_count(w, %s_count, %s);" % (at, is_null))
        code.add("for (size_t i = 0; i < %s_count; i++)" % at)
        if field.struct:
            code.add("    %s_write(w, version, &%s[i]);" % (field.struct.function, at))
        else:
            code.add("    " + write_one(field, at + "[i]"))
    elif field.nullable_struct():
        code.add("wire_writer_int8(w, %s ? 1 : -1);" % at)
        code.add("if (%s)" % at)
        code.add("    %s_write(w, version, %s);" % (field.struct.function, at))
    elif field.struct:
        code.add("%s_write(w, version, &%s);" % (field.struct.function, at))
    elif field.kind == "records" and message.function == "response":
        code.add("wire_writer_records(w, &%s);" % at)
    else:
        code.add(write_one(field, at))


def differs(field):
    """C text that is true when a tagged field is not at its default."""
    at = "in->" + field.name
    if field.array:
        return "%s%s" % (at, " != NULL" if field.null else "_count != 0")
    if field.nullable_struct():
        return at + " != NULL"
    if field.struct:
        return "!%s_is_default(&%s)" % (field.struct.function, at)
    if field.kind in ("string", "bytes"):
        return "%s.%s" % (at, "data != NULL" if field.null else "size != 0")
    if field.kind == "uuid":
        return "!uuid_is_zero(&%s)" % at
    if field.kind == "records":
        raise SchemaError(field.where + ": records cannot be tagged")
    return "%s != %s" % (at, default_text(field) or ("false" if field.kind == "bool" else "0"))


def write_is_default(code, struct):
    code.function("static bool %s_is_default(const struct %s *in)"
                  % (struct.function, struct.c_name))
    code.add("return !(%s);" % " || ".join(differs(field) for field in struct.fields))
    code.end()


def write_tags_write(code, struct):
    tagged = struct.tagged_fields()
    for field in tagged:
        if field.kind not in SIZES or field.array:
            code.function("static void %s_tag_%d_write(struct wire_writer *w, int16_t version, "
                          "const struct %s *in)" % (struct.function, field.tag, struct.c_name))
            write_field(code, field, struct.message)
            code.end()
    code.function("static void %s_tags_write(struct wire_writer *w, int16_t version, "
                  "const struct %s *in)" % (struct.function, struct.c_name))
    flexible = Range(max(struct.message.flexible, struct.versions.low), struct.versions.high)
    for field in tagged:
        condition = field.versions.condition(flexible)
        code.add("bool has_%s = %s%s;" % (field.name, condition + " && " if condition else "",
                                          differs(field)))
    code.add("wire_writer_tag_count(w, %s);"
             % " + ".join("(uint32_t)has_" + field.name for field in tagged))
    for field in tagged:
        code.open("if (has_%s)" % field.name)
        if field.kind in SIZES and not field.array:
            code.add("wire_writer_tag(w, %d, %d);" % (field.tag, SIZES[field.kind]))
            code.add(write_one(field, "in->" + field.name))
        else:
            helper = "%s_tag_%d_write" % (struct.function, field.tag)
            code.add("struct wire_writer counting;")
            code.add("wire_writer_init_counting(&counting);")
            code.add("counting.flexible = true;")
            code.add("%s(&counting, version, in);" % helper)
            code.add("wire_writer_tag(w, %d, counting.size);" % field.tag)
            code.add("%s(w, version, in);" % helper)
        code.close()
    code.end()


def write_struct_write(code, struct, defaults_asked):
    message, root = struct.message, struct is struct.message.root
    if struct in defaults_asked:
        write_is_default(code, struct)
    if struct.tagged_fields():
        write_tags_write(code, struct)
    if root:
        code.function(prototypes(message)["encode"])
        code.add("CHECK(version >= %d && version <= %d);"
                 % (message.versions.low, message.versions.high))
        code.add("w->flexible = %s;" % message.flexible_condition(struct.versions))
    else:
        code.function("static void %s_write(struct wire_writer *w, int16_t version, "
                      "const struct %s *in)" % (struct.function, struct.c_name))
    write_runs(code, struct,
               lambda field: write_field(code, field, message))
    if struct.tagged_fields():
        flexible = message.flexible_condition(struct.versions)
        if flexible not in ("true", "false"):
            code.add("if (%s)" % flexible)
            code.add("    %s_tags_write(w, version, in);" % struct.function)
        else:
            code.add("%s_tags_write(w, version, in);" % struct.function)
    else:
        code.add("wire_writer_tag_count(w, 0);")
    code.end()


def write_struct_init(code, struct):
    code.function("void %s_init(struct %s *out)" % (struct.c_name, struct.c_name))
    code.add("memset(out, 0, sizeof(*out));")
    for field in struct.fields:
        if field.struct and not field.array and not field.nullable_struct():
            code.add("%s_init(&out->%s);" % (field.struct.c_name, field.name))
        elif default_text(field):
            code.add("out->%s = %s;" % (field.name, default_text(field)))
    code.end()


def write_message_source(code, message):
    made = prototypes(message)
    defaults_asked = [f.struct for s in message.structs for f in s.tagged_fields()
                      if f.struct and not f.array]
    for struct in message.structs:
        write_struct_init(code, struct)
        write_struct_read(code, struct)
        write_struct_write(code, struct, defaults_asked)
    code.function(made["decode"])
    code.add("if (version < %d || version > %d)" % (message.versions.low, message.versions.high))
    code.add("    return ERR_UNSUPPORTED;")
    code.add("struct wire_reader r;")
    code.add("wire_reader_init(&r, body, arena);")
    code.add("%s_read(&r, version, out);" % message.c_name)
    code.add("return r.error;")
    code.end()
    code.function(made["size"])
    code.add("struct wire_writer counting;")
    code.add("wire_writer_init_counting(&counting);")
    code.add("%s_encode(in, version, &counting);" % message.c_name)
    code.add("return counting.size + counting.gap_size;")
    code.end()


def write_source(file):
    code = Code()
    title = "Codec of %s." % (file.api.name if file.api else file.stem)
    banner(code, title, "schema/kafka/%s.msg" % file.stem)
    code.add('#include "wire/kafka_%s.h"' % file.stem)
    code.add()
    for message in file.messages:
        write_message_source(code, message)
    return code.text()
