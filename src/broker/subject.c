// Names records and partitions as subjects, and reads such names.
// SPDX-License-Identifier: Apache-2.0
#include "broker/subject.h"

#include "base/subject.h"
#include "base/text.h"
#include "broker/binding.h"

#define ESCAPE "%2E"

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

bool broker_subject_prefix_is_legal(struct slice prefix)
{
    if (prefix.size == 0 || prefix.size > BROKER_SUBJECT_PREFIX_SIZE_MAX || !is_printable(prefix))
        return false;
    for (size_t i = 0; i < prefix.size; i++)
        if (prefix.data[i] >= 0x80 || prefix.data[i] == '.')
            return false;
    return subject_is_literal(prefix);
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

struct slice broker_subject_view(struct slice prefix, struct slice topic, int32_t partition,
                                 uint8_t *out)
{
    uint8_t *at = put(out, prefix.data, prefix.size);
    CHECK(prefix.size <= BROKER_SUBJECT_PREFIX_SIZE_MAX && topic.size <= 249);
    *at++ = '.';
    for (size_t i = 0; i < topic.size; i++) {
        if (topic.data[i] == '.')
            at = put(at, ESCAPE, 3);
        else
            *at++ = topic.data[i];
    }
    if (partition >= 0) {
        uint8_t digits[10];
        size_t count = 0;
        for (int32_t left = partition; count == 0 || left > 0; left /= 10)
            digits[count++] = (uint8_t)('0' + left % 10);
        *at++ = '.';
        while (count > 0)
            *at++ = digits[--count];
    }
    return slice_make(out, (size_t)(at - out));
}

bool broker_subject_is_view(struct slice prefix, struct slice subject)
{
    return subject.size > prefix.size && subject.data[prefix.size] == '.' &&
           memcmp(subject.data, prefix.data, prefix.size) == 0;
}

/* False: not as _view writes it. */
static bool read_topic(struct slice token, uint8_t *topic, struct slice *out)
{
    size_t size = 0;
    if (token.size == 0 || token.size > 3 * 249)
        return false;
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] != '%') {
            topic[size++] = token.data[i];
        } else if (token.size - i >= 3 && memcmp(&token.data[i], ESCAPE, 3) == 0) {
            topic[size++] = '.';
            i += 2;
        } else {
            return false;
        }
    }
    *out = slice_make(topic, size);
    return size <= 249;
}

static bool read_partition(struct slice token, int32_t *out)
{
    int64_t number;
    bool has_zeros = token.size > 1 && token.data[0] == '0';
    if (has_zeros || token.size > 10 || token.data[0] == '-' || !text_parse_i64(token, &number) ||
        number > INT32_MAX)
        return false;
    *out = (int32_t)number;
    return true;
}

enum broker_subject_kind broker_subject_parse(struct slice prefix, struct slice subject,
                                              uint8_t *topic, struct slice *out_topic,
                                              int32_t *out_partition)
{
    struct slice token;
    if (!broker_subject_is_view(prefix, subject))
        return BROKER_SUBJECT_OTHER;
    struct slice rest = slice_make(subject.data + prefix.size + 1, subject.size - prefix.size - 1);
    if (!subject_token_next(&rest, &token) || !subject_is_literal(subject) ||
        !read_topic(token, topic, out_topic))
        return BROKER_SUBJECT_NOTHING;
    if (!subject_token_next(&rest, &token))
        return BROKER_SUBJECT_TOPIC;
    if (!read_partition(token, out_partition) || subject_token_next(&rest, &token))
        return BROKER_SUBJECT_NOTHING;
    return BROKER_SUBJECT_PARTITION;
}

/* --- the subject of a record ------------------------------------------------------------------ */

bool broker_subject_is_bound(const struct broker_subject_place *place, struct slice subject)
{
    if (subject.size == 0 || subject.size > BROKER_SUBJECT_SIZE_MAX || !is_printable(subject) ||
        !subject_is_literal(subject) || broker_binding_is_reserved(subject) ||
        (place->prefix.data && broker_subject_is_view(place->prefix, subject)))
        return false;
    for (size_t i = 0; i < place->bound_count; i++)
        if (subject_matches(subject, place->bound[i]))
            return true;
    return false;
}

static struct slice header_value(const struct record *record)
{
    struct record_header header;
    struct slice rest = record->headers;
    while (record_headers_next(&rest, &header) == ERR_OK)
        if (slice_equal_text(header.key, BROKER_SUBJECT_HEADER))
            return header.value;
    return SLICE_NULL;
}

struct slice broker_subject_bound(const struct broker_subject_place *place,
                                  const struct record *record)
{
    if (place->bound_count == 0)
        return SLICE_NULL;
    struct slice named = header_value(record);
    if (broker_subject_is_bound(place, named))
        return named;
    return broker_subject_is_bound(place, record->key) ? record->key : SLICE_NULL;
}

struct slice broker_subject_of(const struct broker_subject_place *place,
                               const struct record *record, uint8_t *scratch)
{
    struct slice bound = broker_subject_bound(place, record);
    if (bound.data)
        return bound;
    return broker_subject_view(place->prefix, place->topic, place->partition, scratch);
}
