// Writes a record as a message of the partition view.
// SPDX-License-Identifier: Apache-2.0
#include "nats/view_message.h"

#include <stdio.h>

#include "base/text.h"
#include "broker/subject.h"
#include "nats/view_base64.h"
#include "wire/writer.h"

static void put_number(struct wire_writer *writer, const char *name, int64_t number)
{
    char line[64];
    int size = snprintf(line, sizeof(line), "%s: %lld\r\n", name, (long long)number);
    wire_writer_append(writer, slice_make(line, (size_t)size));
}

static void put_line(struct wire_writer *writer, struct slice name, struct slice value)
{
    wire_writer_append(writer, name);
    wire_writer_append(writer, SLICE_LITERAL(": "));
    wire_writer_append(writer, value);
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

static void put_base64(struct wire_writer *writer, struct slice bytes)
{
    uint8_t *at = wire_writer_reserve(writer, nats_view_base64_size(bytes.size));
    if (at)
        nats_view_base64_write(bytes, at);
}

/* --- what can be said in plain ---------------------------------------------------------------- */

static bool is_plain_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    return text.size == 0 || (text.data[0] != ' ' && text.data[text.size - 1] != ' ');
}

/* What some client's trim takes away: Unicode's spaces and the byte order mark. */
static bool is_space(int32_t point)
{
    return point == ' ' || point == 0x85 || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
           point == 0x202f || point == 0x205f || point == 0x3000 || point == 0xfeff;
}

static bool is_plain_value(struct slice value)
{
    if (!value.data)
        return false;
    int32_t point = 0;
    for (size_t at = 0; at < value.size;) {
        bool is_first = at == 0;
        point = text_utf8_next(value, &at);
        if (point < ' ' || point == 0x7f || (is_first && is_space(point)))
            return false;
    }
    return value.size == 0 || !is_space(point);
}

static bool is_token_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static bool is_plain_name(struct slice name)
{
    static const char OURS[] = "leat-";
    size_t same = 0;
    for (size_t i = 0; i < name.size; i++) {
        if (!is_token_byte(name.data[i]))
            return false;
        if (same == i && i < sizeof(OURS) - 1 && (name.data[i] | 0x20) == OURS[i])
            same++;
    }
    bool is_ours = same == sizeof(OURS) - 1;
    return name.size > 0 && (!is_ours || slice_equal_text(name, BROKER_SUBJECT_HEADER));
}

/* --- the message ------------------------------------------------------------------------------ */

static void put_header(struct wire_writer *writer, const struct record_header *header)
{
    if (is_plain_name(header->key) && is_plain_value(header->value)) {
        put_line(writer, header->key, header->value);
        return;
    }
    wire_writer_append(writer, SLICE_LITERAL("Leat-Header: "));
    put_base64(writer, header->key);
    wire_writer_append(writer, SLICE_LITERAL(":"));
    if (header->value.data)
        put_base64(writer, header->value);
    else
        wire_writer_append(writer, SLICE_LITERAL("-"));
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

static void put_key(struct wire_writer *writer, struct slice key)
{
    if (!key.data)
        return;
    if (is_plain_ascii(key)) {
        put_line(writer, SLICE_LITERAL("Leat-Key"), key);
        return;
    }
    wire_writer_append(writer, SLICE_LITERAL("Leat-Key-Base64: "));
    put_base64(writer, key);
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

/* The subject says it already. */
static bool is_key_told(const struct nats_view_record *record)
{
    struct record_header header;
    struct slice rest = record->record->headers;
    if (!record->subject.data || !slice_equal(record->record->key, record->subject))
        return false;
    while (record_headers_next(&rest, &header) == ERR_OK)
        if (slice_equal_text(header.key, BROKER_SUBJECT_HEADER))
            return false;
    return true;
}

static void put_block(struct wire_writer *writer, const struct nats_view_record *record,
                      const struct nats_view_message *message)
{
    struct record_header header;
    struct slice rest = record->record->headers;
    wire_writer_append(writer, SLICE_LITERAL("NATS/1.0\r\n"));
    put_number(writer, "Leat-Offset", record->offset);
    put_number(writer, "Leat-Timestamp", record->timestamp_ms);
    if (message->has_all && !is_key_told(record))
        put_key(writer, record->record->key);
    if (!record->record->value.data)
        wire_writer_append(writer, SLICE_LITERAL("Leat-Value: null\r\n"));
    if (!message->has_value)
        put_number(writer, "Leat-Size", (int64_t)record->record->value.size);
    while (message->has_all && record_headers_next(&rest, &header) == ERR_OK)
        put_header(writer, &header);
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

static bool fits(const struct nats_view_record *record, struct nats_view_message *message)
{
    struct wire_writer writer;
    wire_writer_init_counting(&writer);
    put_block(&writer, record, message);
    message->header_size = writer.size;
    message->size = writer.size + (message->has_value ? record->record->value.size : 0);
    return message->size <= record->size_max;
}

void nats_view_message_measure(const struct nats_view_record *record, struct nats_view_message *out)
{
    *out = (struct nats_view_message){.has_value = true, .has_all = true};
    if (fits(record, out))
        return;
    out->has_value = false;
    if (fits(record, out))
        return;
    out->has_all = false;
    (void)fits(record, out);
}

void nats_view_message_write(const struct nats_view_record *record,
                             const struct nats_view_message *message, uint8_t *out)
{
    struct wire_writer writer;
    wire_writer_init_fixed(&writer, out, message->size + 2);
    put_block(&writer, record, message);
    if (message->has_value)
        wire_writer_append(&writer, record->record->value);
    wire_writer_append(&writer, SLICE_LITERAL("\r\n"));
    CHECK(writer.error == ERR_OK && writer.size == message->size + 2);
}
