// How Kafka's records of internal topics write integers, texts, arrays and tags.
// SPDX-License-Identifier: Apache-2.0
#include "broker/form.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/varint.h"

#define KEY_TEXT_SIZE_MAX 32767

/* --- writing --- */

void broker_form_put(struct form_out *w, const void *bytes, size_t size)
{
    if (!w->err && size > 0)
        w->err = codec_output_add(w->out, slice_make(bytes, size));
}

void broker_form_put_i8(struct form_out *w, int8_t value)
{
    broker_form_put(w, &value, 1);
}

void broker_form_put_i16(struct form_out *w, int16_t value)
{
    uint8_t bytes[2];
    be16_put(bytes, (uint16_t)value);
    broker_form_put(w, bytes, sizeof(bytes));
}

void broker_form_put_i32(struct form_out *w, int32_t value)
{
    uint8_t bytes[4];
    be32_put(bytes, (uint32_t)value);
    broker_form_put(w, bytes, sizeof(bytes));
}

void broker_form_put_i64(struct form_out *w, int64_t value)
{
    uint8_t bytes[8];
    be64_put(bytes, (uint64_t)value);
    broker_form_put(w, bytes, sizeof(bytes));
}

void broker_form_put_count(struct form_out *w, size_t count)
{
    uint8_t bytes[VARINT_U32_SIZE_MAX];
    if (!w->err && count > INT32_MAX)
        w->err = ERR_TOO_LARGE;
    broker_form_put(w, bytes, varint_u32_put(bytes, (uint32_t)count));
}

void broker_form_put_text(struct form_out *w, struct slice text)
{
    broker_form_put_count(w, text.data ? text.size + 1 : 0);
    broker_form_put(w, text.data, text.size);
}

void broker_form_put_text_not_null(struct form_out *w, struct slice text)
{
    broker_form_put_text(w, text.data ? text : slice_text(""));
}

void broker_form_put_names(struct form_out *w, const struct group_names *names)
{
    broker_form_put_count(w, names->count + 1);
    for (size_t i = 0; i < names->count; i++)
        broker_form_put_text(w, names->items[i]);
}

size_t broker_form_topic_end(const struct group_parts *parts, size_t first)
{
    size_t next = first + 1;
    while (next < parts->count && uuid_equal(&parts->items[next].topic, &parts->items[first].topic))
        next++;
    return next;
}

void broker_form_put_indexes(struct form_out *w, const struct group_parts *parts, size_t first,
                             size_t end)
{
    broker_form_put_count(w, end - first + 1);
    for (; first < end; first++)
        broker_form_put_i32(w, parts->items[first].index);
}

void broker_form_put_parts(struct form_out *w, const struct group_parts *parts)
{
    size_t topics = 0;
    for (size_t i = 0; i < parts->count; i = broker_form_topic_end(parts, i))
        topics++;
    broker_form_put_count(w, topics + 1);
    for (size_t i = 0; i < parts->count;) {
        size_t end = broker_form_topic_end(parts, i);
        broker_form_put(w, parts->items[i].topic.bytes, sizeof(parts->items[i].topic.bytes));
        broker_form_put_indexes(w, parts, i, end);
        broker_form_put_count(w, 0);
        i = end;
    }
}

void broker_form_put_tag(struct form_out *w, uint32_t tag, const void *bytes, size_t size)
{
    broker_form_put_count(w, tag);
    broker_form_put_count(w, size);
    broker_form_put(w, bytes, size);
}

void broker_form_put_key_text(struct form_out *w, struct slice text)
{
    if (!w->err && text.size > KEY_TEXT_SIZE_MAX)
        w->err = ERR_TOO_LARGE;
    broker_form_put_i16(w, (int16_t)text.size);
    broker_form_put(w, text.data, text.size);
}

/* --- reading --- */

const uint8_t *broker_form_take(struct form_in *r, size_t size)
{
    if (!r->err && r->rest.size < size)
        r->err = ERR_TRUNCATED;
    if (r->err)
        return NULL;
    const uint8_t *at = r->rest.data;
    r->rest.data += size;
    r->rest.size -= size;
    return at;
}

int8_t broker_form_take_i8(struct form_in *r)
{
    const uint8_t *at = broker_form_take(r, 1);
    return at ? (int8_t)*at : 0;
}

