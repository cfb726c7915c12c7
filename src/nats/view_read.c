// Reads a message that was published to a topic as a record.
// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "broker/subject.h"
#include "nats/view_base64.h"
#include "nats/view_message.h"
#include "wire/nats_headers.h"

#define BLOCK_HEADER "Leat-Block"

struct reading {
    struct arena *arena;
    struct diag *diag;
    struct build_record *out;
    struct record_header *headers;
    struct slice block;
    bool is_exact; /* the plain lines come out of the record as they are */
    bool has_key;
    bool is_null;
};

static enum err complain(struct reading *reading, struct slice name, const char *words)
{
    diag_set(reading->diag, "header %.*s %s", (int)MIN(name.size, (size_t)64),
             (const char *)name.data, words);
    return ERR_INVALID;
}

static enum err decode(struct reading *reading, struct slice text, struct slice *out)
{
    uint8_t *bytes = arena_alloc(reading->arena, text.size);
    size_t size;
    if (!bytes)
        return ERR_NO_MEMORY;
    if (!nats_view_base64_read(text, bytes, &size)) {
        diag_set(reading->diag, "a header that should be base64 is not");
        return ERR_INVALID;
    }
    *out = slice_make(bytes, size);
    return ERR_OK;
}

static enum err read_key(struct reading *reading, const struct wire_nats_header *line)
{
    if (reading->has_key)
        return complain(reading, line->name, "comes after another key");
    reading->has_key = true;
    if (line->name.size > strlen("Leat-Key"))
        return decode(reading, line->value, &reading->out->key);
    reading->out->key =
        slice_make(line->value.data ? line->value.data : line->line.data, line->value.size);
    return ERR_OK;
}

static enum err read_header(struct reading *reading, const struct wire_nats_header *line)
{
    const uint8_t *colon = memchr(line->value.data, ':', line->value.size);
    struct record_header *header = &reading->headers[reading->out->header_count];
    if (!colon)
        return complain(reading, line->name, "is <base64 name>:<base64 value, or - for null>");
    size_t size = (size_t)(colon - line->value.data);
    struct slice value = slice_make(colon + 1, line->value.size - size - 1);
    enum err err = decode(reading, slice_make(line->value.data, size), &header->key);
    header->value = SLICE_NULL;
    if (!err && !slice_equal_text(value, "-"))
        err = decode(reading, value, &header->value);
    if (!err)
        reading->out->header_count++;
    return err;
}

static enum err read_timestamp(struct reading *reading, const struct wire_nats_header *line)
{
    int64_t time_ms;
    if (!text_parse_i64(line->value, &time_ms) || time_ms < -1)
        return complain(reading, line->name, "is a time in milliseconds, or -1");
    reading->out->timestamp_ms = time_ms;
    return ERR_OK;
}

static enum err read_ours(struct reading *reading, const struct wire_nats_header *line)
{
    struct slice name = line->name;
    if (slice_equal_text(name, "Leat-Offset"))
        return ERR_OK;
    if (slice_equal_text(name, "Leat-Timestamp"))
        return read_timestamp(reading, line);
    if (slice_equal_text(name, "Leat-Key") || slice_equal_text(name, "Leat-Key-Base64"))
        return read_key(reading, line);
    if (slice_equal_text(name, "Leat-Header"))
        return read_header(reading, line);
    if (slice_equal_text(name, "Leat-Size"))
        return complain(reading, name, "marks a record whose value was left out");
    if (!slice_equal_text(name, "Leat-Value"))
        return complain(reading, name, "is not known");
    reading->is_null = slice_equal_text(line->value, "null");
    return reading->is_null ? ERR_OK : complain(reading, name, "can only be null");
}

