# The C tables over all Kafka messages: APIs, codecs by name, and random filling for tests.
# SPDX-License-Identifier: Apache-2.0

import schema_codec
from schema_model import SchemaError


def tables(files):
    apis = sorted((f for f in files if f.api), key=lambda f: f.api.key)
    keys = [f.api.key for f in apis]
    if len(set(keys)) != len(keys):
        raise SchemaError("two APIs have the same key")
    return [("kafka_apis.h", apis_header(apis)), ("kafka_apis.c", apis_source(apis)),
            ("kafka_codecs.h", codecs_header()), ("kafka_codecs.c", codecs_source(files, apis)),
            ("kafka_fill.h", fill_header()), ("kafka_fill.c", fill_source(files, apis))]


def start(what):
    code = schema_codec.Code()
    schema_codec.banner(code, what, "schema/kafka/")
    return code


def apis_header(apis):
    code = start("Every Kafka API that has a codec: keys, names and versions.")
    code.add("#pragma once")
    code.add()
    code.add("#include <stdbool.h>")
    code.add()
    code.add('#include "base/check.h"')
    code.add()
    code.open("enum kafka_api_key")
    for file in apis:
        code.add("KAFKA_API_%s = %d," % (file.stem.upper(), file.api.key))
    code.close("};")
    code.add()
    code.add("""\
/* Versions are ranges, both ends included. What is advertised may begin below what is
 * accepted; advertise_max -1: a client is not told of it. */
struct kafka_api {
    int16_t key;
    int16_t version_min;
    int16_t version_max;
    int16_t advertise_min;
    int16_t advertise_max;
    int16_t flexible_min;          /* INT16_MAX: never */
    int16_t response_flexible_min; /* of the response header; INT16_MAX: never */
    const char *name;
    size_t throttle_offset; /* of throttle_time_ms in the response's struct; SIZE_MAX: none */
};

/* In the order of their keys. */
extern const struct kafka_api kafka_apis[];
extern const size_t kafka_apis_count;

/* NULL when there is no codec for it. */
const struct kafka_api *kafka_api_find(int16_t key);

/* Headers are known for versions above the supported ones, too. */
static inline int16_t kafka_api_request_header_version(const struct kafka_api *api, int16_t version)
{
    return version >= api->flexible_min ? 2 : 1;
}

static inline int16_t kafka_api_response_header_version(const struct kafka_api *api,
                                                        int16_t version)
{
    return version >= api->response_flexible_min ? 1 : 0;
}""")
    return code.text()


def has_throttle(file):
    return any(field.name == "throttle_time_ms" for message in file.messages
               if message.c_name == "kafka_%s_response" % file.stem
               for field in message.root.fields)


def apis_source(apis):
    code = start("The table of Kafka APIs.")
    code.add('#include "wire/kafka_apis.h"')
    code.add()
    code.add("#include <stddef.h>")
    code.add()
    for file in apis:
        if has_throttle(file):
            code.add('#include "wire/kafka_%s.h"' % file.stem)
    code.add()
    code.open("const struct kafka_api kafka_apis[] =")
    for file in apis:
        api = file.api
        flexible = "INT16_MAX" if api.flexible is None else api.flexible
        response = "INT16_MAX" if api.response_flexible is None else api.response_flexible
        throttle = ("offsetof(struct kafka_%s_response, throttle_time_ms)" % file.stem
                    if has_throttle(file) else "SIZE_MAX")
        code.add('{KAFKA_API_%s, %d, %d, %d, %d, %s, %s, "%s", %s},'
                 % (file.stem.upper(), api.versions.low, api.versions.high, api.advertise.low,
                    api.advertise.high, flexible, response, api.name, throttle))
    code.close("};")
    code.add()
    code.add("const size_t kafka_apis_count = COUNT_OF(kafka_apis);")
    code.add()
    code.function("const struct kafka_api *kafka_api_find(int16_t key)")
    code.add("size_t low = 0;")
    code.add("size_t high = kafka_apis_count;")
    code.open("while (low < high)")
    code.add("size_t middle = low + (high - low) / 2;")
    code.add("if (kafka_apis[middle].key == key)")
    code.add("    return &kafka_apis[middle];")
    code.add("if (kafka_apis[middle].key < key)")
    code.add("    low = middle + 1;")
    code.add("else")
    code.add("    high = middle;")
    code.close()
    code.add("return NULL;")
    code.end()
    return code.text()