int16_t broker_form_take_i16(struct form_in *r)
{
    const uint8_t *at = broker_form_take(r, 2);
    return at ? (int16_t)be16_get(at) : 0;
}

int32_t broker_form_take_i32(struct form_in *r)
{
    const uint8_t *at = broker_form_take(r, 4);
    return at ? (int32_t)be32_get(at) : 0;
}

int64_t broker_form_take_i64(struct form_in *r)
{
    const uint8_t *at = broker_form_take(r, 8);
    return at ? (int64_t)be64_get(at) : 0;
}

uint32_t broker_form_take_varint(struct form_in *r)
{
    uint32_t value = 0;
    size_t used = r->err ? 0 : varint_u32_get(r->rest.data, r->rest.size, &value);
    if (!r->err && used == 0)
        r->err = ERR_TRUNCATED;
    return broker_form_take(r, used) ? value : 0;
}

struct slice broker_form_take_text(struct form_in *r, bool nullable)
{
    uint32_t size = broker_form_take_varint(r);
    if (!r->err && size == 0 && !nullable)
        r->err = ERR_CORRUPT;
    if (r->err || size == 0)
        return SLICE_NULL;
    const uint8_t *at = broker_form_take(r, size - 1);
    return at ? slice_make(at, size - 1) : SLICE_NULL;
}

struct slice broker_form_take_key_text(struct form_in *r)
{
    int16_t size = broker_form_take_i16(r);
    if (!r->err && size < 0)
        r->err = ERR_CORRUPT;
    const uint8_t *at = broker_form_take(r, r->err ? 0 : (size_t)size);
    return at ? slice_make(at, (size_t)size) : SLICE_NULL;
}

size_t broker_form_take_count(struct form_in *r, size_t item_size_min)
{
    uint32_t count = broker_form_take_varint(r);
    if (!r->err && (count == 0 || (count - 1) > r->rest.size / item_size_min))
        r->err = ERR_CORRUPT;
    return r->err ? 0 : count - 1;
}

const uint8_t *broker_form_take_tags(struct form_in *r, uint32_t tag, size_t size)
{
    const uint8_t *found = NULL;
    uint32_t count = broker_form_take_varint(r);
    for (uint32_t i = 0; i < count && !r->err; i++) {
        uint32_t which = broker_form_take_varint(r);
        uint32_t bytes = broker_form_take_varint(r);
        const uint8_t *at = broker_form_take(r, bytes);
        if (which == tag && bytes == size && size > 0)
            found = at;
    }
    return r->err ? NULL : found;
}

enum err broker_form_take_names(struct form_in *r, struct budget *budget, struct group_names *own)
{
    size_t count = broker_form_take_count(r, 1);
    struct slice *names = reallocarray(NULL, count + 1, sizeof(*names));
    if (!names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names[i] = broker_form_take_text(r, false);
    enum err err = r->err ? r->err : broker_group_parts_names(budget, own, names, count);
    free(names);
    return err;
}

/* How many parts there are, then the parts. */
static size_t parts_walk(struct form_in *r, struct group_parts *out)
{
    size_t total = 0;
    size_t topics = broker_form_take_count(r, sizeof(struct uuid) + 2);
    for (size_t i = 0; i < topics && !r->err; i++) {
        const uint8_t *id = broker_form_take(r, sizeof(struct uuid));
        size_t count = broker_form_take_count(r, 4);
        for (size_t j = 0; j < count && !r->err; j++) {
            int32_t index = broker_form_take_i32(r);
            if (out && id) {
                memcpy(out->items[out->count].topic.bytes, id, sizeof(struct uuid));
                out->items[out->count++].index = index;
            }
        }
        total += count;
        broker_form_take_tags(r, 0, 0);
    }
    return total;
}

enum err broker_form_take_parts(struct form_in *r, struct budget *budget, struct group_parts *own)
{
    struct form_in ahead = *r;
    size_t room = parts_walk(&ahead, NULL);
    struct group_parts parts;
    if (ahead.err)
        return ahead.err;
    enum err err = broker_group_parts_room(budget, room, &parts);
    if (err)
        return err;
    parts_walk(r, &parts);
    broker_group_parts_sort(&parts);
    err = r->err ? r->err : broker_group_parts_set(budget, own, &parts);
    broker_group_parts_free(budget, &parts, room);
    return err;
}