static bool begins_with(struct slice text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

/* Asks for something that no topic does yet. */
static bool is_demand(struct slice name)
{
    static const char *const WHOLE[] = {"Nats-Msg-Id", "Nats-Rollup", "Nats-TTL", "Nats-Incr"};
    static const char *const BEGINNINGS[] = {"Nats-Expected-", "Nats-Batch-", "Nats-Schedule"};
    for (size_t i = 0; i < COUNT_OF(WHOLE); i++)
        if (slice_equal_text(name, WHOLE[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(BEGINNINGS); i++)
        if (begins_with(name, BEGINNINGS[i]))
            return true;
    return false;
}

static bool is_ours(struct slice name)
{
    return begins_with(name, "Leat-") && !slice_equal_text(name, BROKER_SUBJECT_HEADER);
}

/* "Name: value" and nothing else on the line. */
static bool is_exact(const struct wire_nats_header *line)
{
    const uint8_t *bytes = line->line.data;
    size_t size = line->name.size + 2 + line->value.size + 2;
    return line->line.size == size && bytes[line->name.size + 1] == ' ' && bytes[size - 2] == '\r';
}

static enum err read_line(struct reading *reading, const struct wire_nats_header *line)
{
    if (is_demand(line->name))
        return complain(reading, line->name, "asks for what this topic cannot do");
    if (is_ours(line->name))
        return read_ours(reading, line);
    if (!reading->is_exact)
        return ERR_OK;
    reading->headers[reading->out->header_count++] = (struct record_header){
        line->name,
        slice_make(line->value.data ? line->value.data : line->line.data, line->value.size)};
    return ERR_OK;
}

/* Room for all lines as headers, and one more; looks whether they can be taken apart. */
static enum err prepare(struct reading *reading)
{
    struct wire_nats_headers headers;
    struct wire_nats_header line;
    size_t count = 2; /* the block as a whole, and the subject */
    bool has_plain = false;
    if (wire_nats_headers_check(reading->block) ||
        wire_nats_headers_start(reading->block, &headers)) {
        diag_set(reading->diag, "the headers are malformed");
        return ERR_INVALID;
    }
    reading->is_exact = begins_with(reading->block, "NATS/1.0\r\n");
    for (; wire_nats_headers_next(&headers, &line); count++) {
        bool is_plain = !is_ours(line.name);
        has_plain |= is_plain;
        reading->is_exact &= !is_plain || is_exact(&line);
    }
    reading->is_exact |= !has_plain && headers.status == 0;
    reading->headers = arena_alloc_array(reading->arena, count, sizeof(*reading->headers));
    if (!reading->headers)
        return ERR_NO_MEMORY;
    if (!reading->is_exact)
        reading->headers[reading->out->header_count++] =
            (struct record_header){SLICE_LITERAL(BLOCK_HEADER), reading->block};
    return ERR_OK;
}

static enum err read_block(struct reading *reading)
{
    struct wire_nats_headers headers;
    struct wire_nats_header line;
    enum err err = prepare(reading);
    if (!err)
        err = wire_nats_headers_start(reading->block, &headers);
    while (!err && wire_nats_headers_next(&headers, &line))
        err = read_line(reading, &line);
    return err;
}

/* The key is the subject unless something else is said; then a header names the subject. */
static enum err read_subject(struct reading *reading, struct slice subject)
{
    struct build_record *out = reading->out;
    for (size_t i = 0; i < out->header_count; i++) {
        if (!slice_equal_text(reading->headers[i].key, BROKER_SUBJECT_HEADER))
            continue;
        if (slice_equal(reading->headers[i].value, subject))
            return ERR_OK;
        return complain(reading, slice_text(BROKER_SUBJECT_HEADER), "names another subject");
    }
    if (!reading->has_key)
        out->key = subject;
    if (slice_equal(out->key, subject))
        return ERR_OK;
    if (!reading->headers) {
        reading->headers = arena_alloc_array(reading->arena, 1, sizeof(*reading->headers));
        if (!reading->headers)
            return ERR_NO_MEMORY;
    }
    reading->headers[out->header_count++] =
        (struct record_header){slice_text(BROKER_SUBJECT_HEADER), subject};
    return ERR_OK;
}

enum err nats_view_read_message(const struct nats_view_published *published, struct arena *arena,
                                struct build_record *out, struct diag *diag)
{
    struct reading reading = {.arena = arena, .diag = diag, .out = out, .block = published->block};
    *out = (struct build_record){.timestamp_ms = published->time_ms, .value = published->payload};
    enum err err = published->block.size > 0 ? read_block(&reading) : ERR_OK;
    if (!err && published->subject.data)
        err = read_subject(&reading, published->subject);
    out->headers = reading.headers;
    if (!err && reading.is_null && published->payload.size > 0)
        err = complain(&reading, SLICE_LITERAL("Leat-Value"), "does not go with a payload");
    if (reading.is_null)
        out->value = SLICE_NULL;
    return err;
}