def codecs_header():
    code = start("All messages behind one type, for tests, fuzzing and tools.")
    code.add("""#pragma once

#include "wire/reader.h"
#include "wire/writer.h"

struct kafka_codec {
    const char *name;  /* such as "kafka_produce_request" */
    int16_t key;       /* of its API, or -1 */
    bool is_response;
    int16_t version_min;
    int16_t version_max;
    size_t size; /* of its struct */
    void (*read)(struct wire_reader *r, int16_t version, void *out);
    void (*encode)(const void *in, int16_t version, struct wire_writer *w);
};

extern const struct kafka_codec kafka_codecs[];
extern const size_t kafka_codecs_count;""")
    return code.text()


def ordered(files, apis):
    """(file, message): messages without an API first, then by key."""
    alone = [f for f in files if not f.api]
    return [(f, m) for f in alone + apis for m in f.messages]


def codecs_source(files, apis):
    code = start("The table of all messages.")
    code.add('#include "wire/kafka_codecs.h"')
    code.add()
    for file in files:
        code.add('#include "wire/kafka_%s.h"' % file.stem)
    code.add()
    for _, message in ordered(files, apis):
        name = message.c_name
        code.function("static void read_%s(struct wire_reader *r, int16_t version, void *out)"
                      % name)
        code.add("%s_read(r, version, out);" % name)
        code.end()
        code.function("static void encode_%s(const void *in, int16_t version, "
                      "struct wire_writer *w)" % name)
        code.add("%s_encode(in, version, w);" % name)
        code.end()
    code.open("const struct kafka_codec kafka_codecs[] =")
    for file, message in ordered(files, apis):
        name, versions = message.c_name, message.versions
        code.add('{"%s", %d, %s, %d, %d,' % (name, file.api.key if file.api else -1,
                                             str("response" in message.function).lower(),
                                             versions.low, versions.high))
        code.add(" sizeof(struct %s), read_%s, encode_%s}," % (name, name, name))
    code.close("};")
    code.add()
    code.add("const size_t kafka_codecs_count = COUNT_OF(kafka_codecs);")
    return code.text()


def fill_header():
    code = start("Messages filled with random values, for tests.")
    code.add("""#pragma once

#include "wire/fill.h"

/* Fills one struct with random values: every field that the version has. */
typedef void (*kafka_fill_fn)(struct wire_fill *f, int16_t version, void *out);

/* In the order of kafka_codecs. */
extern const kafka_fill_fn kafka_fills[];""")
    return code.text()


def fill_value(field, message, at):
    null = schema_codec.null_text(field) if not field.array else "false"
    if field.kind == "records" and message.function == "response":
        return "%s = wire_fill_records(f);" % at
    if field.kind in ("string", "bytes", "records"):
        return "%s = wire_fill_slice(f, %s);" % (at, null)
    return "%s = wire_fill_%s(f);" % (at, field.kind)


def fill_field(code, field, message):
    at = "out->" + field.name
    if field.array:
        code.add("%s = wire_fill_array(f, &%s_count, sizeof(*%s), %s);"
                 % (at, at, at, schema_codec.null_text(field)))
        code.add("for (size_t i = 0; i < %s_count; i++)" % at)
        if field.struct:
            code.add("    fill_%s(f, version, &%s[i]);" % (field.struct.c_name, at))
        else:
            code.add("    " + fill_value(field, message, at + "[i]"))
    elif field.nullable_struct():
        code.add("%s = wire_fill_struct(f, sizeof(*%s));" % (at, at))
        code.add("if (%s)" % at)
        code.add("    fill_%s(f, version, %s);" % (field.struct.c_name, at))
    elif field.struct:
        code.add("fill_%s(f, version, &%s);" % (field.struct.c_name, at))
    else:
        code.add(fill_value(field, message, at))


def fill_struct(code, struct):
    code.function("static void fill_%s(struct wire_fill *f, int16_t version, "
                  "struct %s *out)" % (struct.c_name, struct.c_name))
    code.add("%s_init(out);" % struct.c_name)
    for field in struct.fields:
        tests = [field.versions.condition(struct.versions)]
        if field.tag is not None:
            tests.append("wire_fill_tag(f)")
        test = " && ".join(text for text in tests if text)
        if test:
            code.open("if (%s)" % test)
        fill_field(code, field, struct.message)
        if test:
            code.close()
    code.end()


def fill_source(files, apis):
    code = start("Random values for every message.")
    code.add('#include "wire/kafka_fill.h"')
    code.add()
    for file in files:
        code.add('#include "wire/kafka_%s.h"' % file.stem)
    code.add()
    for _, message in ordered(files, apis):
        for struct in message.structs:
            fill_struct(code, struct)
        code.function("static void any_%s(struct wire_fill *f, int16_t version, void *out)"
                      % message.c_name)
        code.add("fill_%s(f, version, out);" % message.c_name)
        code.end()
    code.open("const kafka_fill_fn kafka_fills[] =")
    for _, message in ordered(files, apis):
        code.add("any_%s," % message.c_name)
    code.close("};")
    return code.text()
